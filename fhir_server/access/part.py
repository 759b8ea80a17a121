"""A part of a patient's record, as a Consent describes it (FHIR R4, 6.2 Consent.provision).

What it names holds together. Of labels and single resources a label tells; of codes and dates the index rows of a
resource, by the search parameters below. Where a type has none, or a resource no value of it, what is permitted does
not include it, and what is withheld does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from fhir_server.search.plan import EVERYTHING, NOTHING, And, Not, Or, Predicate

Search = Callable[[str], Predicate]
"""What a query asks of resources of the type."""

DATED: Mapping[str, str] = {
    "AdverseEvent": "date", "AllergyIntolerance": "date", "Appointment": "date", "Basic": "created",
    "CarePlan": "date", "ChargeItem": "occurrence", "Claim": "created", "ClinicalImpression": "date",
    "Communication": "sent", "CommunicationRequest": "authored", "Composition": "date", "Condition": "recorded-date",
    "DetectedIssue": "identified", "DeviceRequest": "authored-on", "DiagnosticReport": "date",
    "DocumentManifest": "created", "DocumentReference": "date", "Encounter": "date", "EpisodeOfCare": "date",
    "FamilyMemberHistory": "date", "Flag": "date", "ImagingStudy": "started", "Immunization": "date",
    "Invoice": "date", "List": "date", "Media": "created", "MedicationAdministration": "effective-time",
    "MedicationDispense": "whenhandedover", "MedicationRequest": "authoredon", "MedicationStatement": "effective",
    "NutritionOrder": "datetime", "Observation": "date", "Procedure": "date", "QuestionnaireResponse": "authored",
    "RequestGroup": "authored", "RiskAssessment": "date", "ServiceRequest": "authored", "Specimen": "collected",
    "VisionPrescription": "datewritten",
}  # fmt: skip
"""The search parameter that says from when a resource is."""

CODED: Mapping[str, str] = {
    "AdverseEvent": "event", "AllergyIntolerance": "code", "Basic": "code", "ChargeItem": "code",
    "Composition": "type", "Condition": "code", "DetectedIssue": "code", "DeviceRequest": "code",
    "DiagnosticReport": "code", "DocumentManifest": "type", "DocumentReference": "type", "Encounter": "type",
    "FamilyMemberHistory": "code", "Immunization": "vaccine-code", "List": "code", "Media": "type",
    "MedicationAdministration": "code", "MedicationDispense": "code", "MedicationRequest": "code",
    "MedicationStatement": "code", "Observation": "code", "Procedure": "code", "RequestGroup": "code",
    "ServiceRequest": "code", "Specimen": "type",
}  # fmt: skip
"""The search parameter that says what a resource is about."""

CODED_WITHIN: Mapping[str, str] = {"Observation": "combo-code"}
"""The one that says so of its components too."""


@dataclass(frozen=True, slots=True)
class Part:
    """What has one of the marks, is one of the resources, has one of the codes, and is of those dates.

    Where it names nothing it is the whole record. `codes` are "system|code" or "code"; `dates` the first and the last.
    """

    patient: str
    marks: frozenset[str] = frozenset()
    data: frozenset[tuple[str, str]] = frozenset()
    codes: frozenset[str] = frozenset()
    dates: tuple[str | None, str | None] = (None, None)

    @property
    def is_whole(self) -> bool:
        """Whether it is all that is in the patient's compartment."""
        return not (self.marks or self.data or self.needs_rows)

    @property
    def needs_rows(self) -> bool:
        """Whether a label does not tell what is in it."""
        return bool(self.codes) or self.dates != (None, None)


def of_rows(part: Part, kind: str, search: Search, *, surely: bool) -> Predicate:
    """The condition that a resource has the codes and dates of a part: for sure, or as far as it can be told."""
    found: list[Predicate] = []
    if part.codes:
        found.append(_coded(part, kind, search, surely=surely))
    if part.dates != (None, None):
        found.append(_dated(part, kind, search, surely=surely))
    return And(tuple(found))


def _coded(part: Part, kind: str, search: Search, *, surely: bool) -> Predicate:
    name = CODED.get(kind)
    if name is None:
        return NOTHING if surely else EVERYTHING
    if not surely:
        name = CODED_WITHIN.get(kind, name)
    named = tuple(search(f"{name}={value_of(code)}") for code in sorted(part.codes))
    return Or(named) if surely else Or((*named, search(f"{name}:missing=true")))


def _dated(part: Part, kind: str, search: Search, *, surely: bool) -> Predicate:
    name = DATED.get(kind)
    if name is None:
        return NOTHING if surely else EVERYTHING
    start, end = (quote(each, safe="") if each else None for each in part.dates)
    if surely:
        outside = [search(f"{name}=lt{start}")] if start else []
        outside += [search(f"{name}=gt{end}")] if end else []
        return And((search(f"{name}:missing=false"), Not(Or(tuple(outside)))))
    touching = [search(f"{name}=ge{start}")] if start else []
    touching += [search(f"{name}=le{end}")] if end else []
    return Or((And(tuple(touching)), search(f"{name}:missing=true")))


def value_of(code: str) -> str:
    """A token as it stands in a query, meaning itself (FHIR R4, 3.1.1.5.7 escaping search parameters)."""
    system, bar, own = code.rpartition("|")
    return quote(f"{_escaped(system)}{bar}{_escaped(own)}", safe="")


def _escaped(value: str) -> str:
    return re.sub(r"([\\|,$])", r"\\\1", value)
