"""How the pixels of an image are to be read, as its data set says it (PS3.3, C.7.6.3 and C.11)."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from struct import pack, unpack
from typing import Any

from dicom_bridge.segmented_palette import expanded

Json = Mapping[str, Any]

LARGEST_FRAME = 512_000_000
"""Bytes of one frame that is not compressed; the largest detectors give some 60 million."""
COLOURS = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
GREYS = frozenset({"MONOCHROME1", "MONOCHROME2"})
PALETTE = "PALETTE COLOR"
VIDEO = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 110))
BIG_ENDIAN = "1.2.840.10008.1.2.2"
FLOATS = {"7FE00008": 32, "7FE00009": 64}

LUTS = ("00283000", "00283010")
"""The sequences of look-up tables for the values of a modality, and for the window."""
BIG = "big-endian"
"""Among the bulk of look-up tables, that their words have the upper byte first."""
LUT_DESCRIPTOR, LUT_DATA = "00283002", "00283006"
PALETTE_DESCRIPTORS = ("00281101", "00281102", "00281103")
PALETTE_DATA = ("00281201", "00281202", "00281203")
SEGMENTED = ("00281221", "00281222", "00281223")
SHARED, PER_FRAME = "52009229", "52009230"
FUNCTIONAL = {"window": "00289132", "rescale": "00289145"}


class NoPicture(Exception):
    """Pixels cannot be shown, or not be had in another form; it says why."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """The size, the form and the meaning of one frame. `transfer_syntax` is that of the frame's bytes."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    is_planar: bool
    photometric: str
    transfer_syntax: str
    frames: int = 1
    is_float: bool = False
    is_in_words: bool = False

    @property
    def bytes(self) -> int:
        """How many bytes a frame has that is not compressed, its colours side by side."""
        return (self.rows * self.columns * self.samples * self.bits_allocated + 7) // 8


@dataclass(frozen=True, slots=True)
class Lut:
    """A look-up table: its first index, the bits of its entries, and the entries as they stand in the file."""

    first: int
    bits: int
    entries: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Meaning:
    """What values mean and how they are to be shown: rescaling, look-up tables, windows, the first of each."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    voi_lut: Lut | None = None
    window: tuple[float, float] | None = None
    function: str = "LINEAR"
    padding: tuple[int, int] | None = None
    palette: Sequence[Lut] = field(default=())
    is_inverse: bool = False


def pixels_of(json: Json, transfer_syntax: str) -> Pixels:
    """Return how the pixels of an instance are to be read; raise NoPicture where it has none, or says too little."""
    tag = next((tag for tag in ("7FE00010", *FLOATS) if tag in json), "")
    rows, columns = number(json, "00280010"), number(json, "00280011")
    if not tag or not rows or not columns:
        raise NoPicture("The instance has no image: no pixel data, or no Rows and Columns.")
    if transfer_syntax in VIDEO:
        raise NoPicture(f"It is a film in the transfer syntax {transfer_syntax}, which is not decoded here.")
    allocated = FLOATS.get(tag) or number(json, "00280100")
    stored = number(json, "00280101") or allocated
    found = Pixels(
        rows=rows,
        columns=columns,
        samples=number(json, "00280002") or 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=number(json, "00280102", stored - 1),
        is_signed=number(json, "00280103") == 1,
        is_planar=number(json, "00280006") == 1,
        photometric=(text(json, "00280004") or "MONOCHROME2").upper(),
        transfer_syntax=transfer_syntax,
        frames=number(json, "00280008") or 1,
        is_float=tag in FLOATS,
        is_in_words=json[tag].get("vr") == "OW",
    )
    _check(found)
    return found


def _check(found: Pixels) -> None:
    """Raise NoPicture for what is no image that can be read."""
    expected = 3 if found.photometric in COLOURS else 1
    wrong = {
        f"BitsAllocated is {found.bits_allocated}": found.bits_allocated not in (1, 8, 16, 32, 64),
        f"BitsStored is {found.bits_stored} of {found.bits_allocated}": not 0
        < found.bits_stored
        <= found.bits_allocated,
        f"HighBit is {found.high_bit}": not found.bits_stored - 1 <= found.high_bit < found.bits_allocated,
        f"PhotometricInterpretation is {found.photometric[:20]}": found.photometric not in {*COLOURS, *GREYS, PALETTE},
        f"SamplesPerPixel is {found.samples}, for {found.photometric[:20]}": found.samples != expected,
        f"a frame has {found.bytes:,} bytes, more than are decoded here": found.bytes > LARGEST_FRAME,
    }
    for what, is_so in wrong.items():
        if is_so:
            raise NoPicture(f"It cannot be decoded: {what}.")


def meaning_of(json: Json, blobs: Mapping[str, bytes], frame: int) -> Meaning:
    """Return what the values of a frame mean; `blobs` are the bulk of look-up tables, by the place of each."""
    rescale = _functional(json, "rescale", frame)
    window = _functional(json, "window", frame)
    center, width = decimal(window, "00281050"), decimal(window, "00281051")
    padding = numbers(json, "00280120")
    limit = numbers(json, "00280121") or padding
    return Meaning(
        slope=1.0 if (slope := decimal(rescale, "00281053")) is None else slope,
        intercept=decimal(rescale, "00281052") or 0.0,
        modality_lut=_lut_in(json, LUTS[0], blobs),
        voi_lut=_lut_in(json, LUTS[1], blobs),
        window=(center, width) if center is not None and width is not None and width > 0 else None,
        function=text(window, "00281056") or "LINEAR",
        padding=(min(padding[0], limit[0]), max(padding[0], limit[0])) if padding else None,
        palette=_palette(json, blobs),
        is_inverse=(text(json, "00280004") == "MONOCHROME1") or text(json, "20500020") == "INVERSE",
    )


def _functional(json: Json, kind: str, frame: int) -> Json:
    """Where a frame's own values stand, those of all frames, or those of the image (PS3.3, C.7.6.16)."""
    per_frame = items(json, PER_FRAME)
    for group in (*per_frame[frame - 1 : frame], *items(json, SHARED)[:1]):
        for item in items(group, FUNCTIONAL[kind])[:1]:
            return item
    return json


