"""A real Orthanc for tests, on free ports of this machine, configured as docs/how-to/use-orthanc.md says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "bridge", "s3cret"
SECONDS_TO_START = 30


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class OrthancServer:
    """An Orthanc in a folder, which can be killed and started again."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.folder = folder
        self.port, self.dicom_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.address = f"http://{USER}:{PASSWORD}@127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(base_url=self.url, auth=(USER, PASSWORD), timeout=30, trust_env=False)
        plugins = [str(PLUGIN)] if PLUGIN.exists() else []
        settings = {
            "Name": "tests", "DefaultEncoding": "Utf8", "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"), "HttpPort": self.port, "RemoteAccessAllowed": False,
            "HttpCompressionEnabled": False, "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD},
            "DicomAet": "ORTHANC", "DicomPort": self.dicom_port, "DicomCheckCalledAet": False, "StableAge": 3,
            "UnknownSopClassAccepted": True, "OverwriteInstances": False, "MaximumPduLength": 131072,
            "MaximumStorageCacheSize": 128, "Plugins": plugins,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False, "StudiesMetadata": "Full"},
            **more,
        }  # fmt: skip
        (folder / "orthanc.json").write_text(json.dumps(settings))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, str(self.folder / "orthanc.json")],
                stdout=log, stderr=log, env={**os.environ, "TCP_NODELAY": "1"},
            )  # fmt: skip
        for _ in range(SECONDS_TO_START * 20):
            try:
                if self.client.get("/system").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            if self.process.poll() is not None:
                break
            signal.sigtimedwait([], 0.05)
        pytest.fail(f"Orthanc does not start: {(self.folder / 'log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it as a failing machine would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def empty(self) -> None:
        """Take everything out."""
        for patient in self.client.get("/patients").json():
            self.client.delete(f"/patients/{patient}")


@contextmanager
def started_or_skipped(folder: Path, **more: Any) -> Iterator[OrthancServer]:
    """An Orthanc that runs; the test is skipped where the package is not installed."""
    if not Path(PROGRAM).exists():
        pytest.skip("Orthanc is not installed: `make setup` names the package")
    server = OrthancServer(folder, **more)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        server.client.close()
