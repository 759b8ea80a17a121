"""STOW-RS: instances come in parts, each stored or refused by itself (PS3.18, 10.5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from dicom_bridge.acceptance import DICOM, RELATED
from dicom_bridge.archive import UNREADABLE, DicomArchive, Incoming, Refused, Stored
from dicom_bridge.multipart import (
    MultipartError,
    MultipartReader,
    PartBegun,
    PartEnded,
    Piece,
    TooManyParts,
    boundary_of,
    media_type_of,
)
from fhir_server.errors import Invalid, Issue, TooLarge
from fhir_server.rest.failure import TooSlow, UnknownMediaType

STORED_AT_ONCE = 10
MOST_PARTS = 10_000

Result = Stored | Refused


class Reception:
    """Takes one message of instances for a study (empty: of any). What came whole is stored while the rest comes."""

    def __init__(self, archive: DicomArchive, study: str) -> None:
        self._archive = archive
        self._study = study
        self._results: dict[int, Result] = {}
        self._waiting: dict[int, Incoming] = {}
        self._receiving: Incoming | None = None
        self._parts = 0
        self._storing: asyncio.Task[None] | None = None

    async def take(self, content_type: str, chunks: AsyncIterator[bytes], seconds: float) -> list[Result]:
        """Return what became of each instance, in their order; raise Invalid for what is no message of instances.

        Raise TooSlow where nothing comes for so many seconds.
        """
        kind = media_type_of(content_type)
        try:
            if kind.name == DICOM:
                await self._take_one(patiently(chunks, seconds))
            elif kind.name == RELATED and kind.parameters.get("type", DICOM).lower() == DICOM:
                await self._take_parts(boundary_of(kind), patiently(chunks, seconds))
            else:
                raise UnknownMediaType(f'Send multipart/related; type="{DICOM}", not {content_type[:80] or "nothing"}.')
            await self._store()
            if self._storing is not None:
                await self._storing
        except TooManyParts as failure:
            raise TooLarge(f"Of the message: {failure}.") from None
        except MultipartError as failure:
            text = f"This is no multipart message: {failure}. What came whole before that is stored."
            raise Invalid(Issue("error", "structure", text)) from None
        finally:
            if self._storing is not None:
                await asyncio.wait([self._storing])
            for each in (*self._waiting.values(), *filter(None, (self._receiving,))):
                each.abandon()
        return [self._results[number] for number in range(1, self._parts + 1)]

    async def _take_one(self, chunks: AsyncIterator[bytes]) -> None:
        self._begin(DICOM)
        async for chunk in chunks:
            self._write(chunk)
        self._end()

    async def _take_parts(self, boundary: bytes, chunks: AsyncIterator[bytes]) -> None:
        reader = MultipartReader(boundary, most_parts=MOST_PARTS)
        async for chunk in chunks:
            for event in reader.feed(chunk):
                match event:
                    case PartBegun(headers):
                        self._begin(headers.get("content-type", DICOM))
                    case Piece(data):
                        self._write(data)
                    case PartEnded():
                        self._end()
            if len(self._waiting) >= STORED_AT_ONCE:
                await self._store()
        reader.close()

    def _begin(self, content_type: str) -> None:
        self._parts += 1
        if media_type_of(content_type).name == DICOM:
            self._receiving = self._archive.receive()
        else:
            text = f"It is {content_type[:80]}, and only {DICOM} is stored."
            self._results[self._parts] = Refused(UNREADABLE, text)

    def _write(self, data: bytes) -> None:
        if self._receiving is None:
            return
        try:
            self._receiving.write(data)
        except Refused as refused:
            self._results[self._parts] = refused
            self._receiving.abandon()
            self._receiving = None

    def _end(self) -> None:
        if self._receiving is not None:
            self._waiting[self._parts] = self._receiving
            self._receiving = None

    async def _store(self) -> None:
        """Begin to store what waits, once what was begun before is stored."""
        if self._storing is not None:
            await self._storing
        waiting, self._waiting = self._waiting, {}
        self._storing = asyncio.create_task(self._stored(waiting))

    async def _stored(self, waiting: dict[int, Incoming]) -> None:
        results = await self._archive.store(list(waiting.values()), study=self._study)
        self._results |= dict(zip(waiting, results, strict=True))


async def patiently(chunks: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """Yield what comes; raise TooSlow where nothing does for so many seconds."""
    following = aiter(chunks)
    while True:
        try:
            async with asyncio.timeout(seconds):
                chunk = await anext(following)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise TooSlow(f"Nothing came for {seconds:g} seconds.") from None
        yield chunk


def status_of(results: list[Result]) -> int:
    """Return the status of a message: all stored, some, or none (PS3.18, 10.5.3)."""
    stored = sum(isinstance(each, Stored) for each in results)
    return 200 if stored == len(results) else 202 if stored else 409


def told(results: list[Result], base: str) -> dict[str, Any]:
    """Return the answer in DICOM JSON: each instance that is stored, and why each other is not (PS3.18, I.2)."""
    stored = [each for each in results if isinstance(each, Stored)]
    refused = [(number, each) for number, each in enumerate(results, 1) if isinstance(each, Refused)]
    answer = {
        "00081198": [_refused(number, each) for number, each in refused if each.uid],
        "00081199": [_stored(each, base) for each in stored],
        "0008119A": [_refused(number, each) for number, each in refused if not each.uid],
    }
    return {tag: {"vr": "SQ", **({"Value": items} if items else {})} for tag, items in answer.items()}


def _stored(each: Stored, base: str) -> dict[str, Any]:
    uids = each.uids
    address = f"{base}/studies/{uids.study}/series/{uids.series}/instances/{uids.instance}"
    return {**_named(each.sop_class, uids.instance), "00081190": {"vr": "UR", "Value": [address]}}


def _refused(number: int, each: Refused) -> dict[str, Any]:
    return {
        "00000902": {"vr": "LO", "Value": [f"Part {number}: {each.text}"]},
        **(_named(each.sop_class, each.uid) if each.uid else {}),
        "00081197": {"vr": "US", "Value": [each.reason.code]},
    }


def _named(sop_class: str, uid: str) -> dict[str, Any]:
    known = {"00081150": sop_class, "00081155": uid}
    return {tag: {"vr": "UI", "Value": [value]} for tag, value in known.items() if value}
