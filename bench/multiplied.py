"""The shared Synthea bundles many times over: fresh ids, Vietnamese names, shifted dates, as packed NDJSON by type."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from bench.corpus import BUNDLES, members

FAMILIES = {
    "Nguyễn": 38,
    "Trần": 11,
    "Lê": 9,
    "Phạm": 7,
    "Hoàng": 5,
    "Vũ": 4,
    "Phan": 4,
    "Đặng": 2,
    "Bùi": 2,
    "Đỗ": 1,
    "Hồ": 1,
    "Ngô": 1,
    "Dương": 1,
    "Lý": 1,
    "Ma": 1,
    "Nông": 1,
    "Hà": 1,
    "Triệu": 1,
}
"""Family names by how many in a hundred bear them."""

MIDDLE = ("Văn", "Thị", "Hữu", "Minh", "Ngọc", "Thanh", "Đức", "Xuân")
GIVEN = (
    *("An", "Bình", "Chi", "Dũng", "Giang", "Hà", "Hùng", "Khánh", "Lan", "Mai", "Mây", "Nam", "Oanh", "Phúc"),
    *("Quân", "Sơn", "Tâm", "Thọ", "Trang", "Tuấn", "Uyên", "Việt", "Yến"),
)
CITIES = ("Tuyên Quang", "Hà Nội", "Cao Bằng", "Đà Nẵng", "Huế", "Cần Thơ", "Hải Phòng", "Lạng Sơn")
LONGEST_SHIFT = 1500
"""How many days earlier the dates of a copy are at most."""

PACKED = 1
VARYING = re.compile(
    rb"(?P<reference>urn:uuid:)?(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    rb'|(?<=")(?P<date>[12]\d{3}-[01]\d-[0-3]\d)(?=[T"])'
    rb"|\{(?P<word>family|given|city|phone)\}"
)

Piece = Callable[["Copy"], bytes]


class Copy:
    """What makes one copy of the data differ from the others."""

    __slots__ = ("_salt", "chance", "ids", "shift")

    def __init__(self, seed: int, number: int) -> None:
        self._salt = b"%d %d" % (seed, number)
        self.chance = random.Random(self._salt)
        self.shift = self.chance.randint(0, LONGEST_SHIFT)
        self.ids: dict[bytes, bytes] = {}

    def renewed(self, own_id: bytes) -> bytes:
        """The id that stands in this copy for one of the original."""
        found = self.ids.get(own_id)
        if found is None:
            digest = blake2b(own_id, digest_size=16, key=self._salt).digest()
            found = self.ids[own_id] = str(UUID(bytes=digest, version=4)).encode()
        return found

    def word(self, kind: str) -> bytes:
        """A name, a city or a number to call."""
        if kind == "family":
            return self.chance.choices(list(FAMILIES), list(FAMILIES.values()))[0].encode()
        if kind == "given":
            return f"{self.chance.choice(MIDDLE)} {self.chance.choice(GIVEN)}".encode()
        if kind == "city":
            return self.chance.choice(CITIES).encode()
        return b"+84 9%08d" % self.chance.randrange(10**8)


@dataclass(frozen=True, slots=True)
class Template:
    """A resource with holes: its type, its id in the original and its pieces."""

    type: str
    id: bytes
    pieces: Sequence[bytes | Piece]

    def filled(self, copy: Copy) -> bytes:
        """The resource's JSON in a copy."""
        return b"".join([piece if isinstance(piece, bytes) else piece(copy) for piece in self.pieces])


def templates(shared: Path) -> list[Template]:
    """The resources of the shared bundles, those that others refer to first."""
    entries = [entry for raw in members(shared / BUNDLES) for entry in orjson.loads(raw)["entry"]]
    bodies = {entry["fullUrl"].removeprefix("urn:uuid:").encode(): entry["resource"] for entry in entries}
    types = {own_id: body["resourceType"].encode() for own_id, body in bodies.items()}
    return [
        Template(body["resourceType"], own_id, list(pieces(orjson.dumps(named(body) | {"id": own_id.decode()}), types)))
        for own_id, body in bodies.items()
    ]


def named(body: dict[str, Any]) -> dict[str, Any]:
    """A person with holes for the name, the city and the number; other resources as they are."""
    if body["resourceType"] not in ("Patient", "Practitioner"):
        return body
    address = [each | {"city": "{city}", "country": "VN"} for each in body.get("address", ())]
    changed = {"name": [{"use": "official", "family": "{family}", "given": ["{given}"]}]}
    if body["resourceType"] == "Patient":
        changed["telecom"] = [{"system": "phone", "value": "{phone}", "use": "mobile"}]
    return body | changed | ({"address": address} if address else {})


def pieces(raw: bytes, types: dict[bytes, bytes]) -> Iterator[bytes | Piece]:
    """Yield what stays and what differs between copies; references to what the bundles hold become relative."""
    at = 0
    for match in VARYING.finditer(raw):
        yield raw[at : match.start()]
        at = match.end()
        if day := match["date"]:
            yield dated(date.fromisoformat(day.decode()).toordinal())
        elif word := match["word"]:
            yield worded(word.decode())
        else:
            mark = match["reference"] or b""
            yield types[match["id"]] + b"/" if mark and match["id"] in types else mark
            yield renewing(match["id"])
    yield raw[at:]


def dated(ordinal: int) -> Piece:
    """A date that is shifted."""
    return lambda copy: date.fromordinal(ordinal - copy.shift).isoformat().encode()


def worded(kind: str) -> Piece:
    """A word that is drawn."""
    return lambda copy: copy.word(kind)


def renewing(own_id: bytes) -> Piece:
    """An id that is renewed."""
    return lambda copy: copy.renewed(own_id)


def write(found: Sequence[Template], resources: int, folder: Path, seed: int) -> list[Path]:
    """Write so many resources, a file for each type; the last copy may be cut short."""
    files = {each.type: folder / f"{each.type}.ndjson.gz" for each in found}
    with ExitStack() as opened:
        streams = {
            kind: opened.enter_context(gzip.open(path, "wb", compresslevel=PACKED)) for kind, path in files.items()
        }
        for number in range(-(-resources // len(found))):
            copy = Copy(seed, number)
            for template in found[: resources - number * len(found)]:
                streams[template.type].write(template.filled(copy) + b"\n")
    return list(files.values())


def patients(found: Sequence[Template], resources: int, seed: int, most: int = 1000) -> list[str]:
    """The ids of patients drawn from the copies that are whole."""
    own_ids = [each.id for each in found if each.type == "Patient"]
    chance = random.Random(seed)
    numbers = range(resources // len(found))
    everyone = [(number, own_id) for number in numbers for own_id in own_ids]
    drawn = chance.sample(everyone, min(most, len(everyone)))
    return [Copy(seed, number).renewed(own_id).decode() for number, own_id in drawn]
