"""The decision: what a caller may see, make, change or remove of a resource type, as a value.

A Sight is asked about one resource by its label (`admits`), and turned into a condition of a search (`condition`); both
say the same, which a property test holds them to. It is the union of what the rules grant to the caller's roles, less
what patients withhold, within what the scopes allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fhir_server.access.caller import Caller
from fhir_server.access.label import Label
from fhir_server.access.part import Part, Search, value_of
from fhir_server.access.resource_class import CLASS_OF
from fhir_server.access.rule import ACT_OF, Act, grounds
from fhir_server.access.standing import Standing
from fhir_server.search.plan import EVERYTHING, NOTHING, And, Column, Ids, Not, Or, Predicate, Row, Test

UNBOUND_CLASSES = frozenset({"master", "definition"})
"""Classes about no patient, which a scope of one patient does not keep away."""

NEVER_WITHHELD = frozenset({"AuditEvent", "Consent"})
"""What says that something is withheld is seen by whoever must heed it, and who did what by whoever reviews it."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What one scope narrows a sight to: a patient's compartment, and what a search would find. Empty: it does not."""

    patient: str = ""
    query: str = ""


UNBOUND = (Bound(),)

Finds = Callable[[Part, bool], bool]
"""Whether a resource has the codes and dates of a part: for sure, or as far as it can be told."""


def finds_nothing(part: Part, surely: bool) -> bool:  # noqa: FBT001 -- a Finds
    """What is known without the rows of a resource: it may have them."""
    return not surely


@dataclass(frozen=True, slots=True)
class Sight:
    """Which resources of a type are meant, as the grounds of `rule` and what narrows them.

    `shared` are facilities with patients, `partly` facilities with parts of patients' records, `named` facilities with
    ids. What is of a patient in `broken` is seen on no other ground, and whatever is withheld. One of the `bounds` must
    hold.
    """

    kind: str
    everything: bool = False
    owners: frozenset[str] = frozenset()
    patients: frozenset[str] = frozenset()
    shared: frozenset[tuple[str, str]] = frozenset()
    named: frozenset[tuple[str, str]] = frozenset()
    addressees: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    numbers: bool = False
    broken: frozenset[str] = frozenset()
    held: frozenset[Part] = frozenset()
    bounds: tuple[Bound, ...] = UNBOUND
    partly: frozenset[tuple[str, Part]] = frozenset()

    @property
    def opened(self) -> frozenset[tuple[str, str]]:
        """The facilities with the patients of whom anything is shared."""
        return self.shared | {(facility, part.patient) for facility, part in self.partly}

    @property
    def is_whole(self) -> bool:
        """Whether it is every resource of the type."""
        return self.everything and not self.held and UNBOUND[0] in self.bounds

    def admits(self, label: Label, resource_id: str, finds: Finds = finds_nothing) -> bool:
        """Whether a resource is among them, as far as its label tells: what scopes search for is told by `queries`."""
        if self.is_whole:
            return True
        if not self.broken.isdisjoint(label.patients):
            return bool(self.queries(label))
        return (
            (self.everything or self._is_ground(label, resource_id, finds))
            and not any(self._is_of(part, label, resource_id, finds, surely=False) for part in self.held)
            and bool(self.queries(label))
        )

    def queries(self, label: Label) -> tuple[str, ...]:
        """The searches of which one must find the resource; an empty one finds it. None of them: it is not seen."""
        return tuple(bound.query for bound in self.bounds if not bound.patient or bound.patient in label.patients)

    def is_addressed_alone(self, label: Label, resource_id: str) -> bool:
        """Whether it is seen for no other reason than that it is addressed to the caller."""
        return self.owners.isdisjoint(label.owners) and not self.addressees.isdisjoint(label.addressees)

    def _is_ground(self, label: Label, resource_id: str, finds: Finds) -> bool:
        return (
            not self.owners.isdisjoint(label.owners)
            or not self.patients.isdisjoint(label.patients)
            or not self.addressees.isdisjoint(label.addressees)
            or resource_id in self.ids
            or (self.numbers and not label.patients)
            or any((owner, patient) in self.shared for owner in label.owners for patient in label.patients)
            or any((owner, resource_id) in self.named for owner in label.owners)
            or any(
                facility in label.owners and self._is_of(part, label, resource_id, finds, surely=True)
                for facility, part in self.partly
            )
        )

    def _is_of(self, part: Part, label: Label, resource_id: str, finds: Finds, *, surely: bool) -> bool:
        return (
            part.patient in label.patients
            and (not part.marks or not part.marks.isdisjoint(label.marks))
            and (not part.data or (self.kind, resource_id) in part.data)
            and (not part.needs_rows or finds(part, surely))
        )


