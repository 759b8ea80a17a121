"""Whether what images need is there: room for them, or an Orthanc that is set up right, and the port for modalities."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from dicom_bridge.modality import FOLDER, LOCK
from dicom_bridge.orthanc import Account
from dicom_bridge.orthanc_archive import EXAMINED
from dicom_bridge.viewer import FOLDER as VIEWER
from dicom_bridge.viewer import INDEX
from fhir_server.extension import Surroundings
from fhir_server.maintenance import Finding
from fhir_server.settings import Settings

LEAST_INSTANCES = 2
"""For so many of the largest instances there must be room."""


def examined(surroundings: Surroundings) -> Iterator[tuple[str, Finding]]:
    """Yield what is found of the archive, of the port for modalities, and of the viewer."""
    settings, data = surroundings.settings, surroundings.data
    for finding in _orthanc(settings) if settings.archive else _room(settings, data):
        yield "image archive", finding
    if settings.dicom_port:
        for finding in _listening(settings, data / FOLDER / LOCK):
            yield "dicom port", finding
    if (data / VIEWER / INDEX).is_file():
        yield "viewer", Finding("good", "installed")
    else:
        yield "viewer", Finding("good", "not installed (nhipcau viewer install; images are in the app too)")


def _orthanc(settings: Settings) -> Iterator[Finding]:
    account = Account.of(settings.archive.removeprefix("orthanc="))
    faults = list(EXAMINED.load()(account))
    fix = "Look at its log and orthanc.json, and at NHIPCAU_ARCHIVE (docs: Keep images in Orthanc)."
    for fault in faults:
        yield Finding("bad", fault, fix)
    if not faults:
        yield Finding("good", f"Orthanc at {account.url}")


def _room(settings: Settings, data: Path) -> Iterator[Finding]:
    place = next(each for each in (data, *data.resolve().parents) if each.exists())
    free = shutil.disk_usage(place).free
    text = f"files in the data folder, {free / 1e9:.1f} GB free"
    if free < LEAST_INSTANCES * settings.image_bytes:
        fix = "Free some space, move the data to a larger disk, or lower NHIPCAU_IMAGE_BYTES."
        yield Finding("warning", f"{text}: too little for {LEAST_INSTANCES} of the largest images.", fix)
    else:
        yield Finding("good", text)


def _listening(settings: Settings, lock: Path) -> Iterator[Finding]:
    """Whether the port is the server's own, or free for it."""
    where = f"{settings.dicom_host}:{settings.dicom_port}"
    is_running = _is_held(lock)
    if not settings.dicom_peers:
        fix = "Name the modalities in NHIPCAU_DICOM_PEERS (docs: Connect modalities)."
        yield Finding("warning", "No program may talk DICOM to this server.", fix)
    try:
        with socket.create_server((settings.dicom_host, settings.dicom_port)):
            is_free = True
    except OSError as failure:
        is_free = False
        if not is_running:
            fix = "End what listens there (ss -ltnp), or choose another NHIPCAU_DICOM_PORT or NHIPCAU_DICOM_HOST."
            yield Finding("bad", f"{where} cannot be listened at: {failure.strerror}.", fix)
            return
    if is_free and is_running:
        yield Finding("bad", f"The server runs and does not listen at {where}.", "Look at its log, and restart it.")
    else:
        yield Finding("good", f"{where}: {'free' if is_free else 'the server listens'}")


def _is_held(lock: Path) -> bool:
    """Whether a process of the server holds a lock."""
    if not lock.exists():
        return False
    with lock.open("a") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return True
    return False
