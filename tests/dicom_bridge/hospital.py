"""A country whose facilities send images: the world of access with the bridge in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from dicom_bridge import extension
from dicom_bridge.extension import images
from dicom_bridge.multipart import MultipartWriter
from dicom_bridge.synchronizer import Pace
from tests.access.world import World, country, of, to
from tests.dicom_bridge.samples import slice_of, written

WEB = "http://node/dicom-web"
Json = dict[str, Any]
ANH = {
    "name": [{"text": "Nguyễn Thị Ánh"}],
    "gender": "female",
    "birthDate": "1980-05-02",
    "identifier": [{"system": "http://station-a.vn/patients", "value": "VN-1"}],
}
HEADER: dict[str, Any] = {
    "PatientName": "NGUYEN^ANH^THI",
    "PatientID": "VN-1",
    "PatientBirthDate": "19800502",
    "PatientSex": "F",
}


class Hospital:
    """The world, with images sent and asked for by callers."""

    def __init__(self, world: World) -> None:
        self.world = world

    def send(self, caller: str, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Ask DICOMweb as a caller; "" is this machine."""
        headers = {"accept": "*/*", **arguments.pop("headers", {})}
        if caller:
            headers["authorization"] = f"Bearer {caller}"
        return self.world.served.send(method, f"{WEB}/{path}", headers=headers, **arguments)

    def store(self, caller: str, study: str = "1.2.3", *numbers: int, **elements: Any) -> httpx.Response:
        """Store slices of a study, one unless said, of the patient Ánh unless said."""
        writer = MultipartWriter("cut", "application/dicom")
        with TemporaryDirectory() as folder:
            files = [
                written(slice_of(study, number=n, **{**HEADER, **elements}), Path(folder) / str(n)).read_bytes()
                for n in numbers or (1,)
            ]
        parts = [writer.begin({"Content-Type": "application/dicom"}) + each for each in files]
        body = b"".join([*parts, writer.end()])
        return self.send(caller, "POST", "studies", content=body, headers={"content-type": writer.media_type})

    def sees(self, caller: str, study: str = "1.2.3") -> bool:
        """Whether a caller can open a study."""
        return self.send(caller, "GET", f"studies/{study}/metadata").status_code == 200

    def find(self, caller: str, path: str) -> list[Json]:
        """Resources that a search finds."""
        answer = self.world.get(caller, path)
        assert answer.status_code == 200, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", ())]

    def imaging(self, study: str = "1.2.3", caller: str = "") -> Json | None:
        """The ImagingStudy of a study."""
        found = self.find(caller, f"ImagingStudy?identifier=urn:dicom:uid|urn:oid:{study}")
        return found[0] if found else None

    def tasks(self, caller: str = "", status: str = "requested") -> list[Json]:
        """The Tasks about studies."""
        return self.find(caller, f"Task?code=urn:nhipcau:imaging|resolve-study&status={status}")

    def patient(self, identity: str = "anh", his: str = "his-a", **more: Any) -> None:
        """Keep a patient, Ánh unless said."""
        self.world.put(his, of("Patient", identity, **{**ANH, **more}))

    def order(self, identity: str, patient: str, accession: str, his: str = "his-a", **more: Any) -> None:
        """Keep an order with an accession number."""
        kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
        self.world.put(
            his,
            {
                **of("ServiceRequest", identity, status="active", intent="order", subject=to(f"Patient/{patient}")),
                "identifier": [{"type": kind, "value": accession}],
                **more,
            },
        )


def until(holds: Callable[[], Any], seconds: float = 15) -> Any:
    """What is true at last."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def until_seen(place: Hospital, caller: str, study: str, *, sees: bool = True) -> None:
    """Wait until a caller can open a study, or cannot any more."""
    until(lambda: place.sees(caller, study) is sees)


@contextmanager
def quick() -> Iterator[None]:
    """Let synchronizers wait less than they do for operators."""
    pace, extension.PACE = extension.PACE, Pace(looks=0.05, quiet=0.2)
    try:
        yield
    finally:
        extension.PACE = pace


@contextmanager
def hospital(folder: Path | None = None, **settings: Any) -> Iterator[Hospital]:
    """The country with the bridge, whose synchronizer is quick."""
    with quick(), country(folder=folder, extensions=[images], **settings) as world:
        yield Hospital(world)
