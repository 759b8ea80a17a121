"""What a Consent says of an access: permit, deny, or nothing (FHIR R4, 6.2 Consent).

Only what is active counts, within its periods. A provision holds where all that it names holds: who asks, for which
purpose, to do what, for which types. Those within it are its exceptions: the innermost that holds decides. Labels,
codes, dates and single resources that it names make it about a Part. Where a provision names what cannot be decided
here, a denial is read without that, and so stands for more than it says; a permission stands for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from fhir_server.access.part import Part
from fhir_server.access.rule import Act

Verdict = Literal["permit", "deny"]
Json = Mapping[str, Any]
Span = Callable[[str], tuple[float, float]]
"""The first millisecond of a date and the first one after it."""

IS_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64}").fullmatch
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
POLICIES: Mapping[str, Verdict] = {"OPTIN": "permit", "OPTINR": "permit", "OPTOUT": "deny", "OPTOUTE": "deny"}
ACTORS = ("Organization/", "Patient/", "Practitioner/", "RelatedPerson/")
"""Those of whom a caller can be known to be one, or none."""

ACTIONS: Mapping[Act, frozenset[str]] = {
    "read": frozenset({"access", "use"}),
    "create": frozenset({"collect"}),
    "change": frozenset({"correct"}),
    "remove": frozenset({"correct"}),
}
"""What each act is in the codes of actions (http://terminology.hl7.org/CodeSystem/consentaction)."""

DISCLOSE = "disclose"
"""The action that reading is, as well, to those outside of the facilities that keep the Consent."""

KNOWN_ACTIONS = frozenset({"access", "use", "collect", "correct", DISCLOSE})
PERMITTING = frozenset({"access", DISCLOSE})
"""Of the actions of who reads, those whose permission is one to read."""

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
    codes: frozenset[str] = frozenset()
    dates: tuple[str | None, str | None] = (None, None)
    actions: frozenset[str] = frozenset()

    def part(self, patient: str) -> Part:
        """What of a patient's record it is about."""
        return Part(patient, self.marks, self.data, self.codes, self.dates)

    @property
    def is_whole(self) -> bool:
        """Whether it is about all of the record."""
        return self.part("").is_whole

    def holds(self, asker: Asker, kind: str) -> bool:
        """Whether it is about this access."""
        return (
            self.start <= asker.now < self.end
            and (not self.actors or not self.actors.isdisjoint(asker.identities))
            and (not self.purposes or not self.purposes.isdisjoint(asker.purposes))
            and (not self.types or kind in self.types)
            and (not self.actions or not self.actions.isdisjoint(asker.actions))
        )


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, by all the references that mean them; for which purposes, the wider ones included; when, to do what.

    `now` is in milliseconds; `actions` are what the act is in the codes of actions.
    """

    identities: frozenset[str]
    purposes: frozenset[str]
    now: float
    actions: frozenset[str] = ACTIONS["read"]


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

    def held(self, asker: Asker, kind: str) -> list[Part]:
        """What it withholds of resources of a type."""
        decided = innermost(self.provision, self._disclosed(asker), kind)
        return [each.part(self.patient) for each in decided if each.verdict == "deny"]

    def _disclosed(self, asker: Asker) -> Asker:
        """Who asks, with what it is to those who keep the Consent that they do."""
        if "access" not in asker.actions or not asker.identities.isdisjoint(f"Organization/{o}" for o in self.owners):
            return asker
        return replace(asker, actions=asker.actions | {DISCLOSE})

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

    def permits(self, asker: Asker, kind: str) -> list[Part]:
        """What it permits to see of resources of a type; none where anything of it withholds them as a whole."""
        disclosed = self._disclosed(asker)
        reading = replace(disclosed, actions=disclosed.actions & PERMITTING)
        if any(each.is_whole for each in self.held(asker, kind)):
            return []
        decided = innermost(self.provision, reading, kind)
        return [each.part(self.patient) for each in decided if each.verdict == "permit"]


def innermost(provision: Provision, asker: Asker, kind: str) -> list[Provision]:
    """The provisions that decide: those that hold and have no exception that takes their whole place."""
    if not provision.holds(asker, kind):
        return []
    inner = [each for exception in provision.exceptions for each in innermost(exception, asker, kind)]
    replaced = any(each.is_whole and each.verdict != provision.verdict for each in inner)
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


def decision_of(consent: Json) -> str:
    """What a Consent decides, in words: its status, and whether it permits or denies; empty where there is none."""
    stated = _member(consent, "provision").get("type", _policy(consent))
    return " ".join(str(word) for word in (consent.get("status"), stated) if word)


def _policy(consent: Json) -> Verdict | None:
    codes = (str(coding.get("code")) for coding in _objects(_member(consent, "policyRule"), "coding"))
    return next((POLICIES[code] for code in codes if code in POLICIES), None)


def _provision(body: Json, stated: Verdict, span: Span) -> Provision:
    start, end = _period(body.get("period"), span)
    opposite: Verdict = "permit" if stated == "deny" else "deny"
    read = {name: _decidable(body, name) for name in DECIDABLE}
    if stated == "deny" and not all(actor.startswith(ACTORS) for actor in read["actor"] or ()):
        read["actor"] = None
    if stated == "permit" and None in read.values():
        start, end = ALWAYS[1], ALWAYS[1]
    known = {name: found or frozenset() for name, found in read.items()}
    dates = _member(body, "dataPeriod")
    return Provision(
        stated,
        start,
        end,
        known["actor"],
        known["purpose"],
        known["class"],
        known["securityLabel"],
        frozenset(_key(text) for text in known["data"]),
        tuple(_provision(inner, inner.get("type", opposite), span) for inner in _objects(body, "provision")),
        known["code"],
        (dates.get("start"), dates.get("end")),
        known["action"],
    )


def _decidable(body: Json, name: str) -> frozenset[str] | None:
    """What a provision names by a member; None where it names anything that cannot be decided."""
    found: set[str] = set()
    for each in _objects(body, name):
        named = DECIDABLE[name](each)
        if not named:
            return None
        found |= named
    return frozenset(found)


def _actor(actor: Json) -> set[str]:
    text = str(_member(actor, "reference").get("reference", ""))
    return {text} if IS_RELATIVE(text) else set()


def _coding(coding: Json) -> set[str]:
    return {coding["code"]} if "code" in coding else set()


def _mark(coding: Json) -> set[str]:
    # A label keeps no other codes.
    return {each for each in _coding(coding) if not {",", "|"}.intersection(each)}


def _type(coding: Json) -> set[str]:
    return _coding(coding) if coding.get("system", RESOURCE_TYPES) == RESOURCE_TYPES else set()


def _action(concept: Json) -> set[str]:
    return {code for coding in _objects(concept, "coding") for code in _coding(coding)} & KNOWN_ACTIONS


def _codes(concept: Json) -> set[str]:
    codings = [each for each in _objects(concept, "coding") if "code" in each]
    return {f"{each['system']}|{each['code']}" if "system" in each else each["code"] for each in codings}


def _instance(data: Json) -> set[str]:
    text = str(_member(data, "reference").get("reference", ""))
    return {text} if data.get("meaning") == "instance" and IS_RELATIVE(text) else set()


DECIDABLE: Mapping[str, Callable[[Json], set[str]]] = {
    "actor": _actor,
    "action": _action,
    "securityLabel": _mark,
    "purpose": _coding,
    "class": _type,
    "code": _codes,
    "data": _instance,
}
"""What is read of each member of a provision; nothing where it cannot be decided."""


def _key(reference: str) -> tuple[str, str]:
    kind, _, identity = reference.partition("/")
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