def lut_places(json: Json) -> Iterator[str]:
    """Yield the places of look-up tables whose data is among the bulk."""
    for tag in (*PALETTE_DATA, *SEGMENTED):
        if "BulkDataURI" in json.get(tag, {}):
            yield tag
    for sequence in LUTS:
        for item in items(json, sequence)[:1]:
            if "BulkDataURI" in item.get(LUT_DATA, {}):
                yield f"{sequence}/0/{LUT_DATA}"


def _lut_in(json: Json, sequence: str, blobs: Mapping[str, bytes]) -> Lut | None:
    for item in items(json, sequence)[:1]:
        return _lut(item, LUT_DESCRIPTOR, LUT_DATA, blobs, f"{sequence}/0/{LUT_DATA}")
    return None


def _lut(
    json: Json, descriptor: str, data: str, blobs: Mapping[str, bytes], place: str, *, is_segmented: bool = False
) -> Lut | None:
    told = numbers(json, descriptor)
    if len(told) != 3 or data not in json:
        return None
    if (content := blobs.get(place)) is None:
        content = inline(json[data])
    if BIG in blobs and "Value" not in json[data]:
        content = b"".join(content[at + 1 : at + 2] + content[at : at + 1] for at in range(0, len(content), 2))
    if is_segmented:
        content = _unsegmented(content, is_wide=told[2] > 8)
    # A table of 65,536 entries is said to have none: the number has 16 bits (PS3.3, C.7.6.3.1.5).
    entries = told[0] % 65_536 or 65_536
    if not 0 < told[2] <= 16 or len(content) < entries * (1 if told[2] == 8 else 2):
        raise NoPicture("It cannot be shown: a look-up table has fewer entries than it says.")
    return Lut(told[1], told[2], entries, content)


def _unsegmented(content: bytes, *, is_wide: bool) -> bytes:
    words = unpack(f"<{len(content) // 2}H", content[: len(content) // 2 * 2]) if is_wide else tuple(content)
    try:
        entries = expanded(words)
    except ValueError as failure:
        raise NoPicture(f"It cannot be shown: of its palette, {failure}.") from None
    return pack(f"<{len(entries)}H", *entries) if is_wide else bytes(entries)


def _palette(json: Json, blobs: Mapping[str, bytes]) -> tuple[Lut, ...]:
    if text(json, "00280004") != PALETTE:
        return ()
    is_segmented = any(tag in json for tag in SEGMENTED)
    pairs = zip(PALETTE_DESCRIPTORS, SEGMENTED if is_segmented else PALETTE_DATA, strict=True)
    found = [_lut(json, descriptor, data, blobs, data, is_segmented=is_segmented) for descriptor, data in pairs]
    if not all(found):
        raise NoPicture("It cannot be shown: it has no palette, and its pixels are numbers of one.")
    return tuple(each for each in found if each is not None)


def inline(element: Json) -> bytes:
    """Return the bytes of an element that stand within the JSON."""
    from_text = element.get("InlineBinary")
    if from_text is not None:
        return a2b_base64(from_text)
    return b"".join(int(each).to_bytes(2, "little", signed=int(each) < 0) for each in element.get("Value", ()))


def items(json: Json, tag: str) -> Sequence[Json]:
    """Return the items of a sequence."""
    return [each for each in json.get(tag, {}).get("Value", ()) if isinstance(each, Mapping)]


def text(json: Json, tag: str) -> str:
    """Return the first value of an element as text; empty where there is none."""
    values = json.get(tag, {}).get("Value") or ("",)
    return str(values[0] if values[0] is not None else "").strip()


def numbers(json: Json, tag: str) -> list[int]:
    """Return the values of an element that are whole numbers; none where one is not."""
    try:
        return [int(each) for each in json.get(tag, {}).get("Value", ())]
    except (TypeError, ValueError):
        return []


def number(json: Json, tag: str, otherwise: int = 0) -> int:
    """Return the first value of an element, or another where it has none."""
    return next(iter(numbers(json, tag)), otherwise)


def decimal(json: Json, tag: str) -> float | None:
    """Return the first value of an element as a number; None where it is none."""
    try:
        return float(text(json, tag))
    except ValueError:
        return None
