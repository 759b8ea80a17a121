"""What references name, at full depth: entries of the Bundle around, the type stated (FHIR R4, 2.3.0 and 2.36.4)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.structure import TYPE_URL
from fhir_server.validation.bundle_entry import Entries, index_of, resource_of
from fhir_server.validation.primitive import shown
from fhir_server.validation.reference import target_types, wrong_target
from fhir_server.validation.resolution import bundles_around, contained_named
from fhir_server.validation.run import Check, Fault, Json, Run
from fhir_server.validation.uri import is_absolute

RESPONSES = frozenset({"batch-response", "transaction-response"})
TRANSACTIONS = frozenset({"batch", "transaction"})
PARAMETER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9.:-]*").fullmatch
SLASHES = (1, 3)
WHITE_SPACE = re.compile(r"\s", re.ASCII).search


class ReferenceTargets:
    """Checks of references that need more than the literal."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._resource_types = definitions.resource_types

    def check(self, kind: str, member: Member, one: Check) -> Check:
        """The check of a Reference by what it names."""
        targets = target_types(self._definitions, member)

        def check(value: Any, holder: Json, run: Run) -> int:
            count = one(value, holder, run)
            reference = value.get("reference") if value.__class__ is dict else None
            if reference.__class__ is str and not (run.outermost is run.root and is_simple(reference, value)):
                self._literal(reference, value, targets, run)
            return count

        return check

    def _literal(self, reference: str, value: Json, targets: frozenset[str] | None, run: Run) -> None:
        if WHITE_SPACE(reference):
            complain(value, f"{shown(reference)} holds white space, so it cannot be a reference.", run)
        elif reference == "#" and run.resource is run.root:
            complain(value, "Only a contained resource can refer to its container as '#'.", run)
        elif "?" in reference and not self._may_be_search(reference, run):
            complain(value, f"{shown(reference)} is a search, which only a transaction can refer by.", run)
        found = None
        if reference[:1] == "#":
            item = contained_named(reference[1:], run.root)
            found = item.type if item is not None else None
        else:
            for bundle in bundles_around(run):
                found = self._in_bundle(reference, value, bundle, targets, run)
        if "type" in value:
            self._stated_type(value, found or self._named_type(reference), targets, run)

    def _named_type(self, reference: str) -> str | None:
        """The type that a literal reference names by its form."""
        parts = reference.split("/")
        at = -4 if len(parts) > 3 and parts[-2] == "_history" else -2
        name = parts[0] if len(parts) == 2 else parts[at] if len(parts) > 2 else ""
        return name if name in self._resource_types else None

    def _stated_type(self, value: Json, found: str | None, targets: frozenset[str] | None, run: Run) -> None:
        stated: Any = value["type"]
        if stated.__class__ is not str:
            return
        if targets is not None and stated.removeprefix(TYPE_URL) not in targets:
            text = f"The type {shown(stated)} is stated, but this element allows {' or '.join(sorted(targets))}."
            complain(value, text, run, "type")
        elif found is not None and stated != found:
            complain(value, f"The type {shown(stated)} is stated, but the reference names {found}.", run, "type")

    def _in_bundle(
        self, reference: str, value: Json, bundle: Json, targets: frozenset[str] | None, run: Run
    ) -> str | None:
        """The type of the entry that a reference names; what is wrong with the reference is reported."""
        index = index_of(bundle, run)
        kind = str(bundle.get("type"))
        absolute = is_absolute(reference)
        problem = None if absolute else self._relative_problem(reference, kind, index, run)
        if problem is not None:
            complain(value, problem, run)
            return None
        entries = index.named(reference if absolute else base_of(index.owners.get(id(run.root)), reference))
        if not entries:
            return None
        if len(entries) > 1:
            complain(value, f"{shown(reference)} names {len(entries)} entries of the Bundle.", run)
        target = resource_of(entries[0])
        found = target.get("resourceType") if target is not None else None
        if found.__class__ is not str:
            return None
        if absolute and targets is not None and found not in targets:
            complain(value, wrong_target(reference, found, targets), run)
        elif not absolute and reference.partition("/")[0] != found:
            complain(value, f"{shown(reference)} leads to a {found} in the Bundle.", run)
        return found

    def _relative_problem(self, reference: str, kind: Any, index: Entries, run: Run) -> str | None:
        """Why a relative reference in an entry cannot be followed."""
        owner = index.owners.get(id(run.root))
        if owner is None:
            return None
        if owner.get("fullUrl") is None:
            return None if kind in RESPONSES else f"{shown(reference)} is relative, and its entry has no fullUrl."
        if reference.count("/") in SLASHES or (kind in TRANSACTIONS and self._is_search(reference)):
            return None
        return f"{shown(reference)} is relative, so it must be Type/id."

    def _may_be_search(self, reference: str, run: Run) -> bool:
        """False for a conditional reference outside of a transaction."""
        conditional = reference.partition("?")[0] in self._resource_types
        return not conditional or any(str(b.get("type")) in TRANSACTIONS for b in bundles_around(run))

    def _is_search(self, reference: str) -> bool:
        """True for a conditional reference, which names what to search for."""
        kind, _, query = reference.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        return kind in self._resource_types and bool(pairs) and all(PARAMETER(name) for name, _ in pairs)


def is_simple(reference: str, value: Json) -> bool:
    """True for a literal that leads out of the resource and of which nothing else is said, as most are."""
    return (
        reference.isprintable()
        and " " not in reference
        and "?" not in reference
        and reference[:1] != "#"
        and "type" not in value
    )


def base_of(owner: Json | None, reference: str) -> str:
    """The URL of a relative reference by the fullUrl of the entry that it stands in."""
    url: Any = owner.get("fullUrl") if owner is not None else None
    if url.__class__ is not str:
        return ""
    if url.startswith("urn"):
        return f"{url.rpartition(':')[0]}:{reference.partition('/')[2]}"
    return "/".join([*url.split("/")[:-2], reference])


def complain(value: Json, text: str, run: Run, key: str = "reference") -> None:
    """Report an error of a reference."""
    run.report(Fault(value, key, None, "error", "structure", text, None, None, "full"))
