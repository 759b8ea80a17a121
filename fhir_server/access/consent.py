"""What a Consent says of an access: permit, deny, or nothing (FHIR R4, 6.2 Consent).

Only what is active counts, within its periods. A provision holds where all that it names holds: who asks, for which
purpose, for which types. Those within it are its exceptions: the innermost that holds decides. Security labels and
single resources that it names narrow what it is about. Where a provision names what is not looked at here (`action`,
`code`, `dataPeriod`), a denial stands for more than it says, and a permission for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["permit", "deny"]
Json = Mapping[str, Any]
Span = Callable[[str], tuple[float, float]]
"""The first millisecond of a date and the first one after it."""

RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
POLICIES: Mapping[str, Verdict] = {"OPTIN": "permit", "OPTINR": "permit", "OPTOUT": "deny", "OPTOUTE": "deny"}
NOT_LOOKED_AT = ("action", "code", "dataPeriod")
ALWAYS = (float("-inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class Provision:
    """One provision: what it names, empty sets standing for anything."""

    verdict: Verdict
    start: float = ALWAYS[0]
    end: float = ALWAYS[1]
    actors: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    marks: frozenset[str] = frozenset()
    data: frozenset[tuple[str, str]] = frozenset()
    exceptions: tuple[Provision, ...] = ()

    def holds(self, asker: Asker, kind: str) -> bool:
        """Whether it is about this access."""
        return (
            self.start <= asker.now < self.end
            and (not self.actors or not self.actors.isdisjoint(asker.identities))
            and (not self.purposes or not self.purposes.isdisjoint(asker.purposes))
            and (not self.types or kind in self.types)
        )


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, by all the references that mean them; for which purposes, the wider ones included; at which time.

    `now` is in milliseconds.
    """

    identities: frozenset[str]
    purposes: frozenset[str]
    now: float


@dataclass(frozen=True, slots=True)
class Hold:
    """What is withheld of a patient: what has one of the marks, or is one of the resources; all where neither says."""

    patient: str
    marks: frozenset[str] = frozenset()
    data: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Directive:
    """An active Consent: its patient, the facilities that keep it, and its provision."""

    patient: str
    owners: frozenset[str]
    provision: Provision

    def moments(self) -> Iterator[float]:
        """When what it says begins or ends."""
        waiting = [self.provision]
        while waiting:
            each = waiting.pop()
            yield each.start
            yield each.end
            waiting += each.exceptions

    def held(self, asker: Asker, kind: str) -> list[Hold]:
        """What it withholds of resources of a type."""
        decided = innermost(self.provision, asker, kind)
        return [Hold(self.patient, each.marks, each.data) for each in decided if each.verdict == "deny"]

    @property
    def permitted(self) -> frozenset[str]:
        """Those whom it names to permit them something."""
        found: set[str] = set()
        waiting = [self.provision]
        while waiting:
            each = waiting.pop()
            if each.verdict == "permit":
                found |= each.actors
            waiting += each.exceptions
        return frozenset(found)

    @property
    def denies(self) -> bool:
        """Whether any of it is a denial."""
        waiting = [self.provision]
        while waiting:
            each = waiting.pop()
            if each.verdict == "deny":
                return True
            waiting += each.exceptions
        return False

    def permits(self, asker: Asker, kind: str) -> bool:
        """Whether it permits resources of a type as a whole, and withholds nothing of them as a whole."""
        decided = innermost(self.provision, asker, kind)
        whole = {each.verdict for each in decided if not each.marks and not each.data}
        return whole == {"permit"}


def innermost(provision: Provision, asker: Asker, kind: str) -> list[Provision]:
    """The provisions that decide: those that hold and have no exception that takes their whole place."""
    if not provision.holds(asker, kind):
        return []
    inner = [each for exception in provision.exceptions for each in innermost(exception, asker, kind)]
    replaced = any(not each.marks and not each.data and each.verdict != provision.verdict for each in inner)
    return inner if replaced else [provision, *inner]


def directive_from(consent: Json, owners: frozenset[str], span: Span) -> Directive | None:
    """What an active Consent of a patient of this server says; None for one that says nothing now."""
    patient = str(_member(consent, "patient").get("reference", ""))
    if consent.get("status") != "active" or not patient.startswith("Patient/"):
        return None
    base = _policy(consent)
    root = _member(consent, "provision")
    stated = root.get("type", base)
    if stated not in ("permit", "deny"):
        return None
    return Directive(patient.removeprefix("Patient/"), owners, _provision(root, stated, span))


def _policy(consent: Json) -> Verdict | None:
    codes = (str(coding.get("code")) for coding in _objects(_member(consent, "policyRule"), "coding"))
    return next((POLICIES[code] for code in codes if code in POLICIES), None)


def _provision(body: Json, stated: Verdict, span: Span) -> Provision:
    start, end = _period(body.get("period"), span)
    opposite: Verdict = "permit" if stated == "deny" else "deny"
    if stated == "permit" and any(name in body for name in NOT_LOOKED_AT):
        start, end = ALWAYS[1], ALWAYS[1]
    classes = list(_objects(body, "class"))
    return Provision(
        stated,
        start,
        end,
        frozenset(str(_member(actor, "reference").get("reference", "?")) for actor in _objects(body, "actor")),
        frozenset(str(purpose.get("code")) for purpose in _objects(body, "purpose")),
        frozenset(str(each.get("code")) for each in classes if each.get("system", RESOURCE_TYPES) == RESOURCE_TYPES),
        frozenset(str(label.get("code")) for label in _objects(body, "securityLabel")),
        frozenset(_key(_member(each, "reference")) for each in _objects(body, "data")),
        tuple(_provision(inner, inner.get("type", opposite), span) for inner in _objects(body, "provision")),
    )


def _key(reference: Json) -> tuple[str, str]:
    kind, _, identity = str(reference.get("reference", "")).partition("/")
    return kind, identity


def _period(period: Any, span: Span) -> tuple[float, float]:
    if not isinstance(period, Mapping):
        return ALWAYS
    start = span(period["start"])[0] if "start" in period else ALWAYS[0]
    end = span(period["end"])[1] if "end" in period else ALWAYS[1]
    return start, end


def _member(body: Json, name: str) -> Json:
    found = body.get(name)
    return found if isinstance(found, Mapping) else {}


def _objects(body: Json, name: str) -> Iterator[Json]:
    listed = body.get(name)
    yield from (each for each in listed if isinstance(each, Mapping)) if isinstance(listed, list) else ()
