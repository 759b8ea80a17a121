"""The references in a resource: what they point to here, and links of a Bundle put in their place (FHIR R4, 2.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.parsing import Limits
from fhir_server.resource.reference import parse_reference

Key = tuple[str, str]
"""Type and id of a resource."""

_REFERENCE = re.compile(rb'("reference"[ \t\r\n]*:[ \t\r\n]*")([^"\\]*)"')
_NAME = b'"reference"'
_URN = re.compile(rb"urn:(?:uuid|oid):[0-9A-Fa-f.\-]+").findall
_ATTRIBUTE = re.compile(r'((?:href|src)\s*=\s*["\'])([^"\']*)')
NO_LIMITS = Limits(depth=1000, keys=2**40, string=2**40)
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
    found = _REFERENCE.findall(raw)
    if is_plain(raw, len(found)):
        return [text.decode() for _, text in found]
    return [spot.text for spot in spots(body) if spot.key == "reference"]


def is_plain(raw: bytes, references: int) -> bool:
    """Whether so many references, found in the text of a resource, are all that it has: none has an escape in it."""
    return raw.count(_NAME) == references and b"\\u" not in raw


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


class Links:
    """What becomes of the fullUrls of a Bundle and of conditional references."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._encoded: dict[bytes, bytes] = {}
        self._has_urls = False

    def add(self, text: str, path: str) -> None:
        """Let a text stand for a resource of this server."""
        self.texts[text] = path
        self._encoded[text.encode()] = path.encode()
        self._has_urls = self._has_urls or "://" in text

    def put(self, raw: bytes, definitions: Definitions) -> bytes:
        """Return a resource with every link where it belongs, and all else as it was."""
        count, urns = 0, 0

        def link(found: re.Match[bytes]) -> bytes:
            nonlocal count, urns
            count += 1
            text = found[2]
            urns += text.startswith(b"urn:")
            path = self._encoded.get(text)
            if path is None:
                path = replaced(text.decode(), self.texts).encode()
            return b'%b%b"' % (found[1], path)

        linked = _REFERENCE.sub(link, raw)
        if is_plain(raw, count) and not self._stand_elsewhere(raw, urns):
            return linked
        body = parse_exact(raw, NO_LIMITS)
        put_links(spots(body), self.texts, body, definitions)
        return dump_exact(body)

    def _stand_elsewhere(self, raw: bytes, urns: int) -> bool:
        """Whether some link may stand outside a reference: in a uri, or in the narrative."""
        if raw.count(b"urn:") != urns and any(text in self._encoded for text in other_urns(raw)):
            return True
        return self._has_urls and (b"href" in raw or b"src" in raw)


def other_urns(raw: bytes) -> list[bytes]:
    """Return the urns in a resource that are in no reference."""
    return _URN(_REFERENCE.sub(b"", raw))


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
