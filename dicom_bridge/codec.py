"""Frames as arrays and back, in each transfer syntax: the only place that knows codecs.

Loaded in processes of the darkroom alone: a broken codestream can bring down who decodes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from dicom_bridge.codestream import Size, is_signed_jpeg2000, jpeg2000_size, jpeg_size
from dicom_bridge.pixels import BIG_ENDIAN, NoPicture, Pixels
from dicom_bridge.transfer_syntax import NATIVE, RLE, SYNTAXES

Array = NDArray[Any]
JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Picture:
    """The values of a frame as they are stored, rows by columns (by three), and what colours they are now."""

    values: Array
    photometric: str


def decoded(frame: bytes, pixels: Pixels) -> Picture:
    """Return a frame as an array; raise NoPicture where it is broken, or not what its data set says."""
    if pixels.transfer_syntax in NATIVE:
        return Picture(*_native(frame, pixels))
    syntax = SYNTAXES.get(pixels.transfer_syntax)
    if syntax is None:
        raise NoPicture(f"Its transfer syntax {pixels.transfer_syntax} is not decoded here.")
    try:
        values, photometric = DECODERS[syntax.codec](frame, pixels)
    except NoPicture:
        raise
    except MemoryError:
        raise NoPicture("It cannot be decoded: that takes more memory than there is for one image.") from None
    except Exception as failure:  # noqa: BLE001 -- each codec has kinds of failure of its own, and all mean the same
        said = f"{type(failure).__name__} {failure}"[:160]
        raise NoPicture(f"It cannot be decoded: the {syntax.name} data is broken ({said}).") from None
    expected = (pixels.rows, pixels.columns, *([3] if pixels.samples == 3 else []))
    if values.shape != expected:
        raise NoPicture(f"It cannot be decoded: a frame has the shape {values.shape}, and {expected} was said.")
    return Picture(_as_stored(values, pixels), photometric)


def _native(frame: bytes, pixels: Pixels) -> tuple[Array, str]:
    """A frame that is not compressed (PS3.5, 8.1.1)."""
    shape = (pixels.rows, pixels.columns)
    if pixels.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
        return _filled(bits, shape, pixels), pixels.photometric
    order = ">" if pixels.transfer_syntax == BIG_ENDIAN else "<"
    kind = "f" if pixels.is_float else "u"
    if order == ">" and pixels.bits_allocated == 8 and pixels.is_in_words:
        # Bytes in words, and each word with its second byte first (PS3.5, 8.1.1 and 7.3).
        if len(frame) % 2:
            raise NoPicture("It cannot be decoded: it is big-endian, in words, and its frames end within one.")
        frame = np.frombuffer(frame, np.uint16).byteswap().tobytes()
    values: Array = np.frombuffer(frame, f"{order}{kind}{pixels.bits_allocated // 8}")
    values = values.astype(values.dtype.newbyteorder("="))
    if pixels.photometric == "YBR_FULL_422":
        return _full(values, pixels), "YBR_FULL"
    if pixels.samples == 3:
        if pixels.is_planar:
            return _filled(values, (3, *shape), pixels).transpose(1, 2, 0), pixels.photometric
        return _filled(values, (*shape, 3), pixels), pixels.photometric
    return _as_stored(_filled(values, shape, pixels), pixels), pixels.photometric


def _filled(values: Array, shape: tuple[int, ...], pixels: Pixels) -> Array:
    count = int(np.prod(shape))
    if values.size < count:
        raise NoPicture(f"It cannot be decoded: a frame has {values.size:,} values of {count:,}.")
    return values[:count].reshape(shape)


def _full(values: Array, pixels: Pixels) -> Array:
    """Every second colour difference twice: two pixels are four bytes (PS3.3, C.7.6.3.1.2)."""
    quads = _filled(values, (pixels.rows * pixels.columns // 2, 4), pixels)
    full = np.empty((pixels.rows * pixels.columns // 2, 2, 3), values.dtype)
    full[:, :, 0] = quads[:, :2]
    full[:, :, 1] = quads[:, 2:3]
    full[:, :, 2] = quads[:, 3:4]
    return full.reshape(pixels.rows, pixels.columns, 3)


def _as_stored(values: Array, pixels: Pixels) -> Array:
    """Values as the data set says they are stored: their bits, and the sign that may be within them."""
    if pixels.is_float or pixels.bits_allocated == 1:
        return values
    width = 8 * values.dtype.itemsize
    unsigned = values.view(f"u{values.dtype.itemsize}") if values.dtype.kind == "i" else values
    low = pixels.high_bit - pixels.bits_stored + 1
    if pixels.transfer_syntax in NATIVE and low:
        unsigned = unsigned >> low
    if not pixels.is_signed:
        kept = min(pixels.bits_stored, width)
        return unsigned & (2**kept - 1) if kept < width and values.dtype.kind == "u" else unsigned
    up = max(width - pixels.bits_stored, 0)
    return (unsigned << up).view(f"i{values.dtype.itemsize}") >> up


def _check_size(found: Size | None, pixels: Pixels) -> Size:
    """Raise NoPicture where a codestream is of another size than its data set says."""
    if found is None:
        raise NoPicture("It cannot be decoded: its frame does not begin as one of its transfer syntax.")
    if found[:3] != (pixels.rows, pixels.columns, pixels.samples):
        told = f"{found.rows} by {found.columns} by {found.samples}"
        raise NoPicture(
            f"It cannot be decoded: its frame is {told}, and {pixels.rows} by {pixels.columns} by {pixels.samples} "
            "was said."
        )
    return found


def _of_jpeg(frame: bytes, pixels: Pixels) -> tuple[Array, str]:
    size = _check_size(jpeg_size(frame), pixels)
    if pixels.samples == 1:
        return imagecodecs.jpeg8_decode(frame), pixels.photometric
    if pixels.photometric == "RGB" and not size.is_transform_said:
        # Colours that were never transformed, which libjpeg would take for luminance and differences.
        return imagecodecs.jpeg8_decode(frame, colorspace="RGB", outcolorspace="RGB"), "RGB"
    return imagecodecs.jpeg8_decode(frame, outcolorspace="RGB"), "RGB"


def _of_jpeg_lossless(frame: bytes, pixels: Pixels) -> tuple[Array, str]:
    _check_size(jpeg_size(frame), pixels)
    return imagecodecs.jpeg8_decode(frame), pixels.photometric


def _of_jpeg_ls(frame: bytes, pixels: Pixels) -> tuple[Array, str]:
    _check_size(jpeg_size(frame), pixels)
    return imagecodecs.jpegls_decode(frame), pixels.photometric


def _of_jpeg2000(frame: bytes, pixels: Pixels) -> tuple[Array, str]:
    _check_size(jpeg2000_size(frame), pixels)
    return _signed_otherwise(imagecodecs.jpeg2k_decode(frame, planar=False, numthreads=1), frame, pixels)


def _of_htj2k(frame: bytes, pixels: Pixels) -> tuple[Array, str]:
    _check_size(jpeg2000_size(frame), pixels)
    return _signed_otherwise(imagecodecs.htj2k_decode(frame, planar=False), frame, pixels)


def _signed_otherwise(values: Array, frame: bytes, pixels: Pixels) -> tuple[Array, str]:
    """Values of a codestream; the transform of colours within it is undone by then (ISO 15444-1, G)."""
    photometric = "RGB" if pixels.photometric in ("YBR_ICT", "YBR_RCT") else pixels.photometric
    if is_signed_jpeg2000(frame) and not pixels.is_signed and values.dtype.kind == "i":
        return values.view(f"u{values.dtype.itemsize}"), photometric
    return values, photometric


def _of_rle(frame: bytes, pixels: Pixels) -> tuple[Array, str]:
    """Run lengths, one segment for each byte of each sample (PS3.5, Annex G)."""
    if len(frame) < 64:
        raise NoPicture("It cannot be decoded: a frame has no header of its segments.")
    if int.from_bytes(frame[:4], "little") != pixels.samples * pixels.bits_allocated // 8:
        raise NoPicture("It cannot be decoded: a frame has another number of segments than its samples have bytes.")
    size = pixels.bits_allocated // 8
    out = bytearray(pixels.bytes)
    imagecodecs.dicomrle_decode(frame, f"<u{size}", out=out)
    planes = np.frombuffer(out, f"<u{size}").reshape(pixels.samples, pixels.rows, pixels.columns)
    values = planes.transpose(1, 2, 0) if pixels.samples == 3 else planes[0]
    return np.ascontiguousarray(values), pixels.photometric


DECODERS: Mapping[str, Callable[[bytes, Pixels], tuple[Array, str]]] = {
    "jpeg": _of_jpeg,
    "jpeg lossless": _of_jpeg_lossless,
    "jpeg-ls": _of_jpeg_ls,
    "jpeg 2000": _of_jpeg2000,
    "htj2k": _of_htj2k,
    "rle": _of_rle,
}


def encoded(picture: Picture, target: str) -> bytes:
    """Return a frame in a transfer syntax; raise NoPicture where that has no place for its values."""
    values = np.ascontiguousarray(picture.values)
    if values.dtype.kind == "f" and target not in NATIVE:
        raise NoPicture("Its values are floating-point numbers, which no compressed transfer syntax has.")
    if target in NATIVE:
        return values.astype(values.dtype.newbyteorder("<")).tobytes()
    encode = ENCODERS.get(target)
    if encode is None or target == RLE:
        raise NoPicture(f"Frames are not encoded in the transfer syntax {target} here.")
    try:
        return bytes(encode(values))
    except (ValueError, RuntimeError, imagecodecs.JpeglsError, imagecodecs.Jpeg8Error) as failure:
        raise NoPicture(f"Its values have no place in the transfer syntax {target}: {str(failure)[:120]}.") from None


def _bits(values: Array) -> Array:
    return values.view(f"u{values.dtype.itemsize}") if values.dtype.kind == "i" else values


def _to_jpeg(values: Array) -> Any:
    if values.dtype != np.uint8:
        raise NoPicture("JPEG baseline has 8 bits, and its values more; ask for /rendered, or for what loses nothing.")
    return imagecodecs.jpeg8_encode(values, level=JPEG_QUALITY)


def _to_jpeg_lossless(values: Array) -> Any:
    return imagecodecs.jpeg8_encode(_bits(values), lossless=True, predictor=1)


def _to_jpeg_ls(values: Array) -> Any:
    return imagecodecs.jpegls_encode(_bits(values), out=bytearray(2 * values.nbytes + 4_096))


def _to_jpeg2000(values: Array) -> Any:
    return imagecodecs.jpeg2k_encode(values, level=0, reversible=True, codecformat="j2k", numthreads=1)


def _to_htj2k(values: Array) -> Any:
    return imagecodecs.htj2k_encode(values, reversible=True, rgb=values.ndim == 3)


ENCODERS: Mapping[str, Callable[[Array], Any]] = {
    "1.2.840.10008.1.2.4.50": _to_jpeg,
    "1.2.840.10008.1.2.4.70": _to_jpeg_lossless,
    "1.2.840.10008.1.2.4.80": _to_jpeg_ls,
    "1.2.840.10008.1.2.4.90": _to_jpeg2000,
    "1.2.840.10008.1.2.4.201": _to_htj2k,
}
