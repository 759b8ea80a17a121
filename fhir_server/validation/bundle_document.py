"""Documents and messages: what they refer to is in them, and all in them is referred to (FHIR R4, 3.3 and 2.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.validation.bundle_entry import RESTFUL, Entries, Found, index_of, resource_of
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Fault, Json, Run

SINGLE = ("subject", "encounter", "custodian")
URL_TYPES = frozenset({"url", "uri"})
ADDRESSES = frozenset({
    "Bundle.entry.fullUrl", "Extension.url", "MessageHeader.source.endpoint", "MessageHeader.destination.endpoint",
    "Endpoint.address",
})  # fmt: skip
NARRATIVE_LINK = "http://hl7.org/fhir/StructureDefinition/narrativeLink"


class Interlinks:
    """Checks of documents and messages against their own references."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def document_rule(self, bundle: Json, entries: Sequence[Json], run: Run) -> None:
        """Report references of the Composition that lead out of the document, and entries that nothing leads to."""
        self._first_rule(bundle, entries, "Composition", run)
        index = index_of(bundle, run)
        reached = self._reached(bundle, entries, index, run)
        for entry in entries:
            if resource_of(entry) is not None and id(entry) not in reached:
                self._complain(entry, None, "Nothing leads from the Composition to this entry, nor back.", run)

    def message_rule(self, bundle: Json, entries: Sequence[Json], run: Run) -> None:
        """Report references of the MessageHeader that lead out of the message."""
        self._first_rule(bundle, entries, "MessageHeader", run)
        if entries and resource_of(entries[0]) is not None:
            self._reached(bundle, entries, index_of(bundle, run), run)

    def _first_rule(self, bundle: Json, entries: Sequence[Json], wanted: str, run: Run) -> None:
        first = resource_of(entries[0]) if entries else None
        if first is None:
            self._complain(bundle, None, f"The Bundle must start with a {wanted}.", run)
            return
        if first.get("resourceType") != wanted:
            self._complain(first, None, f"The Bundle must start with a {wanted}.", run)
            return
        index = index_of(bundle, run)
        for reference in FIRST_REFERENCES[wanted](first):
            literal = reference.get("reference")
            if literal.__class__ is str and literal and not literal.startswith("#"):
                found = index.find(literal, entries[0], self._definitions.resource_types)
                if found.missing and not self._is_known(literal):
                    self._complain(reference, "reference", f"{shown(literal)} is not in the Bundle.", run)

    def _is_known(self, reference: str) -> bool:
        """True for a definition that need not be sent along."""
        definitions = self._definitions
        if definitions.structure(reference) or definitions.value_set(reference) or definitions.code_system(reference):
            return True
        found = RESTFUL(reference)
        return found is not None and "/" in reference.partition("//")[2] and self._is_canonical(found[1])

    def _is_canonical(self, kind: str) -> bool:
        if kind not in self._definitions.resource_types:
            return False
        members = self._definitions.type(kind).members
        return "url" in members and "status" in members and "name" in members

    def _reached(self, bundle: Json, entries: Sequence[Json], index: Entries, run: Run) -> set[int]:
        """The identities of the entries that references tie to the first, or to one tied to it."""
        targets = {id(e): self._targets(e, index, run) for e in entries if resource_of(e) is not None}
        reached: set[int] = set()
        follow(reached, id(entries[0]) if entries else 0, targets)
        reached.update(id(e) for e in entries if is_style_sheet(bundle, e))
        while True:
            backward = [e for e in targets if e not in reached and not reached.isdisjoint(targets[e])]
            if not backward:
                return reached
            for entry in backward:
                follow(reached, entry, targets)

    def _targets(self, entry: Json, index: Entries, run: Run) -> set[int]:
        """The identities of the entries that an entry refers to; what cannot be told apart is reported."""
        targets: set[int] = set()
        seen: set[str] = set()
        for literal, holder, key in links(entry, "Bundle.entry", self._definitions):
            if literal in seen:
                continue
            seen.add(literal)
            found = index.find(literal, entry, self._definitions.resource_types)
            if found.problem is not None:
                self._complain(holder, key, found.problem, run)
            elif found.entry is not None:
                targets.add(id(found.entry))
                self._fragment_rule(literal, found, holder, key, run)
        return targets

    def _fragment_rule(self, literal: str, found: Found, holder: Json, key: str, run: Run) -> None:
        _, mark, fragment = literal.partition("#")
        if mark and found.entry is not None and holder.get("url") != NARRATIVE_LINK and "://" in literal:
            count = occurrences(found.entry, fragment)
            if count != 1:
                text = f"{shown(literal)} names {count or 'no'} parts of the entry."
                self._complain(holder, key, text, run)

    def _complain(self, holder: Json, key: str | None, text: str, run: Run) -> None:
        run.report(Fault(holder, key, None, "error", "not-found", text, None, None, "full"))


