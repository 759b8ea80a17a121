"""The DICOMweb server: STOW-RS, QIDO-RS and WADO-RS below one prefix (PS3.18, 10)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Literal, NamedTuple
from uuid import uuid4

import orjson
from starlette.responses import Response, StreamingResponse

from dicom_bridge import rendering
from dicom_bridge.acceptance import (
    DICOM,
    FRAME_TYPES,
    Offer,
    check_json,
    choose,
    file_offers,
    frame_offers,
    not_acceptable,
    stored_frames,
)
from dicom_bridge.archive import DicomArchive, Held, Uids
from dicom_bridge.attribute import Level
from dicom_bridge.converted import Converted
from dicom_bridge.finding import find_visible
from dicom_bridge.multipart import MultipartWriter
from dicom_bridge.pictures import Pictures
from dicom_bridge.pixels import NoPicture
from dicom_bridge.question import is_uid, question
from dicom_bridge.reception import Reception, account_for, status_of, told
from dicom_bridge.release import Release, body_of, pieces_of, request_of
from dicom_bridge.transfer_syntax import BYTES, EXPLICIT_LITTLE
from dicom_bridge.view import view_of
from dicom_bridge.visibility import Seen, Visibility, check_role, tell
from fhir_server.errors import Invalid, InvalidValue, NotFound
from fhir_server.extension import Row, Visit
from fhir_server.rest.failure import NotAcceptable

PREFIX = "/dicom-web"
JSON = "application/dicom+json"
MOST_FRAMES = 100
HEADERS = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
READ, FIND, STORE, DELETE = ((("ImagingStudy", letter),) for letter in "rscd")
STUDY = "/studies/{study}"
SERIES = f"{STUDY}/series/{{series}}"
INSTANCE = f"{SERIES}/instances/{{instance}}"


class Asked(NamedTuple):
    """What a path below the prefix names."""

    uids: Uids
    level: Level


class DicomWeb:
    """Answers DICOMweb requests from an archive, for studies that the caller may see. `seconds` bound a silence.

    `archive`, `pictures`, `converted` and `released` are there while the server runs.
    """

    archive: DicomArchive
    pictures: Pictures
    converted: Converted
    released: Release

    def __init__(self, visibility: Visibility, base_url: str, seconds: float) -> None:
        self._visibility = visibility
        self._base_url = base_url.rpartition("/")[0]
        self._seconds = seconds

    async def store(self, visit: Visit) -> Response:
        """Store instances: 200 where all are, 202 where some are, 409 where none is."""
        check_role(visit.caller, "create")
        check_json(visit.request.headers.get("accept"))
        study = visit.request.path_params.get("study", "")
        if study and not is_uid(study):
            raise InvalidValue(f"{study[:80]!r} is no UID.")
        content_type = visit.request.headers.get("content-type", "")
        reception = Reception(self.archive, study, partial(self._visibility.admits, visit, self.archive))
        results = await reception.take(content_type, visit.request.stream(), self._seconds)
        if not results:
            raise Invalid("The message has no part.")
        account_for(visit, results)
        body = orjson.dumps(told(results, self._base(visit)))
        return Response(body, status_of(results), HEADERS, JSON)

    async def search(self, visit: Visit) -> Response:
        """Find studies, series or instances."""
        check_json(visit.request.headers.get("accept"))
        *_, last = visit.request.url.path.rstrip("/").split("/")
        level: Level = {"studies": "study", "series": "series"}.get(last, "instance")  # type: ignore[assignment]
        within = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID"}
        path = visit.request.path_params
        asked = question(
            level,
            visit.request.query_params.multi_items(),
            [(keyword, path[name]) for name, keyword in within.items() if name in path],
        )
        if "study" in path:
            await self._seen(visit, path["study"])
        answers, unseen = await find_visible(visit, self.archive, self._visibility, asked)
        visit.audited("Q", "search-type")
        headers = dict(HEADERS)
        notes = [*asked.notes, *unseen, *(["There are more; go on with offset."] if answers.is_cut else [])]
        if notes:
            headers["Warning"] = ", ".join(f'299 - "{note}"' for note in notes)
        return Response(self._addressed(visit, b"[%s]" % b",".join(answers.answers), ""), 200, headers, JSON)

    async def retrieve(self, visit: Visit) -> Response:
        """The files of a study, a series or an instance, as they are stored; none is left out."""
        held = await self._held(visit, "export")
        offers = file_offers({each.transfer_syntax for each in held})
        found = choose(visit.request.headers.get("accept"), offers, count=len(held))
        if found is None:
            raise not_acceptable(offers)
        if not found[0].is_stored:
            return await self._in_syntax(visit, held, found[0].transfer_syntax, is_parted=found[1])
        if not found[1]:
            syntax = f"{DICOM}; transfer-syntax={held[0].transfer_syntax}"
            length = {"content-length": str(held[0].bytes)}
            return StreamingResponse(self.archive.read(held[0]), 200, HEADERS | length, syntax)
        writer = MultipartWriter(uuid4().hex, DICOM)
        return StreamingResponse(self._files(writer, held, self._base(visit)), 200, HEADERS, writer.media_type)

    async def _files(self, writer: MultipartWriter, held: Sequence[Held], base: str) -> AsyncIterator[bytes]:
        for each in held:
            headers = {
                "Content-Type": f"{DICOM}; transfer-syntax={each.transfer_syntax}",
                "Content-Location": address(base, each.uids),
            }
            yield writer.begin(headers)
            async for piece in self.archive.read(each):
                yield piece
        yield writer.end()

    async def _in_syntax(self, visit: Visit, held: Sequence[Held], syntax: str, *, is_parted: bool) -> Response:
        """Files in a transfer syntax. The first is made before the answer begins; a later one that fails ends it."""
        writer = MultipartWriter(uuid4().hex, DICOM) if is_parted else None
        pieces = self._made(writer, held, syntax, self._base(visit))
        try:
            first = await anext(pieces)
        except NoPicture as refusal:
            raise NotAcceptable(f"{refusal} It can be had as it is stored: transfer-syntax=*.") from None

        async def all_pieces() -> AsyncIterator[bytes]:
            yield first
            async for piece in pieces:
                yield piece

        typed = f"{DICOM}; transfer-syntax={syntax}" if writer is None else writer.media_type
        return StreamingResponse(all_pieces(), 200, HEADERS, typed)

    async def _made(
        self, writer: MultipartWriter | None, held: Sequence[Held], syntax: str, base: str
    ) -> AsyncIterator[bytes]:
        typed = f"{DICOM}; transfer-syntax={syntax}"
        for each in held:
            async with self.converted.made(each, syntax) as path:
                if writer is not None:
                    yield writer.begin({"Content-Type": typed, "Content-Location": address(base, each.uids)})
                async for piece in pieces_of(path):
                    yield piece
        if writer is not None:
            yield writer.end()

    async def release(self, visit: Visit) -> Response:
        """The images of a study without whose they are, all of what is asked for, or none."""
        check_role(visit.caller, "create")
        asked = request_of(await body_of(visit.request.stream(), self._seconds))
        held = await self._held(visit, "export")
        strange = {*asked.series, *asked.masks} - {each.uids.series for each in held}
        if strange:
            raise InvalidValue(f"The study has no series {', '.join(sorted(strange))}.")
        chosen = [each for each in held if not asked.series or each.uids.series in asked.series]
        async with AsyncExitStack() as stack:
            paths = await stack.enter_async_context(self.released.made(chosen, asked))
            kept = stack.pop_all()
        writer = MultipartWriter(uuid4().hex, DICOM)

        async def parts() -> AsyncIterator[bytes]:
            async with kept:
                for path in paths:
                    yield writer.begin({"Content-Type": DICOM})
                    async for piece in pieces_of(path):
                        yield piece
                yield writer.end()

        return StreamingResponse(parts(), 200, HEADERS, writer.media_type)

    async def metadata(self, visit: Visit) -> Response:
        """The data sets of a study, a series or an instance, with addresses of the bulk of their data."""
        check_json(visit.request.headers.get("accept"))
        uids = await self._uids(visit)
        held, found = await self.archive.held(uids), await self.archive.metadata(uids)
        if not found or len(held) != len(found):
            raise missing(uids)
        base = self._base(visit)
        named = [
            addressed(text, f"{address(base, each.uids)}/bulkdata/") for each, text in zip(held, found, strict=True)
        ]
        return Response(b"[%s]" % b",".join(named), 200, HEADERS, JSON)

    async def frames(self, visit: Visit) -> Response:
        """Frames of an instance, as they are stored, or in the transfer syntax that the client takes."""
        uids = await self._uids(visit)
        numbers = frame_numbers(visit.request.path_params["frames"])
        found = await self.archive.frames(uids, numbers)
        if found is None:
            raise NotFound(f"There is no such instance, or not all of the frames {numbers} are there.")
        syntax, frames = found
        accept = visit.request.headers.get("accept")
        chosen = choose(accept, [stored_frames(syntax)], count=len(numbers))
        if chosen is None:
            chosen, frames = await self._transcoded(uids, syntax, numbers, accept)
        offer, is_parted = chosen
        typed = str(offer)
        if not is_parted:
            return Response(frames[0], 200, HEADERS, typed)
        writer = MultipartWriter(uuid4().hex, offer.media_type)
        location = address(self._base(visit), uids)
        pieces = []
        for number, frame in zip(numbers, frames, strict=True):
            pieces += [writer.begin({"Content-Type": typed, "Content-Location": f"{location}/frames/{number}"}), frame]
        return Response(b"".join([*pieces, writer.end()]), 200, HEADERS, writer.media_type)

    async def _transcoded(
        self, uids: Uids, syntax: str, numbers: Sequence[int], accept: str | None
    ) -> tuple[tuple[Offer, bool], Sequence[bytes]]:
        """The form that a client takes, and frames in it; raise NotAcceptable with what can be had."""
        (held,) = await self.archive.held(uids)
        offers = frame_offers(syntax)
        try:
            await self.pictures.pixels(held)
            chosen = choose(accept, offers, count=len(numbers))
            if chosen is None:
                raise not_acceptable(offers)
            target = chosen[0].transfer_syntax
            return chosen, [await self.pictures.transcoded(held, number, target) for number in numbers]
        except NoPicture as refusal:
            raise NotAcceptable(f"{refusal} It can be had as {offers[0]}.") from None

    async def bulk(self, visit: Visit) -> Response:
        """The value of one element of an instance, as bytes."""
        uids = await self._uids(visit)
        place = bulk_place(visit.request.path_params["place"])
        (held,) = await self.archive.held(uids) or (None,)
        if held is None:
            raise missing(uids)
        if place[-1] == "7FE00010" and len(place) == 1 and held.transfer_syntax in FRAME_TYPES:
            raise NotAcceptable("These pixels are compressed, frame by frame: retrieve them as frames.")
        value = await self.archive.bulk(uids, place)
        if value is None:
            raise NotFound(f"The instance has no bytes at {'/'.join(place)}.")
        offers = [Offer(BYTES, EXPLICIT_LITTLE, is_stored=True)]
        chosen = choose(visit.request.headers.get("accept"), offers)
        if chosen is None:
            raise not_acceptable(offers)
        if not chosen[1]:
            return Response(value, 200, HEADERS, BYTES)
        writer = MultipartWriter(uuid4().hex, BYTES)
        body = b"".join([writer.begin({"Content-Type": BYTES}), value, writer.end()])
        return Response(body, 200, HEADERS, writer.media_type)

    async def rendered(self, visit: Visit) -> Response:
        """Images for people: of an instance, of frames of it, or of every instance, as parts."""
        return await self._shown(visit, "rendered")

    async def thumbnail(self, visit: Visit) -> Response:
        """A small image that stands for a study, a series, an instance or a frame."""
        return await self._shown(visit, "thumbnail")

    async def _shown(self, visit: Visit, kind: Literal["rendered", "thumbnail"]) -> Response:
        held = await self._held(visit, "read")
        view, is_parted = view_of(visit.request.query_params.multi_items(), visit.request.headers.get("accept"), kind)
        if "frames" in visit.request.path_params:
            numbers = frame_numbers(visit.request.path_params["frames"])
            if len(numbers) > 1 and not is_parted:
                raise NotAcceptable("Several frames are several images: accept multipart/related for them.")
            return await rendering.frames(self.pictures, held[0], numbers, view, HEADERS, is_parted=is_parted)
        if is_parted and kind == "rendered":
            return await rendering.every(self.pictures, held, view, HEADERS)
        return await rendering.one(self.pictures, held, view, HEADERS)

    async def delete(self, visit: Visit) -> Response:
        """Take a study, a series or an instance out of what is found."""
        check_role(visit.caller, "remove")
        uids, seen = await self._named(visit)
        await self._visibility.check_own(visit, uids.study)
        if not await self.archive.delete(uids):
            raise missing(uids)
        tell(visit, seen, "delete")
        return Response(status_code=204)

    async def _uids(self, visit: Visit, interaction: Literal["read", "export"] = "read") -> Uids:
        """What the path names, which the caller opens; raise NotFound where the caller may not see the study."""
        uids, seen = await self._named(visit)
        self._visibility.opened(visit, uids.study, seen, interaction)
        return uids

    async def _named(self, visit: Visit) -> tuple[Uids, Seen]:
        path = visit.request.path_params
        uids = Uids(path["study"], path.get("series", ""), path.get("instance", ""))
        for uid in filter(None, uids):
            if not is_uid(uid):
                raise InvalidValue(f"{uid[:80]!r} is no UID.")
        return uids, await self._seen(visit, uids.study)

    async def _seen(self, visit: Visit, study: str) -> Seen:
        found = await self._visibility.seen(visit, {study})
        if study not in found:
            raise missing(Uids(study))
        return found[study]

    async def _held(self, visit: Visit, interaction: Literal["read", "export"]) -> Sequence[Held]:
        uids = await self._uids(visit, interaction)
        held = await self.archive.held(uids)
        if not held:
            raise missing(uids)
        return held

    def _base(self, visit: Visit) -> str:
        return f"{self._base_url or str(visit.request.base_url).rstrip('/')}{PREFIX}"

    def _addressed(self, visit: Visit, text: bytes, rest: str) -> bytes:
        return addressed(text, f"{self._base(visit)}{rest}")


def address(base: str, uids: Uids) -> str:
    """Return the address of a study, a series or an instance."""
    steps = zip(("studies", "series", "instances"), uids, strict=True)
    return "/".join([base, *(f"{word}/{uid}" for word, uid in steps if uid)])


def addressed(text: bytes, base: str) -> bytes:
    """Return stored JSON with addresses in place of what stands for them."""
    return text.replace(b'"bulk:', b'"' + orjson.dumps(base)[1:-1])


def missing(uids: Uids) -> NotFound:
    """The failure of what is not there, or not to be seen."""
    return NotFound(f"There is no {address('', uids).removeprefix('/')} here.")


def frame_numbers(text: str) -> list[int]:
    """Return the numbers of frames in a path, counted from 1; raise InvalidValue for what is none."""
    parts = text.split(",")
    if len(parts) > MOST_FRAMES:
        raise InvalidValue(f"{MOST_FRAMES} frames can be retrieved at once.")
    if not all(part.isascii() and part.isdigit() and 0 < len(part) < 9 and int(part) for part in parts):
        raise InvalidValue(f"{text[:80]!r} is no list of frame numbers, which count from 1.")
    return [int(part) for part in parts]


def bulk_place(text: str) -> list[str]:
    """Return the place of an element in a path: tags, with the number of an item between two; raise InvalidValue."""
    place = text.split("/")
    tags, items = place[::2], place[1::2]
    is_tag = all(len(tag) == 8 and all(letter in "0123456789ABCDEFabcdef" for letter in tag) for tag in tags)
    if len(place) % 2 == 0 or not is_tag or not all(item.isascii() and item.isdigit() for item in items):
        raise InvalidValue(f"{text[:80]!r} is no place of an element.")
    return [step.upper() for step in place]


def rows(web: DicomWeb) -> list[Row]:
    """Return the routes of DICOMweb, longer paths first."""
    return [
        Row("POST", "/studies", web.store, STORE),
        Row("POST", STUDY, web.store, STORE),
        Row("GET", "/studies", web.search, FIND),
        Row("GET", "/series", web.search, FIND),
        Row("GET", "/instances", web.search, FIND),
        Row("GET", f"{STUDY}/series", web.search, FIND),
        Row("GET", f"{STUDY}/instances", web.search, FIND),
        Row("GET", f"{SERIES}/instances", web.search, FIND),
        *(Row("GET", f"{level}/metadata", web.metadata, READ) for level in (STUDY, SERIES, INSTANCE)),
        *(Row("GET", f"{level}/rendered", web.rendered, READ) for level in (STUDY, SERIES, INSTANCE)),
        *(Row("GET", f"{level}/thumbnail", web.thumbnail, READ) for level in (STUDY, SERIES, INSTANCE)),
        Row("GET", f"{INSTANCE}/frames/{{frames}}", web.frames, READ),
        Row("GET", f"{INSTANCE}/frames/{{frames}}/rendered", web.rendered, READ),
        Row("GET", f"{INSTANCE}/frames/{{frames}}/thumbnail", web.thumbnail, READ),
        Row("GET", f"{INSTANCE}/bulkdata/{{place:path}}", web.bulk, READ),
        Row("POST", f"{STUDY}/deidentified", web.release, READ, takes="application/json"),
        *(Row("GET", level, web.retrieve, READ) for level in (STUDY, SERIES, INSTANCE)),
        *(Row("DELETE", level, web.delete, DELETE) for level in (STUDY, SERIES, INSTANCE)),
    ]
