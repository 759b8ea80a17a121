"""A DICOM file in another transfer syntax, nothing of its pixels lost (PS3.5, 8 and Annex A; PS3.18, 8.7.3).

Made in a process of the darkroom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID

from dicom_bridge.codec import decoded, encoded
from dicom_bridge.pixels import BIG_ENDIAN, NoPicture, Pixels, pixels_of
from dicom_bridge.transfer_syntax import EXPLICIT_LITTLE, NATIVE, SYNTAXES

MOST_BYTES = 1_000_000_000
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
TRANSFORMED: Mapping[str, str] = {"jpeg 2000": "YBR_RCT", "htj2k": "YBR_RCT"}
"""What codecs make of red, green and blue within the codestream."""


def convert(source: str, target: str, syntax: str) -> None:
    """Write a file in a transfer syntax; what has no pixels to compress is written in explicit little endian.

    Raise NoPicture where a transfer syntax has no place for the pixels as they are.
    """
    dataset = dcmread(source)
    now = str(dataset.file_meta.TransferSyntaxUID)
    if now == BIG_ENDIAN:
        raise NoPicture("It is stored big-endian, which has not been used since 2006; its frames can be had otherwise.")
    held = [name for name in PIXELS if name in dataset]
    if not held:
        syntax = EXPLICIT_LITTLE
    elif not {now, syntax} <= NATIVE:
        _recode(dataset, held[0], now, syntax)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.save_as(target, enforce_file_format=True)


def _recode(dataset: Dataset, element: str, now: str, syntax: str) -> None:
    if any(_embedded(dataset)):
        raise NoPicture("An overlay stands in the unused bits of its pixels, which no other transfer syntax keeps.")
    pixels = pixels_of(described(dataset, element), now)
    if pixels.bits_allocated == 1:
        raise NoPicture("Its pixels are single bits, which stay as they are stored.")
    if pixels.bytes * pixels.frames > MOST_BYTES:
        raise NoPicture("It is too large to be converted here; its frames can be had one by one.")
    frames, photometric = [], pixels.photometric
    for frame in frames_of(dataset, element, pixels):
        picture = decoded(frame, pixels)
        photometric = picture.photometric
        frames.append(encoded(picture, syntax))
    if pixels.samples == 3:
        dataset.PhotometricInterpretation = colours(photometric, syntax)
        dataset.PlanarConfiguration = 0
    if "BitsStored" in dataset:
        dataset.HighBit = dataset.BitsStored - 1
    _put(dataset, element, frames, pixels, is_compressed=syntax not in NATIVE)


def _put(dataset: Dataset, element: str, frames: list[bytes], pixels: Pixels, *, is_compressed: bool) -> None:
    content = encapsulate(frames) if is_compressed else b"".join(frames)
    setattr(dataset, element, content + bytes(len(content) % 2))
    if element == "PixelData":
        dataset[element].VR = "OB" if is_compressed or pixels.bits_allocated <= 8 else "OW"
    dataset[element].is_undefined_length = is_compressed


def described(dataset: Dataset, element: str) -> dict[str, Any]:
    """Return what a data set says of its pixels as DICOM JSON."""
    found: dict[str, Any] = dataset.group_dataset(0x0028).to_json_dict()
    data = dataset[element]
    return found | {f"{int(data.tag):08X}": {"vr": str(data.VR), "BulkDataURI": "pixels"}}


def frames_of(dataset: Dataset, element: str, pixels: Pixels) -> Iterator[bytes]:
    """Yield the frames of a data set as they stand in it."""
    data = dataset[element].value
    if pixels.transfer_syntax not in NATIVE:
        yield from generate_frames(data, number_of_frames=pixels.frames)
        return
    size = pixels.bytes * 2 // 3 if pixels.photometric == "YBR_FULL_422" else pixels.bytes
    for number in range(pixels.frames):
        yield data[number * size : (number + 1) * size]


def colours(photometric: str, syntax: str) -> str:
    """Return how a transfer syntax names colours; raise NoPicture where its codec would take them for others."""
    codec = SYNTAXES[syntax].codec if syntax in SYNTAXES else ""
    if codec in TRANSFORMED and photometric == "RGB":
        return TRANSFORMED[codec]
    if codec in TRANSFORMED or (codec == "jpeg lossless" and photometric != "RGB"):
        raise NoPicture(f"Its colours are {photometric}, which {SYNTAXES[syntax].name} takes for red, green and blue.")
    return photometric


def _embedded(dataset: Dataset) -> Iterator[int]:
    """Yield the bits of pixels that overlays stand in (PS3.5, 8.1.2, of former editions)."""
    for group in range(0x6000, 0x6020, 2):
        if (group, 0x0102) in dataset and (group, 0x3000) not in dataset:
            yield int(dataset[group, 0x0102].value or 0)


def job(told: dict[str, Any], _blobs: dict[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Convert a file as a piece of work of the darkroom."""
    convert(told["source"], told["target"], told["syntax"])
    return {}, {}
