"""A server as its users have it: the program `nhipcau`, started on a free port of this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.mongodb import database_of, is_wanted

PROGRAM = Path(sys.executable).with_name("nhipcau")
SECONDS_TO_START = 120
SECONDS_TO_STOP = 60
LOG_SHOWN = 20_000

started: list[Program] = []
"""Those that run, and those that have ended since the present test began."""


def forget_ended() -> None:
    """Begin a test."""
    started[:] = [program for program in started if program.process.poll() is None]


def logs() -> Iterator[tuple[str, str]]:
    """The servers of the present test, each with the end of what it wrote for its operator."""
    for program in started:
        yield program.base, program.log[-LOG_SHOWN:]


class Program:
    """A running server and its folder."""

    def __init__(self, folder: Path, *options: str, **chosen: object) -> None:
        self.folder = folder
        environment = os.environ | {f"NHIPCAU_{name.upper()}": str(value) for name, value in chosen.items()}
        self._log = (folder / "log").open("ab")
        command: list[str | Path] = [PROGRAM, "serve", "--port", "0", "--data", folder / "data", *options]
        if is_wanted() and "--store" not in options:
            command += ["--store", database_of(folder, os.environ["MONGODB_URL"]), "--store-single"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment, start_new_session=True
        )
        self.base = self._base()
        self.port = int(self.base.rpartition(":")[2].partition("/")[0])
        started.append(self)

    def _base(self) -> str:
        assert self.process.stdout
        for line in self.process.stdout:
            if found := re.search(r"http://\S+/fhir", line):
                self._wait_until_ready(found[0].removesuffix("/fhir") + "/ready")
                return found[0]
        raise AssertionError(f"The server did not start:\n{(self.folder / 'log').read_text()}")

    def _wait_until_ready(self, url: str) -> None:
        until = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < until:
            try:
                with urlopen(url, timeout=SECONDS_TO_START):
                    return
            except (URLError, ConnectionError):
                time.sleep(0.05)
        raise AssertionError(f"The server was not ready within {SECONDS_TO_START} seconds.")

    def stop(self) -> int:
        """Tell the server to stop; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """End the server and its workers at once, as a power failure would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.ended()

    def ended(self) -> int:
        """Wait until the server ends; return its exit status."""
        status = self.process.wait(SECONDS_TO_STOP)
        self._log.close()
        assert self.process.stdout
        self.process.stdout.close()
        return status

    @property
    def log(self) -> str:
        """What the server wrote for its operator."""
        return (self.folder / "log").read_text()


@contextmanager
def running(folder: Path, *options: str, **chosen: object) -> Iterator[Program]:
    """A server that keeps what it stores in this folder, with these options of `nhipcau serve` and these settings."""
    program = Program(folder, *options, **chosen)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            assert program.stop() == 0, program.log
