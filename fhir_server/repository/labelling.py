"""Labels of versions, read from their index rows: whose a resource is, about whom, for whom (FHIR R4, 5.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from fhir_server.access.decision import Places
from fhir_server.access.label import ADDRESSEES, BY_REFERENCE, JOINING_NOBODY, UNKNOWN, Label, label_from
from fhir_server.repository.intake import REFERRING, Intake
from fhir_server.resource.parsing import Limits, parse
from fhir_server.search.parameters import Parameters
from fhir_server.search.row import Reference, Row
from fhir_server.store.protocol import Version

OWNER = 24
"""The number of the rows that say which facilities a resource belongs to: of all types the same, the type in x."""

ABOUT = OWNER + 1
"""That of the rows that say about which patients a resource is, where no search parameter does."""

OWNER_KEY = "Resource._owner"
PATIENT = "Patient"
NO_LIMITS = Limits(depth=1000, keys=2**40, string=2**40)

remembered = lru_cache(maxsize=20_000)(label_from)


class Labelling:
    """Reads labels. Those of versions that were written before there were any are found again, without an owner."""

    def __init__(self, parameters: Parameters, intake: Intake) -> None:
        self._parameters = parameters
        self._intake = intake
        self._places: dict[str, Places] = {}

    def places(self, kind: str) -> Places:
        """Where the rows of a type say what a label says."""
        found = self._places.get(kind)
        if found is None:
            addressees = self._numbers(kind, ADDRESSEES)
            if kind in BY_REFERENCE:
                found = Places(OWNER, (ABOUT,), addressees, patient_type=kind)
            else:
                found = Places(OWNER, self._patients(kind), addressees)
            self._places[kind] = found
        return found

    def label(self, kind: str, resource_id: str, body: Mapping[str, Any], rows: Sequence[Row]) -> Label:
        """The label of a resource with these rows, without its owners."""
        places = self.places(kind)
        numbers = (REFERRING,) if kind in BY_REFERENCE else places.patients
        patients = {str(row[1]): None for row in rows if row[0] in numbers and row[2] == PATIENT}
        if kind == PATIENT:
            patients = {resource_id: None}
        addressees = {f"{row[2]}/{row[1]}": None for row in rows if row[0] in places.addressees and row[2]}
        return Label((), tuple(patients), tuple(addressees), marks_of(body))

    def of(self, version: Version) -> Label:
        """The label of a version."""
        if version.label:
            return remembered(version.label)
        if version.body is None:
            return UNKNOWN
        body = parse(version.body, NO_LIMITS)
        return self.label(version.type, version.id, body, self._intake.indexed(version).rows)

    def _patients(self, kind: str) -> tuple[int, ...]:
        if kind in JOINING_NOBODY:
            return ()
        compartment = self._parameters.definitions.compartment(PATIENT)
        return self._numbers(kind, compartment.parameters if compartment else {})

    def _numbers(self, kind: str, named: Mapping[str, Sequence[str]]) -> tuple[int, ...]:
        known = self._parameters.of(kind)
        return tuple(known[code].number + Reference.LITERAL for code in named.get(kind, ()) if code in known)


def marks_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The codes of a resource's security labels, as far as a label can hold them."""
    meta = body.get("meta")
    labels = meta.get("security") if isinstance(meta, Mapping) else None
    codes = (each.get("code") for each in (labels or ()) if isinstance(each, Mapping))
    return tuple(code for code in codes if isinstance(code, str) and "," not in code and "|" not in code)


def label_rows(kind: str, label: Label) -> list[Row]:
    """The rows by which a search finds what a label says, beside those of search parameters."""
    found: list[Row] = [(OWNER, owner, kind) for owner in label.owners]
    if kind in BY_REFERENCE:
        found += ((ABOUT, patient, kind) for patient in label.patients)
    return found
