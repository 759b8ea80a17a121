"""What one caller sees at one moment: resources by their labels, searches by conditions added to their plans.

A place of a search where another resource is looked at (a chain, `_has`, `_list`, an include) is narrowed like the
search itself, so that nobody can learn by counting, ordering or following what they may not read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace

from fhir_server.access.caller import Caller
from fhir_server.access.decision import Sight, condition, decide
from fhir_server.access.label import Label
from fhir_server.access.part import Part, of_rows
from fhir_server.access.scope import LETTERS, Scope, Scopes
from fhir_server.access.standing import Standing
from fhir_server.errors import Forbidden, Invalid, TooCostly, Unsupported
from fhir_server.repository.intake import Intake
from fhir_server.repository.labelling import Labelling, label_rows
from fhir_server.search.plan import (
    EVERY_TYPE,
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Not,
    Or,
    Plan,
    Predicate,
    Referrer,
)
from fhir_server.search.row import Row
from fhir_server.store.pending import holds, is_own
from fhir_server.store.protocol import Version

ACTS: Mapping[str, str] = {"c": "create", "r": "read", "u": "change", "d": "delete", "s": "search for"}
Ask = Callable[[str, str], Predicate]
"""What a query asks of a resource type."""


class Sights:
    """The sights of one caller in one Standing, each made when it is first needed."""

    def __init__(self, caller: Caller, standing: Standing, labelling: Labelling, intake: Intake, ask: Ask) -> None:
        self.caller = caller
        self.standing = standing
        self.labelling = labelling
        self._intake = intake
        self._ask = ask
        self._found: dict[tuple[str, str], Sight | None] = {}
        self._conditions: dict[str, Predicate] = {}
        self._queries: dict[tuple[str, str], Predicate] = {}
        self._parts: dict[tuple[str, Part, bool], Predicate] = {}
        self._referring: Sights | None = None

    def sight(self, kind: str, letter: str) -> Sight | None:
        """What the caller may do by a letter to a type; None where it is nothing."""
        key = kind, letter
        if key not in self._found:
            self._found[key] = decide(self.caller, self.standing, kind, letter)
        return self._found[key]

    def needed(self, kind: str, letter: str) -> Sight:
        """The same; raise Forbidden where it is nothing, whatever is stored."""
        found = self.sight(kind, letter)
        if found is None:
            raise Forbidden(f"You may not {ACTS[letter]} a {kind}.")
        return found

    # ---- one resource

    def shows(self, version: Version | None, letter: str = "r") -> bool:
        """Whether a version is among what the caller may do this to."""
        if version is None:
            return False
        sight = self.sight(version.type, letter)
        if sight is None:
            return False
        if sight.is_whole:
            return True
        label = self.labelling.of(version)

        def finds(part: Part, surely: bool) -> bool:  # noqa: FBT001 -- a Finds
            if version.body is None:
                return not surely
            return self._has(part, version.type, version.id, self._intake.indexed(version).rows, surely=surely)

        if not sight.admits(label, version.id, finds):
            return False
        queries = sight.queries(label)
        return "" in queries or (version.body is not None and self._is_found(version, label, queries))

    def seen(self, kind: str, version: Version | None, letter: str = "r") -> Version | None:
        """The version, if the caller may see it; raise Forbidden where the caller may see nothing of the type."""
        self.needed(kind, letter)
        return version if self.shows(version, letter) else None

    def takes(self, kind: str, resource_id: str, label: Label, letter: str, rows: Collection[Row]) -> bool:
        """Whether a resource that is to be stored is among what the caller may do this to."""
        sight = self.sight(kind, letter)

        def finds(part: Part, surely: bool) -> bool:  # noqa: FBT001 -- a Finds
            return self._has(part, kind, resource_id, rows, surely=surely)

        if sight is None or not sight.admits(label, resource_id, finds):
            return False
        return self._holds(kind, resource_id, sight.queries(label), (*rows, *label_rows(kind, label)))

    def may_refer_to(self, version: Version | None) -> bool:
        """Whether a reference may lead there: to what the caller may read, whichever letters the scopes have."""
        if self._referring is None:
            contexts = {scope.context for scope in self.caller.scopes.resources}
            bound = self.caller.patient is not None and contexts == {"patient"}
            scopes = Scopes((Scope("patient" if bound else "user", "*", LETTERS),))
            caller = replace(self.caller, scopes=scopes)
            self._referring = Sights(caller, self.standing, self.labelling, self._intake, self._ask)
        return version is not None and version.body is not None and self._referring.shows(version)

    def _is_found(self, version: Version, label: Label, queries: Collection[str]) -> bool:
        rows = (*self._intake.indexed(version).rows, *label_rows(version.type, label))
        return self._holds(version.type, version.id, queries, rows)

    def _holds(self, kind: str, resource_id: str, queries: Collection[str], rows: Collection[Row]) -> bool:
        held = tuple(rows)
        return any(not each or holds(self._query(kind, each), resource_id, held) is True for each in queries)

    def _query(self, kind: str, query: str) -> Predicate:
        """What a scope's query asks of a type, nothing being found where a resource alone cannot answer it.

        So a scope lets a search find what it lets a read show, and grants nothing of types without its arguments.
        """
        key = kind, query
        if key not in self._queries:
            asked: Predicate = NOTHING
            with suppress(Invalid, Unsupported, TooCostly):
                asked = self._ask(kind, query)
            self._queries[key] = asked if asked != EVERYTHING and is_own(asked) else NOTHING
        return self._queries[key]

    def _has(self, part: Part, kind: str, resource_id: str, rows: Collection[Row], *, surely: bool) -> bool:
        """Whether a resource with these rows has the codes and dates of a part."""
        found = holds(self._of_rows(kind, part, surely=surely), resource_id, tuple(rows))
        return found is True if surely else found is not False

    def _of_rows(self, kind: str, part: Part, *, surely: bool) -> Predicate:
        """The condition for that; where what a Consent names cannot be asked for, it cannot be told."""
        key = kind, part, surely
        if key not in self._parts:
            asked: Predicate = NOTHING if surely else EVERYTHING
            with suppress(Invalid, Unsupported, TooCostly):
                asked = of_rows(part, kind, lambda query: self._ask(kind, query), surely=surely)
            self._parts[key] = asked
        return self._parts[key]

    # ---- searches

    def condition(self, kind: str) -> Predicate:
        """The condition that the caller may find a resource of a type."""
        found = self._conditions.get(kind)
        if found is None:
            sight = self.sight(kind, "s")
            places = self.labelling.places(kind)
            found = NOTHING
            if sight is not None:
                found = condition(
                    sight,
                    places,
                    lambda query: self._query(kind, query),
                    lambda part, surely: self._of_rows(kind, part, surely=surely),
                )
            self._conditions[kind] = found
        return found

    def narrowed(self, plan: Plan) -> Plan:
        """The plan with what the caller may find of it; raise Forbidden where that is nothing of any type.

        The arm of every type is left as it is: what it finds has to be looked at one by one.
        """
        arms = {
            kind: self.within(kind, predicate)
            for kind, predicate in plan.arms.items()
            if kind == EVERY_TYPE or self.sight(kind, "s") is not None
        }
        if plan.arms and not arms:
            self.needed(next(iter(plan.arms)), "s")
        return replace(plan, arms=arms, may_come=self.shows if plan.includes else None)

    def within(self, kind: str, predicate: Predicate) -> Predicate:
        """A predicate about a type with what the caller may find of it, at every resource that it looks at."""
        inner = self._hops(predicate)
        if kind == EVERY_TYPE:
            return inner
        allowed = self.condition(kind)
        if allowed == EVERYTHING:
            return inner
        # Last, so that what a cursor says of the parts before stays true.
        return allowed if inner == EVERYTHING else And((inner, allowed))

    def _hops(self, predicate: Predicate) -> Predicate:
        match predicate:
            case And(items):
                return And(tuple(map(self._hops, items)))
            case Or(items):
                return Or(tuple(map(self._hops, items)))
            case Not(item):
                return Not(self._hops(item))
            case Chain(_, targets):
                # What is contained belongs to nobody by itself: who may find its container may find it.
                return replace(
                    predicate,
                    targets=tuple((kind, self.within(kind, inner)) for kind, inner in targets),
                    inside=tuple((kind, self._hops(inner)) for kind, inner in targets),
                )
            case Referrer(_, source, inner):
                return replace(predicate, predicate=self.within(source, inner))
            case _:
                return predicate
