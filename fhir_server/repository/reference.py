"""The references in a resource: what they point to here, and links of a Bundle put in their place (FHIR R4, 2.3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.parsing import Limits
from fhir_server.resource.reference import parse_reference

Key = tuple[str, str]
"""Type and id of a resource."""

_URN = re.compile(rb"urn:(?:uuid|oid):[0-9A-Fa-f.\-]+").findall
_ATTRIBUTE = re.compile(r'((?:href|src)\s*=\s*["\'])([^"\']*)')
NO_LIMITS = Limits(depth=1000, keys=2**40, string=2**40)
LINKABLE = frozenset({"uri", "url", "oid", "uuid"})
"""Types of the elements in which a transaction replaces links, beside references (FHIR R4, 3.1.0.11.2)."""


Spot = tuple[dict[str, Any], str]
"""An object in a resource whose member `reference` is a string, and that string."""


def spots(body: dict[str, Any]) -> list[Spot]:
    """Return the places of all literal references in a resource."""
    found: list[Spot] = []
    waiting: list[Any] = [body]
    further = waiting.append
    for holder in waiting:
        inner = holder
        if type(holder) is dict:
            if "reference" in holder and isinstance(holder["reference"], str):
                found.append((holder, holder["reference"]))
            inner = holder.values()
        for value in inner:
            kind = type(value)
            if kind is dict or kind is list:
                further(value)
    return found


def reference_texts(body: dict[str, Any]) -> list[str]:
    """Return the text of every literal reference in a resource."""
    return [text for _, text in spots(body)]


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
        self._encoded: set[bytes] = set()
        self._has_urls = False

    def add(self, text: str, path: str) -> None:
        """Let a text stand for a resource of this server."""
        self.texts[text] = path
        self._encoded.add(text.encode())
        self._has_urls = self._has_urls or "://" in text

    def stand_in(self, raw: bytes) -> bool:
        """Whether some link may stand in a resource whose references are linked: in a uri, or in the narrative."""
        if b"urn:" in raw and not self._encoded.isdisjoint(_URN(raw)):
            return True
        return self._has_urls and (b"href" in raw or b"src" in raw)

    def put_everywhere(self, raw: bytes, definitions: Definitions) -> bytes:
        """Return a resource with every link where it belongs, and all else as it was."""
        body = parse_exact(raw, NO_LIMITS)
        uris = set(uri_places(body, body["resourceType"], definitions))
        for holder, text in spots(body):
            holder["reference"] = replaced(text, self.texts)
        for holder, key, text in linkable_texts(body):
            if key == "div":
                holder[key] = _ATTRIBUTE.sub(self._attribute, text)
            elif text in self.texts and (id(holder), key) in uris:
                holder[key] = self.texts[text]
        return dump_exact(body)

    def _attribute(self, found: re.Match[str]) -> str:
        return f"{found[1]}{self.texts.get(found[2], found[2])}"


def linkable_texts(body: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield the strings beside references that may hold a link: urns and narratives, with object and member."""
    waiting = [body]
    while waiting:
        holder = waiting.pop()
        for key, value in holder.items():
            if isinstance(value, str):
                if key == "div" or value.startswith("urn:"):
                    yield holder, key, value
            elif isinstance(value, dict):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [item for item in value if isinstance(item, dict)]


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
