"""URIs beyond their form: absolute canonicals and what they lead to, OIDs and UUIDs (FHIR R4, 2.24.0.1, 2.3.0.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.validation.primitive import UUID, remember, shown
from fhir_server.validation.reference import target_types
from fhir_server.validation.run import Check, Fault, Json, Run
from fhir_server.validation.white_space import is_plain

ABSOLUTE = re.compile(r"[a-z][a-z0-9_\[\]]*:[^ ]+", re.ASCII).fullmatch
OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+", re.ASCII).fullmatch
OID_PREFIX = "urn:oid:"
UUID_PREFIX = "urn:uuid:"
DEFINITION = "url of a definition"
SHORTEST_OID = 4
SHORT_ROOT = "1.3"
PUBLICATION_STATUS = "http://hl7.org/fhir/ValueSet/publication-status"

Lookup = Callable[[str], object | None]


def is_absolute(value: str) -> bool:
    """True for a URI with a scheme and something after it."""
    return ABSOLUTE(value) is not None


def uri_problem(value: str, kind: str) -> str | None:
    """What is wrong with a uri of a type beyond its form."""
    if value.startswith(("oid:", "uuid:")):
        return f"{shown(value)} must start with urn:."
    if kind == "canonical":
        value = value.partition("|")[0]
        if value[:1] != "#" and not is_absolute(value):
            return f"A canonical must be an absolute URL or start with #, found {shown(value)}."
    if value.startswith(UUID_PREFIX) and not UUID(value.partition("#")[0]):
        return f"{shown(value)} is not a valid UUID in lower case."
    if value.startswith(OID_PREFIX) and not is_oid(value[len(OID_PREFIX) :]):
        return f"{shown(value)} is not a valid OID."
    return None


def is_oid(value: str) -> bool:
    """True for numbers with dots that can name something: a root of three arcs at least, save 1.3."""
    return OID(value) is not None and (value.rfind(".") >= SHORTEST_OID or value.startswith(SHORT_ROOT))


class Uris:
    """Checks of members of the types uri, url, canonical, oid and uuid at full depth."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._sound: dict[tuple[str, frozenset[str] | None], set[str]] = {}
        self._generation = definitions.generation

    def refresh(self) -> None:
        """Forget what was found by definitions that have changed since."""
        if self._generation != self._definitions.generation:
            self._generation = self._definitions.generation
            for memo in self._sound.values():
                memo.clear()

    def check(self, kind: str, member: Member, one: Check) -> Check:
        """The check of a member; values found right are remembered for all members of which the same is asked."""
        asked, targets = self._asked(kind, member), target_types(self._definitions, member)
        sound = self._sound.setdefault((asked, targets), set())
        problem = self._problem(asked, targets)
        key, is_canonical = member.key, member.type == "canonical"
        plain = is_plain(member)

        def check(value: Any, holder: Json, run: Run) -> int:
            if plain and value.__class__ is str and value in sound:
                return 0
            before = len(run.faults)
            count = one(value, holder, run)
            if value.__class__ is not str or value in sound or len(run.faults) != before:
                return count
            if is_canonical and value[:1] == "#":
                run.later.append(partial(fragment_rule, value, holder, key, run.root, run))
                return count
            text = problem(value)
            if text is None:
                remember(sound, value)
            else:
                run.report(Fault(holder, key, None, "error", "invalid", text, None, None, "full"))
            return count

        return check

    def _asked(self, kind: str, member: Member) -> str:
        """The type of a member, or what is asked of the url by which a definition calls itself."""
        return DEFINITION if member.key == "url" and self._is_canonical_resource(kind) else member.type

    def _problem(self, asked: str, targets: frozenset[str] | None) -> Callable[[str], str | None]:
        if asked == "canonical":
            return self._canonical_problem(targets)
        return definition_problem if asked == DEFINITION else partial(uri_problem, kind=asked)

    def _is_canonical_resource(self, kind: str) -> bool:
        status = self._definitions.type(kind).members.get("status") if "." not in kind else None
        binding = status.element.binding if status is not None else None
        return binding is not None and binding.value_set.startswith(PUBLICATION_STATUS)

    def _canonical_problem(self, targets: frozenset[str] | None) -> Callable[[str], str | None]:
        def problem(value: str) -> str | None:
            text = uri_problem(value, "canonical")
            if text is not None or targets is None:
                return text
            found = self._kind_of(value)
            if found is None or found in targets:
                return None
            return f"{shown(value)} is a {found}, but this element allows {' or '.join(sorted(targets))}."

        return problem

    def _kind_of(self, canonical: str) -> str | None:
        """The type of the known resource that a canonical names."""
        definitions = self._definitions
        shelves: dict[str, Lookup] = {
            "StructureDefinition": definitions.structure,
            "ValueSet": definitions.value_set,
            "CodeSystem": definitions.code_system,
            "SearchParameter": definitions.search_parameter,
        }
        return next((kind for kind, find in shelves.items() if find(canonical) is not None), None)


def definition_problem(value: str) -> str | None:
    """What is wrong with the url by which a canonical resource calls itself."""
    if not is_absolute(value):
        return f"The url of a definition must be absolute, found {shown(value)}."
    return uri_problem(value, "uri")


def fragment_rule(value: str, holder: Json, key: str, root: Json, run: Run) -> None:
    """Report a canonical `#id` that nothing in the resource answers to."""
    if not has_id(root, value[1:]):
        text = f"Nothing in the resource has the id that {shown(value)} names."
        run.report(Fault(holder, key, None, "error", "invalid", text, None, None, "full"))


def has_id(value: Any, identity: str) -> bool:
    """True when an object within has this id."""
    if value.__class__ is dict:
        return value.get("id") == identity or any(has_id(inner, identity) for inner in value.values())
    return value.__class__ is list and any(has_id(inner, identity) for inner in value)
