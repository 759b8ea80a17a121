"""Frames of an archive in other forms: rendered for people, and in other transfer syntaxes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import orjson

from dicom_bridge.archive import DicomArchive, Held, Uids
from dicom_bridge.darkroom import Darkroom
from dicom_bridge.pixels import BIG, BIG_ENDIAN, NoPicture, Pixels, lut_places, pixels_of
from dicom_bridge.view import View

MOST_KNOWN = 1_000
LARGEST_KNOWN = 32_000

Described = tuple[bytes, Pixels, dict[str, bytes]]
"""The data set of an instance as JSON, how its pixels are to be read, and its look-up tables that are bulk."""


class Pictures:
    """Makes them in a darkroom, and remembers what was made as long as there is room."""

    def __init__(self, archive: DicomArchive, darkroom: Darkroom) -> None:
        self._archive = archive
        self._darkroom = darkroom
        self._known: OrderedDict[str, Described] = OrderedDict()

    async def pixels(self, held: Held) -> Pixels:
        """How the pixels of an instance are to be read; raise NoPicture where it has none that can be."""
        return (await self._described(held))[1]

    async def rendered(self, held: Held, frame: int, view: View) -> bytes:
        """A frame as an image; raise NoPicture where that cannot be."""
        return await self._darkroom.kept((held.sha256, frame, view), lambda: self._render(held, frame, view))

    async def _render(self, held: Held, frame: int, view: View) -> bytes:
        json, pixels, luts = await self._described(held)
        told = {"syntax": pixels.transfer_syntax, "frame": frame, "view": view.as_json()}
        blobs = {**luts, "json": json, "frame": await self._frame(held, frame)}
        return (await self._darkroom.develop("render", told, blobs))[1]["image"]

    async def transcoded(self, held: Held, frame: int, target: str) -> bytes:
        """A frame in another transfer syntax; raise NoPicture where that cannot be."""
        return await self._darkroom.kept((held.sha256, frame, target), lambda: self._transcode(held, frame, target))

    async def _transcode(self, held: Held, frame: int, target: str) -> bytes:
        json, pixels, _ = await self._described(held)
        told = {"syntax": pixels.transfer_syntax, "target": target}
        blobs = {"json": json, "frame": await self._frame(held, frame)}
        return (await self._darkroom.develop("transcode", told, blobs))[1]["frame"]

    async def _frame(self, held: Held, number: int) -> bytes:
        found = await self._archive.frames(held.uids, [number])
        if found is None:
            raise NoPicture(f"It has no frame {number} that can be told from the others.")
        return found[1][0]

    async def _described(self, held: Held) -> Described:
        """What is to be known of an instance, remembered by the digest of its file."""
        found = self._known.get(held.sha256)
        if found is not None:
            return found
        (text,) = await self._archive.metadata(held.uids) or (b"{}",)
        json = orjson.loads(text)
        pixels = pixels_of(json, held.transfer_syntax)
        luts = {place: await self._bulk(held.uids, place) for place in lut_places(json)}
        if held.transfer_syntax == BIG_ENDIAN:
            luts[BIG] = b""
        made = orjson.dumps(slimmed(json)), pixels, luts
        if len(made[0]) <= LARGEST_KNOWN:
            self._known[held.sha256] = made
            if len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return made

    async def _bulk(self, uids: Uids, place: str) -> bytes:
        return await self._archive.bulk(uids, place.split("/")) or b""


def slimmed(json: dict[str, Any]) -> dict[str, Any]:
    """Return what a data set says of its image, without whose it is: the darkroom need not know."""
    return {tag: element for tag, element in json.items() if tag[:4] in ("0028", "2050", "5200", "7FE0")}


def representative(held: Sequence[Held]) -> Sequence[Held]:
    """Return instances in the order in which one of them stands for all: the middle one of the first series first."""
    first = [each for each in held if each.uids.series == held[0].uids.series]
    middle = len(first) // 2
    return [*first[middle:], *reversed(first[:middle]), *(each for each in held if each not in first)]
