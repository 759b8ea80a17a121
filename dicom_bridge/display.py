"""Stored values made visible: rescaling, windows, palettes, colours, cropping (PS3.3, C.7.6.3, C.11; PS3.4, N.2)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dicom_bridge.codec import Picture
from dicom_bridge.pixels import PALETTE, Lut, Meaning, NoPicture, Pixels

Array = NDArray[Any]
Window = tuple[float, float, str]


def visible(picture: Picture, pixels: Pixels, meaning: Meaning, window: Window | None) -> Array:
    """Return what is to be seen, in 8 bits: rows by columns, by three where it has colours."""
    if picture.photometric == PALETTE:
        return _of_palette(picture.values, meaning)
    if pixels.samples == 3:
        return _of_colours(picture, pixels)
    grey = windowed(rescaled(picture.values, meaning), picture.values, meaning, window)
    if meaning.is_inverse:
        grey = 1 - grey
    return np.round(grey * 255).astype(np.uint8)


def rescaled(values: Array, meaning: Meaning) -> Array:
    """Return values of the modality, such as Hounsfield units (PS3.3, C.11.1)."""
    if meaning.modality_lut is not None:
        return _looked_up(values, meaning.modality_lut).astype(np.float32)
    # Within 16 bits, 24 are enough.
    found: Array = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    if meaning.slope != 1:
        found = found * meaning.slope
    return found + meaning.intercept if meaning.intercept else found


def windowed(found: Array, stored: Array, meaning: Meaning, window: Window | None) -> Array:
    """Return values between 0 and 1: by the window that is asked for, else that of the image, else by what it holds."""
    if window is None and meaning.voi_lut is not None:
        lut = meaning.voi_lut
        looked: Array = _looked_up(np.round(found).astype(np.int64), lut).astype(np.float32) / (2**lut.bits - 1)
        return looked
    if window is None and meaning.window is not None:
        window = (*meaning.window, meaning.function)
    if window is not None:
        return _in_window(found, *window)
    seen = found[np.isfinite(found)]
    if meaning.padding is not None:
        low, high = meaning.padding
        kept = found[(stored < low) | (stored > high)]
        seen = kept if kept.size else seen
    if not seen.size or seen.min() == seen.max():
        return np.zeros(found.shape, np.float32)
    least, most = float(seen.min()), float(seen.max())
    return np.nan_to_num(np.clip((found - least) / (most - least), 0, 1))


def _in_window(found: Array, center: float, width: float, function: str) -> Array:
    """The functions of PS3.3, C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return np.nan_to_num(1 / (1 + np.exp(-4 * (found - center) / width)))
    if function == "LINEAR_EXACT":
        return np.nan_to_num(np.clip((found - center) / width + 0.5, 0, 1))
    if width <= 1:
        return (found > center - 0.5).astype(np.float32)
    return np.nan_to_num(np.clip((found - (center - 0.5)) / (width - 1) + 0.5, 0, 1))


def _looked_up(values: Array, lut: Lut) -> Array:
    """What a table has for values; those before and behind it have its first and its last entry."""
    return _entries(lut)[np.clip(values.astype(np.int64) - lut.first, 0, lut.entries - 1)]


def _entries(lut: Lut) -> Array:
    is_wide = len(lut.data) >= 2 * lut.entries
    return np.frombuffer(lut.data, "<u2" if is_wide else "u1")[: lut.entries]


def _of_palette(values: Array, meaning: Meaning) -> Array:
    planes = []
    for lut in meaning.palette:
        entries = _entries(lut)
        # Tables of 16 bits are shown by their upper eight; some that say 8 bits have them in words (C.7.6.3.1.6).
        entries = entries >> 8 if lut.bits > 8 or entries.max(initial=0) > 255 else entries
        planes.append(entries.astype(np.uint8)[np.clip(values.astype(np.int64) - lut.first, 0, lut.entries - 1)])
    return np.stack(planes, axis=-1)


def _of_colours(picture: Picture, pixels: Pixels) -> Array:
    values = picture.values
    if values.dtype.kind != "u":
        raise NoPicture("It cannot be shown: its colours have a sign.")
    values = values >> max(pixels.bits_stored - 8, 0) if values.dtype.itemsize > 1 else values
    values = np.ascontiguousarray(values.astype(np.uint8))
    if picture.photometric.startswith("YBR"):
        return np.asarray(Image.fromarray(values, "YCbCr").convert("RGB"))
    return values


def image_of(seen: Array, view: dict[str, Any]) -> bytes:
    """Return what is to be seen as a file of the media type that is asked for, cut and scaled to the viewport."""
    image = Image.fromarray(seen)
    if view["viewport"] is not None:
        image = _scaled(image, *view["viewport"])
    out = BytesIO()
    if view["media_type"] == "image/png":
        image.save(out, "PNG", compress_level=3)
    else:
        image.save(out, "JPEG", quality=view["quality"])
    return out.getvalue()


def _scaled(
    image: Image.Image, width: int, height: int, left: float, top: float, part_width: float, part_height: float
) -> Image.Image:
    """The part of an image as large as it fits into a viewport, as wide to its height as it is (PS3.18, 8.3.5.1.3)."""
    right = min(image.width, left + (abs(part_width) or image.width))
    bottom = min(image.height, top + (abs(part_height) or image.height))
    box = int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom))
    if box[0] >= box[2] or box[1] >= box[3]:
        raise NoPicture("The part of the image that is asked for lies outside of it.")
    image = image.crop(box)
    if part_width < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if part_height < 0:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0) if size != image.size else image
