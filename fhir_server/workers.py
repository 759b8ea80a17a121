"""Several processes that answer on one socket; one that dies is replaced (POSIX fork, wait, signals, pipe)."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable

LEAST_SECONDS = 1.0
"""A worker that lives for less is not replaced at once, so that a fault at start does not take the machine."""

ENDINGS = (signal.SIGTERM, signal.SIGINT)
WATCHED = (*ENDINGS, signal.SIGCHLD, signal.SIGALRM)

log = logging.getLogger(__name__)

Work = Callable[[int, int], None]
"""What a worker does with its number and its lifeline, a file that ends when the supervisor does.

It starts with the signals that end it blocked, and lets them in when it has said what they do.
"""


class Workers:
    """The processes under this one.

    Signals are taken one by one where the supervisor waits for them, never in between: none is lost while a worker is
    started, and none reaches a worker that does not know yet what it means.
    """

    def __init__(self, count: int, work: Work) -> None:
        self._work = work
        self._free = list(range(count))
        self._running: dict[int, tuple[int, float]] = {}
        # Only this process can write to it: however it dies, the workers read that it did.
        self._lifeline, self._own_end = os.pipe()
        self._waits = False

    def supervise(self, stopped: Callable[[], None]) -> None:
        """Keep them running until this process is told to stop; then stop them, and wait until they have."""
        signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        for name in (signal.SIGCHLD, signal.SIGALRM):
            signal.signal(name, lambda _signal, _frame: None)
        stopping = False
        while self._running or not stopping:
            if not stopping and not self._waits:
                self._start_missing()
            told = signal.sigwait(WATCHED)
            if told == signal.SIGALRM:
                self._waits = False
            elif told in ENDINGS:
                stopping = True
                stopped()
                self._tell_to_stop()
            self._reap()

    def _start_missing(self) -> None:
        while self._free:
            number = self._free.pop(0)
            self._running[self._started(number)] = number, time.monotonic()

    def _tell_to_stop(self) -> None:
        for worker in self._running:
            os.kill(worker, signal.SIGTERM)

    def _reap(self) -> None:
        while self._running:
            ended, _ = os.waitpid(-1, os.WNOHANG)
            if not ended:
                return
            number, since = self._running.pop(ended)
            self._free.append(number)
            if time.monotonic() - since < LEAST_SECONDS:
                self._waits = True
                signal.setitimer(signal.ITIMER_REAL, LEAST_SECONDS)

    def _started(self, number: int) -> int:
        """Start a process for the work; return its id."""
        worker = os.fork()
        if worker:
            return worker
        status = 1
        try:
            os.close(self._own_end)
            for name in (signal.SIGCHLD, signal.SIGALRM):
                signal.signal(name, signal.SIG_DFL)
            self._work(number, self._lifeline)
            status = 0
        except SystemExit as stopped:
            status = stopped.code if isinstance(stopped.code, int) else 1
        except Exception:
            log.exception("worker %s failed", number)
        finally:
            os._exit(status)


def supervise(count: int, work: Work, stopped: Callable[[], None]) -> None:
    """Run the work in so many processes until this one is told to stop; `stopped` is called before they are."""
    Workers(count, work).supervise(stopped)
