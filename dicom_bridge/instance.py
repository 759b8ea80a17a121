"""What is to be known of a DICOM file: its UIDs, its data set as JSON, and where its frames are (PS3.10; PS3.5)."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from struct import unpack
from typing import BinaryIO

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from dicom_bridge.archive import TOO_LARGE, UNREADABLE, Refused, Uids
from dicom_bridge.data_set import TooDeep, TooLong, element_as_read, json_of
from dicom_bridge.dicom_json import BULK, Json, text_of
from dicom_bridge.frame import DEFLATED, PREAMBLE, Frames, Range
from dicom_bridge.pixels import LARGEST_FRAME
from dicom_bridge.question import is_uid

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
IMPLICIT = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})
BIG_ENDIAN = "1.2.840.10008.1.2.2"

LARGEST_INFLATED = 500_000_000
LARGEST_RATIO = 200
RATIO_COUNTS_FROM = 10_000_000
INFLATED_AT_ONCE = 1_000_000
LEFT_ASIDE_BYTES = 32_000_000
MOST_FRAGMENTS = 1_000_000
MOST_FRAMES_SAID = 500_000

UNDEFINED = 0xFFFFFFFF
STUDY_UID = 0x0020000D
FIRST_OF_PIXELS = 0x7FE00008
EXTENDED_OFFSETS = 0x7FE00001
ITEM, DELIMITER = 0xFFFEE000, 0xFFFEE0DD


@dataclass(frozen=True, slots=True)
class Instance:
    """A DICOM file, understood."""

    uids: Uids
    sop_class: str
    transfer_syntax: str
    json: Json
    frames: Frames


def read_instance(path: Path, inflated: Path) -> Instance:
    """Return what is to be known of a file; raise Refused where it is none that can be stored.

    The data set of one that is deflated is left at the second path.
    """
    try:
        return _read(path, inflated)
    except Refused:
        raise
    except (TooDeep, RecursionError):
        raise Refused(UNREADABLE, "Its sequences are nested too deeply.") from None
    except TooLong as failure:
        raise Refused(TOO_LARGE, f"It holds too much: {failure}.") from None
    except Exception as failure:
        if isinstance(failure, OSError) and failure.errno is not None:
            raise
        # pydicom raises whatever a broken file makes it stumble over, errors of files that are none included.
        raise Refused(UNREADABLE, f"It cannot be read: {str(failure)[:200] or type(failure).__name__}.") from failure


def _read(path: Path, inflated: Path) -> Instance:
    with path.open("rb") as file:
        file.seek(PREAMBLE)
        if file.read(4) != b"DICM":
            raise Refused(UNREADABLE, "It is no DICOM file: after 128 bytes must come DICM (PS3.10, 7.1).")
        meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_is_past_meta)
        transfer_syntax = str(meta.get("TransferSyntaxUID", ""))
        if not is_uid(transfer_syntax):
            raise Refused(UNREADABLE, "It does not say its transfer syntax (0002,0010).")
        if str(meta.get("MediaStorageSOPClassUID", "")) == MEDIA_DIRECTORY:
            raise Refused(UNREADABLE, "It is a DICOMDIR, which names files of a disk: send those.")
        if transfer_syntax != DEFLATED:
            return _understood(file, transfer_syntax)
        inflate(file, inflated)
    with inflated.open("rb") as file:
        return _understood(file, transfer_syntax)


def study_of(head: bytes) -> str:
    """Return the StudyInstanceUID in the first bytes of a file; empty where it is not among them, or cannot be read."""
    try:
        file = BytesIO(head)
        file.seek(PREAMBLE + 4)
        meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_is_past_meta)
        syntax = str(meta.get("TransferSyntaxUID", ""))
        if syntax == DEFLATED:
            file = BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), INFLATED_AT_ONCE))
        dataset = read_dataset(file, syntax in IMPLICIT, syntax != BIG_ENDIAN, stop_when=_is_past_study)
        uid = str(dataset.get("StudyInstanceUID", ""))
    except Exception:  # noqa: BLE001 -- pydicom raises whatever a broken file makes it stumble over
        return ""
    return uid if is_uid(uid) else ""


def _is_past_study(tag: int, _vr: str | None, _length: int) -> bool:
    return tag > STUDY_UID


def _is_past_meta(tag: int, _vr: str | None, _length: int) -> bool:
    return tag >> 16 != 2


def _is_pixels(tag: int, _vr: str | None, _length: int) -> bool:
    return tag >= FIRST_OF_PIXELS


def inflate(file: BinaryIO, target: Path) -> None:
    """Write what the rest of a file inflates to; raise Refused for a bomb (PS3.5, A.5)."""
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    packed = written = 0
    with target.open("wb") as out:
        while (chunk := file.read(INFLATED_AT_ONCE // 10)) and not unpacking.eof:
            packed += len(chunk)
            while chunk:
                data = unpacking.decompress(chunk, INFLATED_AT_ONCE)
                chunk = unpacking.unconsumed_tail
                written += len(data)
                if written > min(LARGEST_INFLATED, max(RATIO_COUNTS_FROM, packed * LARGEST_RATIO)):
                    raise Refused(TOO_LARGE, "It inflates to more than is read here.")
                out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _understood(file: BinaryIO, transfer_syntax: str) -> Instance:
    is_little = transfer_syntax != BIG_ENDIAN
    dataset = read_dataset(
        file, transfer_syntax in IMPLICIT, is_little, stop_when=_is_pixels, defer_size=LEFT_ASIDE_BYTES
    )
    if not is_whole(dataset, file):
        raise Refused(UNREADABLE, "It ends within an element.")
    json = json_of(dataset)
    uids = Uids(text_of(json, "0020000D"), text_of(json, "0020000E"), text_of(json, "00080018"))
    sop_class = text_of(json, "00080016")
    for what, uid in zip(("Study", "Series", "SOP"), uids, strict=True):
        if not is_uid(uid):
            text = f"{what}InstanceUID is {'missing' if not uid else f'{uid[:80]!r}, which is no UID'}."
            raise Refused(UNREADABLE, text)
    if not is_uid(sop_class):
        raise Refused(UNREADABLE, "SOPClassUID is missing, or no UID.", uid=uids.instance)
    try:
        found = PixelElement.at(file, is_implicit=bool(dataset.original_encoding[0]), is_little=is_little)
        if found is not None:
            json[found.tag] = {"vr": found.vr, "BulkDataURI": f"{BULK}{found.tag}"}
        frames = Frames() if found is None else found.frames(file, dataset)
    except struct.error:
        raise Refused(UNREADABLE, "Its pixel data ends too early.", sop_class=sop_class, uid=uids.instance) from None
    except Refused as refused:
        raise Refused(refused.reason, refused.text, sop_class=sop_class, uid=uids.instance) from None
    return Instance(uids, sop_class, transfer_syntax, json, frames)


def is_whole(dataset: Dataset, file: BinaryIO) -> bool:
    """Whether every element has the length that it says: others would make room for it, up to 4 GB."""
    size = os.fstat(file.fileno()).st_size
    for tag in tuple(dataset.keys()):
        element = element_as_read(dataset, tag)
        if isinstance(element, RawDataElement) and element.length != UNDEFINED:
            there = size - element.value_tell if element.value is None else len(element.value)
            if element.length > there:
                return False
    return True


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The element that holds pixels: its value begins at `start`; `length` is UNDEFINED where it is in fragments."""

    tag: str
    vr: str
    start: int
    length: int

    @classmethod
    def at(cls, file: BinaryIO, *, is_implicit: bool, is_little: bool) -> PixelElement | None:
        """The element at the place where a file stands; None where it has none (PS3.5, 7.1)."""
        order = "<" if is_little else ">"
        head = file.read(8)
        if len(head) < 8:
            return None
        group, element = unpack(f"{order}HH", head[:4])
        tag = f"{group:04X}{element:04X}"
        if tag not in ("7FE00008", "7FE00009", "7FE00010"):
            return None
        if is_implicit:
            return cls(tag, "OW", file.tell(), *unpack(f"{order}I", head[4:]))
        vr = head[4:6].decode("latin-1")
        return cls(
            tag, vr if vr in ("OB", "OW", "OF", "OD") else "OW", file.tell() + 4, *unpack(f"{order}I", file.read(4))
        )

    def frames(self, file: BinaryIO, dataset: Dataset) -> Frames:
        """Where the frames are (PS3.5, 8.1.1 and A.4)."""
        count = positive(dataset, "NumberOfFrames") or 1
        if self.length == UNDEFINED:
            _check_decoded_size(dataset, count)
            return Frames(ranges=grouped(*fragments(file, self.start), count, dataset))
        return self._native(file, dataset, count)

    def _native(self, file: BinaryIO, dataset: Dataset, count: int) -> Frames:
        bits = {"7FE00008": 32, "7FE00009": 64}.get(self.tag) or positive(dataset, "BitsAllocated")
        bits *= positive(dataset, "Rows") * positive(dataset, "Columns") * (positive(dataset, "SamplesPerPixel") or 1)
        if "422" in str(dataset.get("PhotometricInterpretation", "")):
            bits = bits * 2 // 3
        file.seek(0, 2)
        present = min(self.length, file.tell() - self.start)
        needed = (bits * count + 7) // 8
        if present < needed:
            text = f"Its pixel data has {present:,} bytes, and {count} frames of its rows and columns take {needed:,}."
            raise Refused(UNREADABLE, text)
        if bits % 8 and count > 1:
            # Frames of single bits that begin within a byte cannot be cut out.
            return Frames(self.start, self.length, 0)
        return Frames(self.start, (bits + 7) // 8, count if bits else 0)


def _check_decoded_size(dataset: Dataset, count: int) -> None:
    """Raise Refused for compressed frames that are said to be larger, or more, than anybody decodes."""
    samples = positive(dataset, "SamplesPerPixel") or 1
    bits = positive(dataset, "Rows") * positive(dataset, "Columns") * samples * positive(dataset, "BitsAllocated")
    if bits // 8 > LARGEST_FRAME:
        raise Refused(TOO_LARGE, f"A frame of its rows and columns has {bits // 8:,} bytes, more than are decoded.")
    if count > MOST_FRAMES_SAID:
        raise Refused(TOO_LARGE, f"It says that it has {count:,} frames; at most {MOST_FRAMES_SAID:,} are taken.")


def positive(dataset: Dataset, keyword: str) -> int:
    """Return a number of a data set that cannot be negative; 0 where it is missing; raise Refused for what is none."""
    value = dataset.get(keyword)
    try:
        number = int(str(value)) if value not in (None, "") else 0
    except ValueError:
        number = -1
    if number < 0:
        raise Refused(UNREADABLE, f"{keyword} is {str(value)[:40]!r}, which is no number of things.")
    return number


def fragments(file: BinaryIO, start: int) -> tuple[list[int], list[Range]]:
    """Return the basic offset table, and where each fragment is (PS3.5, A.4).

    Raise struct.error where the file ends early.
    """
    file.seek(start)
    tag, length = _item(file)
    if tag != ITEM or length % 4:
        raise Refused(UNREADABLE, "Its fragments do not begin with an offset table.")
    if length > 8 * MOST_FRAGMENTS:
        raise Refused(TOO_LARGE, f"It has more than {MOST_FRAGMENTS:,} fragments.")
    offsets = list(unpack(f"<{length // 4}I", file.read(length)))
    file.seek(0, 2)
    end = file.tell()
    file.seek(start + 8 + length)
    found: list[Range] = []
    while (item := _item(file))[0] == ITEM:
        place = file.tell()
        if place + item[1] > end:
            raise Refused(UNREADABLE, "Its last fragment ends too early.")
        found.append((place, item[1]))
        if len(found) > MOST_FRAGMENTS:
            raise Refused(TOO_LARGE, f"It has more than {MOST_FRAGMENTS:,} fragments.")
        file.seek(place + item[1])
    if item[0] != DELIMITER:
        raise Refused(UNREADABLE, "What follows its fragments is no delimiter.")
    return offsets, found


def _item(file: BinaryIO) -> tuple[int, int]:
    group, element, length = unpack("<HHI", file.read(8))
    return group << 16 | element, length


def grouped(offsets: list[int], found: list[Range], count: int, dataset: Dataset) -> tuple[tuple[Range, ...], ...]:
    """Return the fragments of each frame; none where the file does not say which are whose."""
    if count == 1:
        return (tuple(found),) if found else ()
    if len(found) == count:
        return tuple((each,) for each in found)
    if EXTENDED_OFFSETS in dataset:
        value = dataset[EXTENDED_OFFSETS].value or b""
        offsets = list(unpack(f"<{len(value) // 8}Q", value))
    if len(offsets) != count or not found:
        return ()
    first = found[0][0] - 8
    starts = {offset + first: number for number, offset in enumerate(offsets)}
    frames: list[list[Range]] = []
    for place, length in found:
        if starts.get(place - 8) == len(frames):
            frames.append([])
        if frames:
            frames[-1].append((place, length))
    return tuple(map(tuple, frames)) if len(frames) == count else ()


def bulk_value(path: Path, transfer_syntax: str, place: Sequence[str], *, is_inflated: bool) -> bytes | None:
    """Return the value at a place of a data set, none of pixels in fragments; None where there is none."""
    with path.open("rb") as file:
        if not is_inflated:
            file.seek(PREAMBLE + 4)
            read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_is_past_meta)
        is_little = transfer_syntax != BIG_ENDIAN
        dataset = read_dataset(file, transfer_syntax in IMPLICIT, is_little, defer_size=LEFT_ASIDE_BYTES)
        for step, number in _steps(place):
            if int(step, 16) not in dataset:
                return None
            element = element_as_read(dataset, BaseTag(int(step, 16)))
            if number is None:
                return _bytes_of(dataset, element, file)
            items = dataset[element.tag].value
            if element.VR != "SQ" or number >= len(items):
                return None
            dataset = items[number]
    return None


def _bytes_of(dataset: Dataset, element: DataElement | RawDataElement, file: BinaryIO) -> bytes | None:
    """The value of an element, which may have been left aside; None for one that is no bulk of data."""
    if isinstance(element, RawDataElement) and element.value is None:
        file.seek(element.value_tell)
        return file.read(element.length)
    value = dataset[element.tag].value
    return bytes(value) if isinstance(value, bytes | bytearray) else None


def _steps(place: Sequence[str]) -> Iterator[tuple[str, int | None]]:
    """Yield each tag of a place with the number of the item to go into; None for the last."""
    for at in range(0, len(place) - 1, 2):
        yield place[at], int(place[at + 1])
    yield place[-1], None
