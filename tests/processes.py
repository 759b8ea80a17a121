"""The program itself, on a free port and an empty folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

NHIPCAU = Path(sys.executable).with_name("nhipcau")


class Program:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], base: str) -> None:
        self.process = process
        self.base = base

    def stop(self) -> int:
        """Ask it to stop; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@contextmanager
def running(data: Path, *options: str, **settings: str) -> Iterator[Program]:
    """Run `nhipcau serve` until the block ends."""
    command = [str(NHIPCAU), "serve", "--port", "0", "--data", str(data), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | settings) as process:
        assert process.stdout
        base = process.stdout.readline().split()[-1]
        try:
            wait_for(base)
            yield Program(process, base)
        finally:
            process.terminate()


def wait_for(base: str) -> None:
    """Return when the server answers."""
    until = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{base.removesuffix('/fhir')}/health", timeout=30).raise_for_status()
        except httpx.TransportError:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return