def follow(reached: set[int], start: int, targets: dict[int, set[int]]) -> None:
    """Add all that can be reached from an entry."""
    waiting = [start]
    while waiting:
        entry = waiting.pop()
        if entry not in reached:
            reached.add(entry)
            waiting.extend(targets.get(entry, ()))


def is_style_sheet(bundle: Json, entry: Json) -> bool:
    """True for an entry that a link of the Bundle names as its style sheet."""
    resource = resource_of(entry) or {}
    name = f"{resource.get('resourceType')}/{resource.get('id')}"
    found: Any = bundle.get("link")
    return any(
        x.__class__ is dict and x.get("relation") == "stylesheet" and x.get("url") == name
        for x in (found if found.__class__ is list else ())
    )


def links(value: Json, kind: str, definitions: Definitions) -> Iterator[tuple[str, Json, str]]:
    """The references and addresses within an object, each with the object and key where it stands."""
    if not definitions.has_type(kind):
        return
    members = definitions.type(kind).members
    for key, inner in value.items():
        member = members.get(key)
        if member is None:
            continue
        for item in inner if inner.__class__ is list else (inner,):
            if item.__class__ is dict:
                if item.get("resourceType") != "Bundle":
                    yield from links(item, str(item.get("resourceType") or member.type), definitions)
            elif item.__class__ is str and not item.startswith("#") and is_link(kind, key, member.type):
                yield item, value, key


def is_link(kind: str, key: str, member: str) -> bool:
    """True for a member that may name another resource."""
    if kind == "Reference":
        return key == "reference"
    return member in URL_TYPES and key != "system" and f"{kind}.{key}" not in ADDRESSES


def occurrences(value: Any, identity: str) -> int:
    """How many elements within have an id, narratives included."""
    if value.__class__ is dict:
        own = value.get("id") == identity and "resourceType" not in value
        return own + sum(occurrences(inner, identity) for inner in value.values())
    if value.__class__ is list:
        return sum(occurrences(inner, identity) for inner in value)
    if value.__class__ is str and value.startswith("<"):
        return len(re.findall(rf"\sid\s*=\s*[\"']{re.escape(identity)}[\"']", value))
    return 0


def composition_references(composition: Json) -> Iterator[Json]:
    """The references of a Composition that must lead to entries."""
    yield from parts(composition, *SINGLE, "author")
    for attester in parts(composition, "attester"):
        yield from parts(attester, "party")
    for event in parts(composition, "event"):
        yield from parts(event, "detail")
    yield from section_references(composition)


def section_references(holder: Json) -> Iterator[Json]:
    """The references of sections that must lead to entries."""
    for section in parts(holder, "section"):
        yield from parts(section, "author", "focus", "entry")
        yield from section_references(section)


def parts(holder: Json, *keys: str) -> Iterator[Json]:
    """The objects under some keys."""
    for key in keys:
        value: Any = holder.get(key)
        yield from (x for x in (value if value.__class__ is list else (value,)) if x.__class__ is dict)


FIRST_REFERENCES: Mapping[str, Callable[[Json], Iterator[Json]]] = {
    "Composition": composition_references,
    "MessageHeader": lambda header: parts(header, "focus"),
}
