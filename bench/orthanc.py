"""An Orthanc beside us, configured as docs/how-to/use-orthanc.md says; none where it is not installed."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Client

PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
USER, PASSWORD = "bench", "bench"
START = 30.0


@dataclass(frozen=True, slots=True)
class Orthanc:
    """One that runs: its address, its process, and what its requests need."""

    base: str
    process: int

    @property
    def headers(self) -> dict[str, str]:
        """What lets a request in."""
        return {"Authorization": f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"}

    @property
    def archive(self) -> str:
        """What our own server is told of it."""
        return f"orthanc={self.base.replace('http://', f'http://{USER}:{PASSWORD}@')}"


def is_installed() -> bool:
    """Whether it can be started."""
    return Path(PROGRAM).exists() and Path(PLUGIN).exists()


@contextmanager
def beside(folder: Path) -> Iterator[Orthanc]:
    """An empty Orthanc."""
    ports = free_port(), free_port()
    settings = {
        "DefaultEncoding": "Utf8", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "HttpPort": ports[0], "DicomPort": ports[1], "RemoteAccessAllowed": False, "HttpCompressionEnabled": False,
        "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD}, "MaximumStorageCacheSize": 128,
        "StableAge": 3, "Plugins": [PLUGIN],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    command = [PROGRAM, str(folder / "orthanc.json")]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            found = Orthanc(f"http://127.0.0.1:{ports[0]}", process.pid)
            asyncio.run(answering(found))
            yield found
        finally:
            process.kill()


async def answering(orthanc: Orthanc) -> None:
    """Wait until it answers."""
    until = time.monotonic() + START
    client = Client(orthanc.base, orthanc.headers)
    while True:
        try:
            await client.ask("GET", "system")
            break
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)
    client.close()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
