"""Which form answers a request for images: as they are stored, or as the client takes them (PS3.18, 8.7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dicom_bridge.multipart import MediaType, media_type_of
from dicom_bridge.transfer_syntax import BYTES, EXPLICIT_LITTLE, LOSSY, SYNTAXES
from fhir_server.rest.failure import NotAcceptable

JSON_TYPES = ("application/dicom+json", "application/json", "application/*", "*/*")
DICOM = "application/dicom"
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


@dataclass(frozen=True, slots=True)
class Offer:
    """A form in which something can be had; `is_default` where its media type alone means this transfer syntax."""

    media_type: str
    transfer_syntax: str
    is_stored: bool = False
    is_default: bool = True

    def __str__(self) -> str:
        return f"{self.media_type}; transfer-syntax={self.transfer_syntax}"


def stored_frames(transfer_syntax: str) -> Offer:
    """Return the form in which frames are stored."""
    return Offer(FRAME_TYPES.get(transfer_syntax, BYTES), transfer_syntax, is_stored=True)


def frame_offers(transfer_syntax: str) -> list[Offer]:
    """Return the forms in which frames that can be decoded are to be had, that in which they are stored first."""
    stored = stored_frames(transfer_syntax)
    plain = [] if transfer_syntax in PLAIN else [Offer(BYTES, EXPLICIT_LITTLE)]
    made = [
        Offer(syntax.media_type, uid, is_default=syntax.is_default)
        for uid, syntax in SYNTAXES.items()
        if syntax.is_target and uid != transfer_syntax
    ]
    return [stored, *plain, *made]


def file_offers(transfer_syntaxes: Collection[str]) -> list[Offer]:
    """Return the forms in which files of these transfer syntaxes are to be had; "*" is as each is stored."""
    lossless = [uid for uid, syntax in SYNTAXES.items() if syntax.is_target and uid != LOSSY]
    stored = [Offer(DICOM, each, is_stored=True) for each in sorted(transfer_syntaxes)]
    as_stored = stored if len(stored) == 1 else [Offer(DICOM, "*", is_stored=True)]
    made = [Offer(DICOM, each) for each in (EXPLICIT_LITTLE, *lossless)]
    return [*as_stored, *(each for each in made if {each.transfer_syntax} != set(transfer_syntaxes))]


def choose(accept: str | None, offers: Sequence[Offer], *, count: int = 1) -> tuple[Offer, bool] | None:
    """Return the form that a client takes, and whether as parts, which several always are; None where it takes none."""
    for each in ranges_of(accept):
        is_related = each.name in (RELATED, "multipart/*", "*/*")
        wanted = (each.parameters.get("type", "*/*").lower() if is_related else each.name).partition(";")[0]
        if not is_related and count > 1:
            continue
        for offer in offers:
            if _is_asked(each.parameters.get("transfer-syntax"), wanted, offer):
                return offer, is_related
    return None


def not_acceptable(offers: Sequence[Offer]) -> NotAcceptable:
    """The failure of a request for another form than there is, with the list of those."""
    listed = ", ".join(map(str, offers))
    form = f'multipart/related; type="{offers[0].media_type}"; transfer-syntax=*'
    return NotAcceptable(f"It is stored as {offers[0]}. It can be had as {listed}. Accept {form} to have it as stored.")


def _is_asked(asked: str | None, wanted: str, offer: Offer) -> bool:
    """Whether a media type and a transfer syntax, if one is asked for, mean this form (PS3.18, 8.7.3)."""
    own = offer.media_type
    is_type = wanted in ("*/*", own, f"{own.partition('/')[0]}/*") or (wanted == BYTES and own != DICOM)
    if not is_type or asked == "*":
        return is_type and offer.is_stored
    if asked is not None:
        return asked == offer.transfer_syntax or (own == BYTES and {asked, offer.transfer_syntax} <= PLAIN)
    if wanted == BYTES:
        # Bytes without a transfer syntax are those of pixels that are not compressed.
        return own == BYTES and offer.transfer_syntax in PLAIN
    return offer.is_stored or (offer.is_default and wanted == own)
