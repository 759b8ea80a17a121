"""The bridge as an extension of the server: an archive of its own, and DICOMweb over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dicom_bridge.dicomweb import PREFIX, DicomWeb, rows
from dicom_bridge.local_archive import LocalArchive
from dicom_bridge.study_note import StudyNotes
from dicom_bridge.visibility import Visibility
from fhir_server.extension import Extension, Surroundings
from fhir_server.rest.node import Node

FOLDER = "images"


def images(surroundings: Surroundings) -> Extension:
    """Return the extension: an archive in the data folder, served below /dicom-web."""
    settings = surroundings.settings
    notes = StudyNotes()
    visibility = Visibility(surroundings.clock, notes, settings.organization)
    web = DicomWeb(visibility, settings.base_url, settings.body_seconds)

    @asynccontextmanager
    async def opened(node: Node) -> AsyncIterator[None]:
        archive = LocalArchive(surroundings.data / FOLDER, surroundings.clock, settings.image_bytes)
        web.archive = archive
        notes.notes = node.notes
        try:
            yield
        finally:
            await archive.close()

    return Extension("images", PREFIX, rows=rows(web), opened=opened)