def decide(caller: Caller, standing: Standing, kind: str, letter: str) -> Sight | None:
    """What a caller may do, by the letter of scopes, to resources of a type; None where it is nothing at all."""
    if caller.kind == "local":
        return Sight(kind, everything=True)
    about = CLASS_OF[kind]
    bounds = tuple(bounds_of(caller, kind, letter))
    granted = grounds(caller.roles, about, ACT_OF[letter])
    # Who opened a record in an emergency may write about the patient too, what the role may write at all.
    opens = ACT_OF[letter] == "read" or (ACT_OF[letter] == "create" and granted)
    broken = standing.broken(caller) if opens else frozenset()
    if not bounds or not (granted or broken):
        return None
    selves = patients_of(caller) if "self" in granted else frozenset()
    opened = tuple(standing.opened(caller, kind)) if "shared" in granted else ()
    wholly = [grant for grant, part in opened if part.is_whole]
    session = caller.encounter if "session" in granted and kind == "Encounter" else None
    found = Sight(
        kind,
        everything="all" in granted,
        owners=standing.facilities(caller.organizations) if "own" in granted else frozenset(),
        patients=selves,
        shared=frozenset((grant.facility, grant.patient) for grant in wholly),
        named=frozenset((grant.facility, key[1]) for grant in wholly for key in grant.named if key[0] == kind),
        addressees=standing.identities(caller) if "asked" in granted else frozenset(),
        ids=frozenset({session}) if session else frozenset(),
        numbers="numbers" in granted,
        broken=broken,
        held=frozenset(each for each in held(caller, standing, kind, ACT_OF[letter]) if each.patient not in selves),
        bounds=bounds,
        partly=frozenset((grant.facility, part) for grant, part in opened if not part.is_whole),
    )
    return found if is_any(found) else None


def is_any(sight: Sight) -> bool:
    """Whether any resource can be among them."""
    return bool(
        sight.everything
        or sight.owners
        or sight.patients
        or sight.shared
        or sight.partly
        or sight.named
        or sight.addressees
        or sight.ids
        or sight.numbers
        or sight.broken
    )


def held(caller: Caller, standing: Standing, kind: str, act: Act) -> frozenset[Part]:
    """What patients withhold."""
    if kind in NEVER_WITHHELD or CLASS_OF[kind] in UNBOUND_CLASSES:
        return frozenset()
    return standing.held(caller, kind, act)


def bounds_of(caller: Caller, kind: str, letter: str) -> Iterator[Bound]:
    """What the scopes narrow to: a bound for each that grants the letter."""
    bound_by_patient = CLASS_OF[kind] not in UNBOUND_CLASSES
    for scope in caller.scopes.granting(kind, letter):
        if scope.context != "patient" or not bound_by_patient:
            yield Bound(query=scope.query)
        elif caller.patient:
            yield Bound(caller.patient, scope.query)


def patients_of(caller: Caller) -> frozenset[str]:
    """The patients that a caller is, or acts for."""
    kind, _, identity = (caller.fhir_user or "").partition("/")
    own = {identity} if kind == "Patient" else set()
    return frozenset(own | {caller.patient} if caller.patient else own)


@dataclass(frozen=True, slots=True)
class Places:
    """The numbers of the index rows that say of a resource type what a label says.

    The rows of owners have the resource's own type in x; those of patients have `patient_type`.
    """

    owner: int
    patients: tuple[int, ...] = ()
    addressees: tuple[int, ...] = ()
    patient_type: str = "Patient"


OfRows = Callable[[Part, bool], Predicate]
"""The condition that a resource has the codes and dates of a part: for sure, or as far as it can be told."""


