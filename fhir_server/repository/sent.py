"""A resource as a client sent it: its JSON to be read, and what to store of it (FHIR R4, 2.6.2 JSON representation)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Invalid
from fhir_server.formats import is_xml
from fhir_server.repository.reference import NO_LIMITS, Spot, replaced, spots
from fhir_server.resource.exact import dump_exact, may_lose, parse_exact
from fhir_server.resource.parsing import Limits, parse, repeated_members
from fhir_server.store.content import content, content_of
from fhir_server.store.protocol import Content
from fhir_server.xml_format import read_xml

_BLANKS = b" \t\r\n"
_PERHAPS_CONDITION = re.compile(rb'\?[^"\s]*=').search


@dataclass(slots=True)
class Sent:
    """A resource: `body` is read by everything; `raw` is its JSON as it came.

    Where `raw` is None it is written from `exact`, which has the same members as `body` as they were spelled, and is
    mostly the same object. `members_counted` says that no member is known to be repeated, `has_no_condition` that no
    reference is a search.
    """

    body: dict[str, Any]
    raw: bytes | None = None
    exact: dict[str, Any] | None = None
    members_counted: bool = False
    has_no_condition: bool = False
    _spots: Sequence[Spot] | None = None
    _twins: Sequence[Spot] | None = None
    _texts: list[str] | None = None
    _is_linked: bool = False

    @property
    def type(self) -> str:
        """The type that the resource says it has."""
        kind: str = self.body["resourceType"]
        return kind

    def json(self) -> bytes:
        """The JSON to store."""
        return dump_exact(self.exact or self.body) if self.raw is None else self.raw

    def parts(self, resource_id: str) -> Content:
        """The JSON to store, with this id and ready for any version."""
        if self.raw is None:
            return content_of(self.exact or self.body, resource_id)
        return content(self.raw, self.body, resource_id)

    def references(self) -> list[str]:
        """The text of every literal reference in it, with the links that were put in their places."""
        if self._texts is None:
            self._texts = [holder["reference"] for holder, _ in self._found()]
        return self._texts

    def link(self, links: Mapping[str, str]) -> None:
        """Let a link stand in the place of each reference that it is for."""
        if self.raw is not None:
            self.exact = parse_exact(self.raw, NO_LIMITS) if may_lose(self.raw) else self.body
            self.raw = None
        if self._twins is None:
            self._twins = spots(self.exact) if self.exact is not None and self.exact is not self.body else []
        self._is_linked = True
        self._texts = None
        for holder, text in chain(self._found(), self._twins):
            holder["reference"] = replaced(text, links)

    def put_back(self) -> None:
        """Let the references be as they were sent."""
        if self._is_linked:
            self.link({})

    def _found(self) -> Sequence[Spot]:
        if self._spots is None:
            self._spots = spots(self.body)
        return self._spots


def read_sent(raw: bytes, definitions: Definitions, limits: Limits) -> Sent:
    """Return the resource in a body of JSON or XML; raise Invalid or TooLarge for a text that is none."""
    if not is_xml(raw):
        return Sent(parse(raw, limits), raw)
    body, issues = read_xml(raw, definitions, limits)
    if issues:
        raise Invalid(*issues)
    return Sent(body, members_counted=True)


def accept_all(_bundle: dict[str, Any]) -> None:
    """Refuse no Bundle."""


def read_bundle(
    raw: bytes, definitions: Definitions, limits: Limits, refuse: Callable[[dict[str, Any]], None] = accept_all
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a Bundle twice: to be read, and with every token as it was spelled (mostly the same objects).

    `refuse` sees the Bundle before what costs most is done.
    """
    if is_xml(raw):
        body = read_sent(raw, definitions, limits).body
        refuse(body)
        return body, body
    body = parse(raw, limits)
    refuse(body)
    # Blanks are taken out of strings as well, of both alike: what is equal without them has lost nothing, neither a
    # digit nor a member that was sent twice.
    if orjson.dumps(body).translate(None, _BLANKS) == raw.translate(None, _BLANKS):
        return body, body
    if issues := repeated_members(raw, body):
        raise Invalid(*issues)
    return body, parse_exact(raw, limits) if may_lose(raw) else body


def entries_of(body: dict[str, Any], exact: dict[str, Any], raw: bytes) -> Sequence[tuple[dict[str, Any], Sent | None]]:
    """Return the entries of a Bundle, each with its resource; raise Invalid for what is no list of objects.

    `raw` is what the Bundle was read from.
    """
    listed = body.get("entry", [])
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise Invalid("Bundle.entry must be a list of objects.", expression=("Bundle.entry",))
    spelled = exact["entry"] if listed else []
    pairs = zip(listed, spelled, strict=True)
    found = [(entry, _resource_of(entry, twin, place)) for place, (entry, twin) in enumerate(pairs)]
    if b"\\u" not in raw and _PERHAPS_CONDITION(raw) is None:
        for _, sent in found:
            if sent is not None:
                sent.has_no_condition = True
    return found


def _resource_of(entry: dict[str, Any], twin: dict[str, Any], place: int) -> Sent | None:
    resource = entry.get("resource")
    if resource is None:
        return None
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        where = (f"Bundle.entry[{place}].resource",)
        raise Invalid("The resource of an entry must be an object with resourceType.", expression=where)
    return Sent(resource, exact=twin["resource"], members_counted=True)
