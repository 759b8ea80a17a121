"""Several processes that answer on one socket; one that dies is replaced (POSIX fork, wait, kill)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType

LEAST_SECONDS = 1.0
"""A worker that lives for less is not replaced at once, so that a fault at start does not take the machine."""


def supervise(count: int, work: Callable[[], None]) -> None:
    """Run `work` in so many processes until this one is told to stop; then stop them, and wait until they have."""
    workers: dict[int, float] = {}
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for worker in workers:
            os.kill(worker, signal.SIGTERM)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    while not stopping or workers:
        while len(workers) < count and not stopping:
            workers[started(work)] = time.monotonic()
        try:
            ended, _ = os.wait()
        except ChildProcessError:
            break
        lived = time.monotonic() - workers.pop(ended, 0.0)
        if lived < LEAST_SECONDS and not stopping:
            time.sleep(LEAST_SECONDS)


def started(work: Callable[[], None]) -> int:
    """Start a process for the work; return its number."""
    worker = os.fork()
    if worker:
        return worker
    status = 1
    try:
        work()
        status = 0
    except SystemExit as stopped:
        status = stopped.code if isinstance(stopped.code, int) else 1
    finally:
        os._exit(status)