def condition(sight: Sight, places: Places, search: Search, of_rows: OfRows) -> Predicate:
    """The condition that a resource is among those of a sight."""
    if sight.is_whole:
        return EVERYTHING
    about = About(places, sight.kind, search, of_rows)
    found: Predicate = EVERYTHING if sight.everything else any_of(_grounds(sight, about))
    withheld = [about.part(part, surely=False) for part in sorted(sight.held, key=repr) if not part.is_whole]
    whole = frozenset(part.patient for part in sight.held if part.is_whole)
    if whole:
        withheld.append(about.within(whole))
    if withheld:
        found = all_of((found, Not(any_of(withheld))))
    if sight.broken:
        found = any_of((found, about.within(sight.broken)))
    if UNBOUND[0] in sight.bounds:
        return found
    return all_of((found, any_of(_bound(bound, about) for bound in sight.bounds)))


def _grounds(sight: Sight, about: About) -> Iterator[Predicate]:
    if sight.owners:
        yield about.owned(sight.owners)
    if sight.patients:
        yield about.within(sight.patients)
    if sight.addressees:
        yield about.addressed(sight.addressees)
    if sight.ids:
        yield Ids(tuple(sorted(sight.ids)))
    if sight.numbers:
        yield about.impersonal()
    for facility in sorted({facility for facility, _ in sight.shared}):
        patients = frozenset(patient for owner, patient in sight.shared if owner == facility)
        yield all_of((about.owned({facility}), about.within(patients)))
    for facility in sorted({facility for facility, _ in sight.named}):
        ids = tuple(sorted(each for owner, each in sight.named if owner == facility))
        yield all_of((about.owned({facility}), Ids(ids)))
    for facility, part in sorted(sight.partly, key=repr):
        yield all_of((about.owned({facility}), about.part(part, surely=True)))


def _bound(bound: Bound, about: About) -> Predicate:
    parts = [about.within({bound.patient})] if bound.patient else []
    return all_of((*parts, about.search(bound.query))) if bound.query else all_of(parts)


class About:
    """Conditions on the rows of one resource type."""

    def __init__(self, places: Places, kind: str, search: Search, of_rows: OfRows) -> None:
        self.search = search
        self._places = places
        self._kind = kind
        self._of_rows = of_rows

    def owned(self, owners: Iterable[str]) -> Predicate:
        """It belongs to one of these facilities."""
        return Row(self._places.owner, (among("v", owners), Test("x", "=", self._kind)))

    def within(self, patients: Iterable[str]) -> Predicate:
        """It is in the compartment of one of these patients."""
        if self._kind == "Patient":
            return Ids(tuple(sorted(patients)))
        tests = (among("v", patients), Test("x", "=", self._places.patient_type))
        return any_of(Row(number, tests) for number in self._places.patients)

    def impersonal(self) -> Predicate:
        """It is in the compartment of no patient."""
        tests = (Test("x", "=", self._places.patient_type),)
        named = any_of(Row(number, tests) for number in self._places.patients)
        return Not(named)

    def addressed(self, references: Iterable[str]) -> Predicate:
        """It is addressed to one of these."""
        ids: dict[str, list[str]] = {}
        for reference in references:
            kind, _, identity = reference.partition("/")
            ids.setdefault(kind, []).append(identity)
        return any_of(
            Row(number, (among("v", named), Test("x", "=", kind)))
            for number in self._places.addressees
            for kind, named in sorted(ids.items())
        )

    def part(self, part: Part, *, surely: bool) -> Predicate:
        """It is of a part of a patient's record."""
        found = [self.within({part.patient})]
        if part.marks:
            found.append(any_of(self.search(f"_security={value_of(mark)}") for mark in sorted(part.marks)))
        if part.data:
            ids = tuple(sorted(each for kind, each in part.data if kind == self._kind))
            found.append(Ids(ids) if ids else NOTHING)
        if part.needs_rows:
            found.append(self._of_rows(part, surely))
        return all_of(found)


def among(column: Column, values: Iterable[str]) -> Test:
    """The test that a column is one of these."""
    listed = tuple(sorted(values))
    return Test(column, "=", listed[0]) if len(listed) == 1 else Test(column, "in", listed)


def any_of(items: Iterable[Predicate]) -> Predicate:
    """Some of these holds."""
    listed = tuple(item for item in items if item != NOTHING)
    if EVERYTHING in listed:
        return EVERYTHING
    return listed[0] if len(listed) == 1 else Or(listed)


def all_of(items: Iterable[Predicate]) -> Predicate:
    """All of these hold."""
    listed = tuple(item for item in items if item != EVERYTHING)
    if NOTHING in listed:
        return NOTHING
    return listed[0] if len(listed) == 1 else And(listed)
