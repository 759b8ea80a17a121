"""The bridge as an extension of the server: an archive of its own, and DICOMweb over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from dicom_bridge.archive import DicomArchive
from dicom_bridge.converted import Converted
from dicom_bridge.darkroom import Darkroom
from dicom_bridge.dicomweb import PREFIX, DicomWeb, rows
from dicom_bridge.local_archive import LocalArchive
from dicom_bridge.modality import Listening, note_orders
from dicom_bridge.pictures import Pictures
from dicom_bridge.release import KEY, Release
from dicom_bridge.reporting import Reporting
from dicom_bridge.resolving import Resolving
from dicom_bridge.study_note import StudyNotes
from dicom_bridge.synchronizer import Pace, Synchronizer
from dicom_bridge.visibility import Visibility
from dicom_bridge.workplace import sweep
from fhir_server.extension import Extension, Listener, Surroundings
from fhir_server.maintenance import Finding, Kept
from fhir_server.part import Part
from fhir_server.rest.node import Node
from fhir_server.telling import Story

if TYPE_CHECKING:
    # So that the contracts about imports see it.
    from dicom_bridge.examination import examined  # noqa: F401
    from dicom_bridge.showing import Showing

FOLDER = "images"
KEPT = Kept(
    databases=("images/index.sqlite", "images/orthanc/index.sqlite", "images/orthanc/orthanc.sqlite"),
    folders=("images/studies", "images/orthanc/replaced"),
    secrets=(KEY,),
)
"""Of whichever archive there is. What Orthanc itself keeps is saved with Orthanc; copies of its files come again."""
PACE = Pace()
EXAMINED: Part[Callable[[Surroundings], Iterator[tuple[str, Finding]]]] = Part("dicom_bridge.examination:examined")
ORTHANC: Part[Callable[[Surroundings], AbstractAsyncContextManager[DicomArchive]]] = Part(
    "dicom_bridge.orthanc_archive:connected"
)

SHOWING: Part[type[Showing]] = Part("dicom_bridge.showing:Showing")


@asynccontextmanager
async def archive_of(surroundings: Surroundings) -> AsyncIterator[DicomArchive]:
    """The archive that the settings name, open."""
    settings = surroundings.settings
    if settings.archive:
        async with ORTHANC.load()(surroundings) as archive:
            yield archive
        return
    local = LocalArchive(surroundings.data / FOLDER, surroundings.clock, settings.image_bytes)
    try:
        yield local
    finally:
        await local.close()


def images(surroundings: Surroundings) -> Extension:
    """Return the extension: an archive in the data folder, served below /dicom-web."""
    settings = surroundings.settings
    notes = StudyNotes()
    visibility = Visibility(surroundings.clock, notes, settings.organization)
    web = DicomWeb(visibility, settings.base_url, settings.body_seconds)
    zone = ZoneInfo(settings.time_zone)
    folder = surroundings.data / FOLDER
    synchronizer = Synchronizer(notes, folder, surroundings.base, settings.organization, zone, PACE)
    reporting = Reporting(surroundings.data)

    @asynccontextmanager
    async def opened(node: Node) -> AsyncIterator[None]:
        await asyncio.to_thread(sweep, surroundings.data, time.time())
        async with archive_of(surroundings) as archive, aclosing(Darkroom()) as darkroom:
            web.archive = synchronizer.archive = reporting.archive = archive
            notes.notes = node.notes
            web.pictures = Pictures(archive, darkroom)
            web.converted = Converted(archive, darkroom, surroundings.data)
            web.released = Release(archive, darkroom, surroundings.data)
            yield

    async def tells(node: Node, story: Story) -> Story:
        return await SHOWING.load()(web.archive, notes, visibility, synchronizer).tell(node, story)

    listening = Listening(settings, surroundings.data, lambda: web.archive)
    listeners = [Listener("imaging orders", note_orders)] if settings.dicom_port else []
    work = [listening.work] if settings.dicom_port else []
    return Extension(
        "images",
        PREFIX,
        rows=rows(web),
        operations=(Resolving(synchronizer, notes).operation, reporting.operation),
        listeners=[Listener("images", synchronizer.hear), *listeners],
        work=[synchronizer.work, *work],
        opened=opened,
        keeps=KEPT,
        examined=lambda: EXAMINED.load()(surroundings),
        tells=tells,
    )
