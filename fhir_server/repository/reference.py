"""The references in a resource: what they point to here, and links of a Bundle put in their place (FHIR R4, 2.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.resource.reference import parse_reference

Key = tuple[str, str]
"""Type and id of a resource."""

_REFERENCES = re.compile(rb'"reference"[ \t\r\n]*:[ \t\r\n]*"([^"\\]*)"').findall
_ATTRIBUTE = re.compile(r'((?:href|src)\s*=\s*["\'])([^"\']*)')
LINKABLE = frozenset({"uri", "url", "oid", "uuid"})
"""Types of the elements in which a transaction replaces links, beside references (FHIR R4, 3.1.0.11.2)."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A string in a resource: `holder[key]`, and what stood there when it was sent."""

    holder: Any
    key: str
    text: str


def reference_texts(raw: bytes, body: dict[str, Any]) -> list[str]:
    """Return the text of every literal reference in a resource; `body` is what `raw` was read as."""
    if b"\\" in raw:
        return [spot.text for spot in spots(body) if spot.key == "reference"]
    return [text.decode() for text in _REFERENCES(raw)]


def spots(body: Any) -> Iterator[Spot]:
    """Yield the strings that may hold a link: references, urns, narratives."""
    waiting = [body]
    while waiting:
        holder = waiting.pop()
        for key, value in holder.items():
            if isinstance(value, str):
                if key in ("reference", "div") or value.startswith("urn:"):
                    yield Spot(holder, key, value)
            elif isinstance(value, dict):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [item for item in value if isinstance(item, dict)]


class Targets:
    """Tells which literal references are to resources of this server, whose base URLs are `bases`."""

    def __init__(self, types: frozenset[str], bases: Collection[str]) -> None:
        self._types = types
        self._bases = frozenset(base.rstrip("/") for base in bases)

    def own(self, text: str) -> Key | None:
        """The resource of this server that a reference points to; None for any other reference."""
        reference = parse_reference(text)
        if reference.id is None or reference.type not in self._types:
            return None
        if reference.base is not None and reference.base not in self._bases:
            return None
        return reference.type, reference.id

    def all_of(self, texts: Iterable[str]) -> tuple[Key, ...]:
        """The different resources of this server that references point to."""
        return tuple({key: None for text in texts if (key := self.own(text)) is not None})


def conditions_in(texts: Iterable[str]) -> list[str]:
    """The references that are searches, such as `Patient?identifier=a`."""
    return [text for text in texts if "?" in text and parse_reference(text).kind == "conditional"]


def put_links(places: Iterable[Spot], links: Mapping[str, str], body: dict[str, Any], definitions: Definitions) -> None:
    """Write the links where they belong: `links` says what becomes of a fullUrl or a conditional reference."""
    uris: set[tuple[int, str]] | None = None
    for spot in places:
        if spot.key == "reference":
            spot.holder["reference"] = replaced(spot.text, links)
        elif spot.key == "div":
            spot.holder["div"] = _ATTRIBUTE.sub(lambda found: f"{found[1]}{links.get(found[2], found[2])}", spot.text)
        elif spot.text in links:
            uris = uris if uris is not None else set(uri_places(body, body["resourceType"], definitions))
            if (id(spot.holder), spot.key) in uris:
                spot.holder[spot.key] = links[spot.text]


def replaced(text: str, links: Mapping[str, str]) -> str:
    """Return what a reference becomes; what follows `#` or `/_history` stays."""
    found = links.get(text)
    if found is not None:
        return found
    for mark in ("#", "/_history/"):
        head, between, tail = text.partition(mark)
        if between and head in links:
            return f"{links[head]}{between}{tail}" if mark == "#" else links[head]
    return text


def uri_places(value: dict[str, Any], kind: str, definitions: Definitions) -> Iterator[tuple[int, str]]:
    """Yield the places in a value whose type is one of LINKABLE."""
    if not definitions.has_type(kind):
        return
    members = definitions.type(kind).members
    for key, inner in value.items():
        member = members.get(key)
        if member is None:
            continue
        if member.type in LINKABLE:
            yield id(value), key
        for item in inner if isinstance(inner, list) else (inner,):
            if isinstance(item, dict):
                yield from uri_places(item, item.get("resourceType", member.type), definitions)
