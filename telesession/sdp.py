"""Offers, answers and fragments of SDP as far as signalling judges them (RFC 8866; RFC 8829; RFC 8840)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from fhir_server.errors import Invalid, TooLarge, Unprocessable

LONGEST = 65_536
MOST_CANDIDATES = 100
MOST_MEDIA = 40
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_LINE = re.compile(r"([a-z])=(.*)").fullmatch
_MEDIA = re.compile(r"(audio|video|application) (\d{1,5}) (\S+) ([\w -]+)").fullmatch

Side = Literal["publish", "view"]


@dataclass(frozen=True, slots=True)
class Media:
    """One section of a description: its kind, mid, direction and attributes."""

    kind: str
    mid: str
    direction: str
    attributes: tuple[str, ...]

    def has(self, name: str) -> bool:
        """Whether an attribute is there, with a value or without."""
        return any(each == name or each.startswith(f"{name}:") for each in self.attributes)


@dataclass(frozen=True, slots=True)
class Description:
    """A session description: what stands before the media, and the media."""

    attributes: tuple[str, ...]
    media: tuple[Media, ...]

    def has(self, media: Media, name: str) -> bool:
        """Whether an attribute is there for a media, its own or for all."""
        return media.has(name) or any(each.startswith(f"{name}:") for each in self.attributes)


def read_description(text: str) -> Description:
    """Return a description; raise TooLarge or Invalid with the line that is wrong."""
    if len(text) > LONGEST:
        raise TooLarge(f"A session description may have {LONGEST:,} characters.")
    lines = text.splitlines()
    if not lines or lines[0] != "v=0":
        raise Invalid("This is no session description: the first line must be v=0 (RFC 8866, 5.1).")
    common: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    for number, line in enumerate(lines, 1):
        found = _LINE(line)
        if found is None:
            raise Invalid(f"Line {number} of the session description is not of the form letter=value.")
        if found[1] == "m":
            sections.append((_kind(found[2], number), []))
        elif found[1] == "a":
            (sections[-1][1] if sections else common).append(found[2])
    _check_counts(lines, sections)
    return Description(tuple(common), tuple(_media(kind, attributes) for kind, attributes in sections))


def _kind(value: str, number: int) -> str:
    found = _MEDIA(value)
    if found is None:
        raise Invalid(
            f"Line {number} of the session description is no description of sound or pictures (RFC 8866, 5.14)."
        )
    return found[1]


def _check_counts(lines: Sequence[str], sections: Sequence[object]) -> None:
    if len(sections) > MOST_MEDIA:
        raise TooLarge(f"An offer may have {MOST_MEDIA} media.")
    if sum(line.startswith("a=candidate:") for line in lines) > MOST_CANDIDATES:
        raise TooLarge(f"An offer may have {MOST_CANDIDATES} candidates.")


def _media(kind: str, attributes: Sequence[str]) -> Media:
    mid = next((each[4:] for each in attributes if each.startswith("mid:")), "")
    direction = next((each for each in attributes if each in DIRECTIONS), "sendrecv")
    return Media(kind, mid, direction, tuple(attributes))


def check_offer(text: str, side: Side) -> Description:
    """Return an offer that can be served whole; raise Invalid or Unprocessable (RFC 9725, 4.2 and 4.4)."""
    offer = read_description(text)
    for problem in (*_problems(offer), *(_publishing(offer) if side == "publish" else _viewing(offer))):
        raise Unprocessable(problem)
    return offer


def _problems(offer: Description) -> Iterator[str]:
    if not offer.media:
        yield "The offer has no sound and no pictures."
    mids = [each.mid for each in offer.media]
    if "" in mids or len(set(mids)) < len(mids):
        yield "Each media needs a mid of its own (RFC 8843)."
    groups = [each.split()[1:] for each in offer.attributes if each.startswith("group:BUNDLE")]
    if any(set(each) != set(mids) for each in groups) or (len(mids) > 1 and not groups):
        yield "All media must be in one group: a=group:BUNDLE (RFC 9725, 4.4.1)."
    for media in offer.media:
        if media.kind == "application":
            yield "Data channels are not taken."
        for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
            if not offer.has(media, name):
                yield f"The media {media.mid} lacks a={name}."
        if not media.has("rtcp-mux"):
            yield f"The media {media.mid} lacks a=rtcp-mux (RFC 9725, 4.4.2)."
        if any(each.startswith("setup:passive") for each in (*media.attributes, *offer.attributes)):
            yield "An offer must have a=setup:actpass (RFC 9725, 4.4)."


def _publishing(offer: Description) -> Iterator[str]:
    kinds = [each.kind for each in offer.media]
    if any(kinds.count(kind) > 1 for kind in ("audio", "video")):
        yield "One connection publishes at most one sound and one picture (RFC 9725, 4.4.1); a screen has its own."
    if any(each.direction not in ("sendonly", "sendrecv") for each in offer.media):
        yield "What is published must be offered as a=sendonly."


def _viewing(offer: Description) -> Iterator[str]:
    if any(each.direction not in ("recvonly", "sendrecv") for each in offer.media):
        yield "What is viewed must be offered as a=recvonly."


def without_names(text: str) -> str:
    """Return a description or fragment without candidates whose address is a name.

    A name such as `....local` would have this server ask its network; whoever has only such a candidate is found by
    the checks that come from there.
    """
    return "".join(f"{line}\r\n" for line in text.splitlines() if not line.startswith("a=candidate:") or _is_ip(line))


def _is_ip(line: str) -> bool:
    words = line.split()
    try:
        return len(words) > 7 and bool(ip_address(words[4]))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment of SDP: the credentials of ICE, and candidates with the mid that they are for."""

    ufrag: str
    password: str
    candidates: tuple[tuple[str, str], ...]
    is_end: bool


def read_fragment(text: str) -> Fragment:
    """Return what a fragment brings (RFC 8840, 9); raise TooLarge or Invalid."""
    if len(text) > LONGEST:
        raise TooLarge(f"A fragment may have {LONGEST:,} characters.")
    mid, ufrag, password, is_end = "", "", "", False
    candidates: list[tuple[str, str]] = []
    for number, line in enumerate(filter(None, text.splitlines()), 1):
        found = _LINE(line)
        if found is None or found[1] not in "am":
            raise Invalid(f"Line {number} of the fragment is neither a= nor m= (RFC 8840, 9).")
        name, _, value = found[2].partition(":")
        mid = value if name == "mid" else mid
        ufrag = value if name == "ice-ufrag" else ufrag
        password = value if name == "ice-pwd" else password
        is_end = is_end or name == "end-of-candidates"
        if name == "candidate":
            candidates.append((mid, value))
    if not (ufrag or candidates or is_end):
        raise Invalid("The fragment has neither candidates nor a=ice-ufrag.")
    if len(candidates) > MOST_CANDIDATES:
        raise TooLarge(f"A fragment may have {MOST_CANDIDATES} candidates.")
    return Fragment(ufrag, password, tuple(candidates), is_end)
