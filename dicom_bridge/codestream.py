"""What a compressed frame says of its own size, read from its first bytes: a bomb is known before it is decoded."""

from __future__ import annotations

from struct import error, unpack_from
from typing import NamedTuple

JPEG_START, JPEG_SCAN = 0xD8, 0xDA
JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
"""The markers that begin a frame of JPEG (ISO 10918-1, B.1.1.3) and of JPEG-LS (ISO 14495-1, C.1)."""
JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
ADOBE = 0xEE
JP2_BOX = b"\0\0\0\x0cjP  "
J2K_START = b"\xff\x4f\xff\x51"
"""The start of a codestream of JPEG 2000, and the marker of its size that must follow (ISO 15444-1, A.4 and A.5)."""


class Size(NamedTuple):
    """Rows, columns, samples and bits of each; whether it says which colour transform it went through."""

    rows: int
    columns: int
    samples: int
    bits: int
    is_transform_said: bool = False


def jpeg_size(frame: bytes) -> Size | None:
    """Return the size that a frame of JPEG or JPEG-LS has; None where it says none."""
    at, is_said = 2, False
    try:
        if frame[:1] != b"\xff" or frame[1] != JPEG_START:
            return None
        while at < len(frame):
            if frame[at] != 0xFF:
                return None
            marker = frame[at + 1]
            if marker == 0xFF:
                at += 1
                continue
            if marker in JPEG_FRAMES:
                bits, rows, columns, samples = unpack_from(">BHHB", frame, at + 4)
                return Size(rows, columns, samples, bits, is_said or _is_transform_after(frame, at))
            if marker == JPEG_SCAN:
                return None
            is_said = is_said or _is_transform(frame, at)
            at += 2 if marker in JPEG_BARE else 2 + unpack_from(">H", frame, at + 2)[0]
    except (error, IndexError):
        pass
    return None


def _is_transform(frame: bytes, at: int) -> bool:
    """Whether a marker is Adobe's and says that colours are luminance and differences (its note 5116, 18)."""
    is_adobe = frame[at + 1] == ADOBE and frame[at + 4 : at + 9] == b"Adobe"
    return is_adobe and frame[at + 2 : at + 4] >= b"\0\x0e" and frame[at + 15] == 1


def _is_transform_after(frame: bytes, at: int) -> bool:
    """Whether that marker comes between the frame's header and its scan."""
    while at + 4 <= len(frame) and frame[at] == 0xFF and frame[at + 1] != JPEG_SCAN:
        if _is_transform(frame, at):
            return True
        at += 2 + unpack_from(">H", frame, at + 2)[0]
    return False


def jpeg2000_size(frame: bytes) -> Size | None:
    """Return the size that a frame of JPEG 2000, high throughput or not, has; None where it says none."""
    at = frame.find(J2K_START, 0, 4_096) if frame.startswith(JP2_BOX) else 0
    try:
        if at < 0 or frame[at : at + 4] != J2K_START:
            return None
        right, bottom, left, top = unpack_from(">IIII", frame, at + 8)
        (samples,) = unpack_from(">H", frame, at + 40)
        return Size(bottom - top, right - left, samples, (frame[at + 42] & 0x7F) + 1)
    except (error, IndexError):
        return None


def is_signed_jpeg2000(frame: bytes) -> bool:
    """Whether a codestream, of which `jpeg2000_size` is known, has signed samples."""
    return bool(frame[max(frame.find(J2K_START), 0) + 42] & 0x80)
