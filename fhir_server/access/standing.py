"""What holds now beside roles and scopes: facilities below facilities, open consultations, consents, broken glass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heappop, heappush
from itertools import chain

from fhir_server.access.caller import Caller
from fhir_server.access.consent import ACTIONS, Asker, Directive
from fhir_server.access.grant import Glass, Grant
from fhir_server.access.part import Part
from fhir_server.access.rule import Act

WIDER: Mapping[str, tuple[str, ...]] = {"ETREAT": ("TREAT",), "BTG": ("ETREAT", "TREAT"), "PATRQT": ()}
"""The purposes that one is a kind of (v3 PurposeOfUse)."""

NEVER = float("inf")


class Directives:
    """What Consents say, in the orders in which it is asked for; one that changes is put in its place alone."""

    def __init__(self, stated: Iterable[Directive] = ()) -> None:
        self._named: dict[str, Directive] = {}
        self._of_patients: dict[str, tuple[Directive, ...]] = {}
        self._denials: dict[str, Directive] = {}
        self._moments: list[float] = []
        for number, each in enumerate(stated):
            self.put(str(number), each)

    def __iter__(self) -> Iterator[Directive]:
        return iter(self._named.values())

    def put(self, consent: str, directive: Directive | None) -> None:
        """Keep what a Consent says from now on; None where it says nothing any more."""
        former = self._named.pop(consent, None)
        if former is not None:
            self._denials.pop(consent, None)
            left = tuple(each for each in self._of_patients.pop(former.patient) if each is not former)
            if left:
                self._of_patients[former.patient] = left
        if directive is None:
            return
        self._named[consent] = directive
        self._of_patients[directive.patient] = (*self._of_patients.get(directive.patient, ()), directive)
        if directive.denies:
            self._denials[consent] = directive
        for moment in directive.moments():
            heappush(self._moments, moment)

    def of_patient(self, patient: str) -> tuple[Directive, ...]:
        """Those of a patient."""
        return self._of_patients.get(patient, ())

    @property
    def denials(self) -> Iterable[Directive]:
        """Those that refuse anything."""
        return self._denials.values()

    def next_moment(self, now: float) -> float:
        """When any of them begins or ends next, or did before it was taken away; what was before `now` is forgotten."""
        while self._moments and self._moments[0] <= now:
            heappop(self._moments)
        return self._moments[0] if self._moments else NEVER


@dataclass(frozen=True)
class Standing:
    """The facts of one moment, `now` in milliseconds. What is made of them is found once and kept.

    `above` says which Organization each is part of; with `needs_consent`, a consultation opens a record to another
    facility only as far as the patient permits it.
    """

    now: float = 0
    above: Mapping[str, str] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    directives: Iterable[Directive] = ()
    glasses: tuple[Glass, ...] = ()
    needs_consent: bool = True

    @cached_property
    def _below(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for below, above in self.above.items():
            found.setdefault(above, []).append(below)
        return {above: tuple(each) for above, each in found.items()}

    @cached_property
    def _stated(self) -> Directives:
        return self.directives if isinstance(self.directives, Directives) else Directives(self.directives)

    @cached_property
    def changes_at(self) -> float:
        """When something begins or ends by itself, in milliseconds."""
        moments = chain(
            (self._stated.next_moment(self.now),),
            (grant.until for grant in self.grants),
            (moment for glass in self.glasses for moment in (glass.start, glass.until)),
        )
        return min((moment for moment in moments if moment > self.now), default=NEVER)

    def facilities(self, organizations: Iterable[str]) -> frozenset[str]:
        """These Organizations and all below them."""
        found: set[str] = set()
        waiting = list(organizations)
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += self._below.get(each, ())
        return frozenset(found)

    def identities(self, caller: Caller) -> frozenset[str]:
        """The references that mean a caller."""
        own = (f"Organization/{each}" for each in self.facilities(caller.organizations))
        return frozenset(chain(own, (caller.fhir_user,) if caller.fhir_user else ()))

    def asker(self, caller: Caller, act: Act) -> Asker:
        """The caller as a Consent speaks of them."""
        purposes = frozenset((caller.purpose, *WIDER.get(caller.purpose, ())))
        return Asker(self.identities(caller), purposes, self.now, ACTIONS[act])

    def opened(self, caller: Caller, kind: str) -> Iterator[tuple[Grant, Part]]:
        """Yield the consultations that open resources of a type to a caller, each with a part that it opens."""
        identities = self.identities(caller)
        asker = self.asker(caller, "read")
        for grant in self.grants:
            if grant.until > self.now and not grant.receivers.isdisjoint(identities):
                if self.needs_consent:
                    yield from ((grant, part) for part in self._permitted(grant, asker, kind))
                else:
                    yield grant, Part(grant.patient)

    def _permitted(self, grant: Grant, asker: Asker, kind: str) -> Iterator[Part]:
        """What the patient, by a Consent that the facility keeps, permits others to see."""
        for each in self._stated.of_patient(grant.patient):
            if grant.facility in each.owners:
                yield from each.permits(asker, kind)

    def held(self, caller: Caller, kind: str, act: Act) -> frozenset[Part]:
        """What patients withhold from a caller of resources of a type."""
        asker = self.asker(caller, act)
        return frozenset(chain.from_iterable(each.held(asker, kind) for each in self._stated.denials))

    def broken(self, caller: Caller) -> frozenset[str]:
        """The patients whose record a caller has opened in an emergency."""
        return frozenset(
            glass.patient
            for glass in self.glasses
            if glass.subject == caller.subject and glass.start <= self.now < glass.until
        )
