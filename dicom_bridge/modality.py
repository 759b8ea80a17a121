"""What modalities need of the server besides DICOMweb: somebody who listens for them, and studies of their orders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from dicom_bridge.archive import DicomArchive
from dicom_bridge.imaging_order import Orders
from dicom_bridge.process_lock import locking
from fhir_server.errors import FhirError
from fhir_server.part import Part
from fhir_server.rest.node import Node
from fhir_server.settings import Settings

FOLDER = "dicom"
LOCK = "listening.lock"
SECONDS_BETWEEN_LOOKS = 1.0
SERVE: Part[Callable[[Settings, Node, DicomArchive, Path], Awaitable[None]]] = Part("dicom_bridge.dimse:serve")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listening:
    """Listens for DICOM in one of the server's processes; another begins where that one ends."""

    settings: Settings
    data: Path
    archive: Callable[[], DicomArchive]

    async def work(self, node: Node) -> None:
        """Wait for the turn, then listen until cancelled."""
        folder = self.data / FOLDER
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        with locking(folder / LOCK) as take:
            while not take():  # noqa: ASYNC110 -- another process decides when
                await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            await SERVE.load()(self.settings, node, self.archive(), folder / "incoming")


async def note_orders(node: Node, versions: Sequence[Any]) -> None:
    """Give every imaging order its study, registered, so that its images find it."""
    orders = Orders(node)
    for version in versions:
        if version.type == "ServiceRequest" and version.body is not None:
            try:
                await orders.ordered(orjson.loads(version.body))
            except FhirError as failure:
                log.warning("the study of ServiceRequest/%s is not registered: %s", version.id, failure)
