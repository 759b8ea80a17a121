"""The transfer syntaxes of pixels: their media types, and what they are decoded by (PS3.18, 8.7.3; PS3.5, Annex A)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BYTES = "application/octet-stream"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
RLE = "1.2.840.10008.1.2.5"
NATIVE = frozenset({
    "1.2.840.10008.1.2", EXPLICIT_LITTLE, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.113619.5.2",
})  # fmt: skip
"""The transfer syntaxes that do not compress pixels."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """How pixels are compressed.

    `is_target` says that they are brought into it on request, `is_default` that a media type alone means it.
    """

    name: str
    media_type: str
    codec: str
    is_target: bool = False
    is_default: bool = False


_ = "1.2.840.10008.1.2.4."
SYNTAXES: Mapping[str, Syntax] = {
    f"{_}50": Syntax("JPEG", "image/jpeg", "jpeg", is_target=True),
    f"{_}51": Syntax("JPEG", "image/jpeg", "jpeg"),
    f"{_}57": Syntax("JPEG lossless", "image/jpeg", "jpeg lossless"),
    f"{_}70": Syntax("JPEG lossless", "image/jpeg", "jpeg lossless", is_target=True, is_default=True),
    f"{_}80": Syntax("JPEG-LS", "image/jls", "jpeg-ls", is_target=True, is_default=True),
    f"{_}81": Syntax("JPEG-LS", "image/jls", "jpeg-ls"),
    f"{_}90": Syntax("JPEG 2000", "image/jp2", "jpeg 2000", is_target=True, is_default=True),
    f"{_}91": Syntax("JPEG 2000", "image/jp2", "jpeg 2000"),
    f"{_}201": Syntax("HTJ2K", "image/jphc", "htj2k", is_target=True, is_default=True),
    f"{_}202": Syntax("HTJ2K", "image/jphc", "htj2k"),
    f"{_}203": Syntax("HTJ2K", "image/jphc", "htj2k"),
    RLE: Syntax("RLE", "image/dicom-rle", "rle"),
}
LOSSY = f"{_}50"
