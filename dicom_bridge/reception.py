"""STOW-RS: instances come in parts, each stored or refused by itself (PS3.18, 10.5)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any

from dicom_bridge.acceptance import DICOM, RELATED
from dicom_bridge.archive import DUPLICATE, UNFITTING, UNREADABLE, DicomArchive, Incoming, Refused, Stored
from dicom_bridge.imaging_study import imaging_study_id
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
from fhir_server.extension import Visit
from fhir_server.part import Part
from fhir_server.rest.failure import TooSlow, UnknownMediaType

STORED_AT_ONCE = 10
MOST_PARTS = 10_000

Result = Stored | Refused
Admit = Callable[[str], Awaitable[bool]]
"""Whether who sends may store instances of a study."""

CONFLICTS = (DUPLICATE, UNFITTING)
HEAD_BYTES = 262_144
"""Within so many bytes a file must say of which study it is."""
UNNAMED = "unnamed"
"""The study of a file that does not: the archive says what is wrong with it."""
STUDY_OF: Part[Callable[[bytes], str]] = Part("dicom_bridge.instance:study_of")


class Reception:
    """Takes one message of instances for a study (empty: of any). What came whole is stored while the rest comes."""

    def __init__(self, archive: DicomArchive, study: str, admit: Admit) -> None:
        self._archive = archive
        self._study = study
        self._admit = admit
        self._head = b""
        self._studies: dict[int, str] = {}
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
        self._head = b""
        if media_type_of(content_type).name == DICOM:
            self._receiving = self._archive.receive()
        else:
            text = f"It is {content_type[:80]}, and only {DICOM} is stored."
            self._results[self._parts] = Refused(UNREADABLE, text)

    def _write(self, data: bytes) -> None:
        if self._receiving is None:
            return
        if not self._study and len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        try:
            self._receiving.write(data)
        except Refused as refused:
            self._results[self._parts] = refused
            self._receiving.abandon()
            self._receiving = None

    def _end(self) -> None:
        if self._receiving is not None:
            self._waiting[self._parts] = self._receiving
            self._studies[self._parts] = self._study or STUDY_OF.load()(self._head) or UNNAMED
            self._receiving = None

    async def _store(self) -> None:
        """Begin to store what waits, once what was begun before is stored."""
        if self._storing is not None:
            await self._storing
        waiting, self._waiting = self._waiting, {}
        self._storing = asyncio.create_task(self._stored(waiting))

    async def _stored(self, waiting: dict[int, Incoming]) -> None:
        try:
            for study in dict.fromkeys(self._studies[number] for number in waiting):
                of_study = {number: each for number, each in waiting.items() if self._studies[number] == study}
                if study == UNNAMED or await self._admit(study):
                    results = await self._archive.store(list(of_study.values()), study=study)
                    self._results |= dict(zip(of_study, results, strict=True))
                else:
                    self._refuse(of_study)
        finally:
            for each in waiting.values():
                each.abandon()

    def _refuse(self, refused: Collection[int]) -> None:
        for number in refused:
            self._results[number] = Refused(UNFITTING, "Its study is another facility's, and not open to you.")


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


def account_for(visit: Visit, results: list[Result]) -> None:
    """Enter what was stored, by studies, and what was refused because of what is here already."""
    for study, count in Counter(each.uids.study for each in results if isinstance(each, Stored)).items():
        about = [f"ImagingStudy/{imaging_study_id(study)}"]
        facilities = visit.caller.organizations[:1]
        visit.audited("C", "create", about, facilities=facilities, text=f"{count} images by DICOMweb")
    refused = Counter(each.text for each in results if isinstance(each, Refused) and each.reason in CONFLICTS)
    for text, count in refused.items():
        visit.audited("C", "create", text=f"{count} images refused: {text}", succeeded=False)


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
