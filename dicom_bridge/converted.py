"""Files of an archive in another transfer syntax than they are stored in, made one by one as they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dicom_bridge.archive import DicomArchive, Held
from dicom_bridge.darkroom import Darkroom
from dicom_bridge.workplace import CONVERT, workplace


class Converted:
    """Makes them in a darkroom, in a folder of the data folder that each has for itself."""

    def __init__(self, archive: DicomArchive, darkroom: Darkroom, folder: Path) -> None:
        self._archive = archive
        self._darkroom = darkroom
        self._folder = folder

    @asynccontextmanager
    async def made(self, held: Held, syntax: str) -> AsyncIterator[Path]:
        """The file of an instance in a transfer syntax, while it is needed; raise NoPicture where that cannot be."""
        with workplace(self._folder, CONVERT) as folder:
            source, target = folder / "source", folder / "target"
            await copy(self._archive, held, source)
            told = {"source": str(source), "target": str(target), "syntax": syntax}
            await self._darkroom.develop("convert", told, {})
            yield target


async def copy(archive: DicomArchive, held: Held, target: Path) -> None:
    """Write the file of an instance."""
    with target.open("wb") as file:
        async for piece in archive.read(held):
            await asyncio.to_thread(file.write, piece)
