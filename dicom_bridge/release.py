"""Studies given away without whose they are: what is asked for, and all files of it before the first is sent."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from dicom_bridge.archive import DicomArchive, Held
from dicom_bridge.confidentiality import OPTIONS, digest_of
from dicom_bridge.converted import copy
from dicom_bridge.darkroom import Darkroom
from dicom_bridge.pixels import NoPicture
from dicom_bridge.question import is_uid
from dicom_bridge.reception import patiently
from dicom_bridge.workplace import RELEASE, workplace
from fhir_server.errors import Invalid, InvalidValue, TooLarge, Unprocessable

KEY = "deidentification.key"
KEY_BYTES = 32
LONGEST_BODY = 100_000
LONGEST_RECIPIENT = 200
PIECE_BYTES = 256 * 1024
MOST_RECTANGLES = 100
LARGEST_COORDINATE = 65_535
MEMBERS = ("recipient", "options", "series", "masks")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: for whom, with which options, which series (all where none is named), and masks by series."""

    recipient: str = ""
    options: Sequence[str] = ()
    series: Sequence[str] = ()
    masks: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)


def request_of(body: bytes) -> Request:
    """Return what a body asks for; raise Invalid for what is none."""
    try:
        asked = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        raise Invalid("The body is no JSON.") from None
    if not isinstance(asked, dict) or set(asked) - set(MEMBERS):
        raise Invalid(f"The body is an object with {', '.join(MEMBERS)}, each of which may be missing.")
    given: dict[str, Any] = {"recipient": "", "options": [], "series": [], "masks": {}, **asked}
    recipient, options, series, masks = (given[name] for name in MEMBERS)
    if not isinstance(recipient, str) or len(recipient) > LONGEST_RECIPIENT:
        raise InvalidValue(f"recipient is a text of at most {LONGEST_RECIPIENT} letters.")
    if not is_texts(options) or not set(options) <= set(OPTIONS):
        raise InvalidValue(f"options are some of {', '.join(OPTIONS)}.")
    if {"retain-dates", "shift-dates"} <= set(options):
        raise InvalidValue("Dates are either retained or shifted.")
    if not is_texts(series) or not all(map(is_uid, series)):
        raise InvalidValue("series are UIDs of series.")
    if not isinstance(masks, dict) or not all(is_uid(each) and is_mask(mask) for each, mask in masks.items()):
        raise InvalidValue("masks are lists of rectangles, [left, top, width, height] each, by the UID of a series.")
    return Request(recipient, options, series, masks)


def is_texts(value: Any) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


async def body_of(chunks: AsyncIterator[bytes], seconds: float) -> bytes:
    """Return a body of JSON; raise TooLarge where it is none of this kind, TooSlow where it does not come."""
    body = b""
    async for chunk in patiently(chunks, seconds):
        body += chunk
        if len(body) > LONGEST_BODY:
            raise TooLarge(f"The body is longer than {LONGEST_BODY:,} bytes.")
    return body


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """Yield a file piece by piece."""
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece


def is_mask(mask: Any) -> bool:
    """Whether a value is a list of rectangles, one at least: who sees nothing to mask has not drawn a mask."""
    return isinstance(mask, list) and 0 < len(mask) <= MOST_RECTANGLES and all(map(_is_rectangle, mask))


def _is_rectangle(value: Any) -> bool:
    is_four = isinstance(value, list) and len(value) == 4
    is_whole = is_four and all(type(each) is int and 0 <= each <= LARGEST_COORDINATE for each in value)
    return is_whole and min(value[2:]) > 0


class Release:
    """Makes files without whose they are. The key of pseudonyms is kept in the data folder, and made once."""

    def __init__(self, archive: DicomArchive, darkroom: Darkroom, folder: Path) -> None:
        self._archive = archive
        self._darkroom = darkroom
        self._folder = folder

    @asynccontextmanager
    async def made(self, held: Sequence[Held], asked: Request) -> AsyncIterator[list[Path]]:
        """The files of instances, while they are needed; raise Unprocessable where one of them cannot be released."""
        key = digest_of(self._key(), "recipient", asked.recipient).hex()
        with workplace(self._folder, RELEASE) as folder:
            paths: list[Path] = []
            for number, each in enumerate(held):
                source, target = folder / "source", folder / f"{number}.dcm"
                await copy(self._archive, each, source)
                told = {"source": str(source), "target": str(target), "key": key, "options": list(asked.options)}
                try:
                    await self._darkroom.develop(
                        "deidentify", {**told, "mask": list(asked.masks.get(each.uids.series, ()))}, {}
                    )
                except NoPicture as refusal:
                    where = f"series {each.uids.series}, instance {each.uids.instance}"
                    raise Unprocessable(f"Nothing is released, because of {where}: {refusal}") from None
                paths.append(target)
            yield paths

    def _key(self) -> bytes:
        path = self._folder / KEY
        if not path.exists():
            made = path.with_name(f"{KEY}.{secrets.token_hex(8)}")
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                os.fsync(file.fileno())
            try:
                # Of several processes that make one, the first one's counts.
                os.link(made, path)
            except FileExistsError:
                pass
            finally:
                made.unlink()
        return path.read_bytes()
