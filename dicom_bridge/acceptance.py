"""Which media type answers a request for images: what is stored, if the client takes it (PS3.18, 8.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dicom_bridge.multipart import MediaType, media_type_of
from fhir_server.rest.failure import NotAcceptable

JSON_TYPES = ("application/dicom+json", "application/json", "application/*", "*/*")
DICOM = "application/dicom"
BYTES = "application/octet-stream"
RELATED = "multipart/related"

FRAME_TYPES: Mapping[str, str] = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
"""The media type of frames of a transfer syntax; of all others they are bytes."""

PLAIN = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"})
"""The transfer syntaxes whose pixels are the same bytes."""


def ranges_of(accept: str | None) -> list[MediaType]:
    """Return what a header Accept takes, in its order; anything where it is not sent."""
    ranges = [media_type_of(each) for each in split(accept or "") if each.strip()]
    return [each for each in ranges if each.parameters.get("q") not in ("0", "0.0")] or [MediaType("*/*", {})]


def split(header: str) -> list[str]:
    """Return the members of a header that is a list; commas within quotes part nothing (RFC 9110, 5.6.1)."""
    members, is_quoted = [""], False
    for character in header:
        is_quoted ^= character == '"'
        if character == "," and not is_quoted:
            members.append("")
        else:
            members[-1] += character
    return members


def check_json(accept: str | None) -> None:
    """Raise NotAcceptable where a client does not take DICOM JSON."""
    if not any(each.name in JSON_TYPES for each in ranges_of(accept)):
        raise NotAcceptable("This is answered in application/dicom+json alone; ask for that in the header Accept.")


def part_type(accept: str | None, of: str, syntaxes: Sequence[str]) -> tuple[str, bool]:
    """Return the media type to answer in, and whether as parts; raise NotAcceptable where the client takes none.

    `of` is what is sent: DICOM files, bytes, or frames with the media type of their transfer syntax. `syntaxes` are
    those that it is stored in: nothing is transcoded, and nothing is left out.
    """
    for each in ranges_of(accept):
        is_related = each.name in (RELATED, "multipart/*", "*/*")
        wanted = (each.parameters.get("type", "*/*").lower() if is_related else each.name).partition(";")[0]
        if not is_related and len(syntaxes) > 1:
            continue
        if _fits(wanted, of) and _is_syntax(each.parameters.get("transfer-syntax"), wanted, syntaxes):
            return of, is_related
    stored = ", ".join(sorted(set(syntaxes)))
    raise NotAcceptable(
        f"It is stored as {of} in the transfer syntax {stored}, and not transcoded. Accept multipart/related; "
        f'type="{of}"; transfer-syntax=* to have it so.'
    )


def _fits(wanted: str, of: str) -> bool:
    """Whether a media range is about a media type; bytes may be any frames, if their syntax is taken."""
    return wanted in ("*/*", of, f"{of.partition('/')[0]}/*") or (wanted == BYTES and of != DICOM)


def _is_syntax(asked: str | None, wanted: str, syntaxes: Sequence[str]) -> bool:
    if asked == "*":
        return True
    if asked is not None:
        return all(each == asked or {each, asked} <= PLAIN for each in syntaxes) and (
            wanted != DICOM or all(each == asked for each in syntaxes)
        )
    # Bytes without a transfer syntax are those of pixels that are not compressed (PS3.18, 8.7.3.3).
    return wanted != BYTES or not any(each in FRAME_TYPES for each in syntaxes)
