"""The part of images in the story of a demo: the order that was told is performed, and its study is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from dicom_bridge.archive import DicomArchive, Refused
from dicom_bridge.lookup import Body, parsed
from dicom_bridge.sample import Ordered, sample_files
from dicom_bridge.study_note import StudyNotes
from dicom_bridge.synchronizer import Synchronizer
from dicom_bridge.visibility import Visibility
from dicom_bridge.worklist import accession_of, name_of, patient_number, study_uid
from fhir_server.rest.node import Node
from fhir_server.telling import Story

SEXES = {"male": "M", "female": "F"}
ORDER = "order"
"""What the story calls the imaging order; it says the UID of its study."""


class Showing:
    """Tells a story on: stores images of its order once, as the facility's that they were ordered from."""

    def __init__(
        self, archive: DicomArchive, notes: StudyNotes, visibility: Visibility, synchronizer: Synchronizer
    ) -> None:
        self._archive = archive
        self._notes = notes
        self._visibility = visibility
        self._synchronizer = synchronizer

    async def tell(self, node: Node, story: Story) -> Story:
        """The study of the story's order, and the ImagingStudy that shows it; nothing where nothing is ordered."""
        if ORDER not in story:
            return {}
        request = await body_of(node, story[ORDER])
        study = study_uid(request, "")
        note = await self._notes.of(study)
        if note is None or not note.is_shown:
            patient = await body_of(node, request["subject"]["reference"])
            performer = request["performer"][0]["reference"].rpartition("/")[2]
            ordered = ordered_by(request, patient, ZoneInfo(node.settings.time_zone))
            await self._store(study, performer, await asyncio.to_thread(lambda: list(sample_files(ordered))))
            await self._synchronizer.synchronize(self._synchronizer.server(node), study)
            note = await self._notes.of(study)
        if note is None or not note.is_shown:
            raise RuntimeError(f"The images of the demo are nobody's: {note}")
        return {"study": study, "imagingStudy": f"ImagingStudy/{note.imaging}"}

    async def _store(self, study: str, facility: str, files: Iterable[bytes]) -> None:
        archive = self._archive
        await self._visibility.claims(archive, study, facility)
        incoming = []
        for file in files:
            each = archive.receive()
            each.write(file)
            incoming.append(each)
        refused = [each.text for each in await archive.store(incoming, study=study) if isinstance(each, Refused)]
        if refused:
            raise RuntimeError(f"Images of the demo are refused: {refused}")


async def body_of(node: Node, reference: str) -> Body:
    """The resource that a relative reference names."""
    kind, _, identity = reference.partition("/")
    return parsed(await node.repository.read(kind, identity))


def ordered_by(request: Body, patient: Body, zone: ZoneInfo) -> Ordered:
    """Return what a scanner takes from an order, performed when it was written."""
    at = datetime.fromisoformat(str(request["authoredOn"])).astimezone(zone)
    return Ordered(
        study=study_uid(request, ""),
        accession=accession_of(request),
        description=str(request["code"]["text"]),
        date=f"{at:%Y%m%d}",
        time=f"{at:%H%M%S}",
        patient_name=name_of(patient),
        patient_id=patient_number(patient)[0],
        birth_date=str(patient["birthDate"]).replace("-", ""),
        sex=SEXES.get(str(patient.get("gender")), "O"),
    )
