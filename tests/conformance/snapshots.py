"""The snapshots of the R4 core, made again from their differentials: the same as those published."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from fhir_server.definitions.registry import r4
from fhir_server.definitions.snapshot import SnapshotMaker
from fhir_server.definitions.structure import Element, structure_from
from tests.conformance.result import Result

ARCHIVE = "data/fhir/hl7.fhir.r4.core-4.0.1.tgz"

# Where the published snapshots differ from those made here, and why.
UNEQUAL_PROFILES = {
    "bp": "inside a slice a short path (valueQuantity) narrows value[x] without a slice; outside, as here, with one",
    "clinicaldocument": "an extension's own 0..1 is not taken over where the differential tells no cardinality",
    "elementdefinition-de": "the parts of two extensions are written out although nothing is said of them",
    "provenance-relevant-history": "a slice does not take over the binding of the unsliced element",
    "structuredefinition-json-type": "types and constraints of the base are missing",
    "structuredefinition-rdf-type": "the same",
    "structuredefinition-xml-type": "the same",
}
UNEQUAL_TYPES = {
    "Extension": "url has no ele-1",
    "MetadataResource": "has ele-1 although it is a resource, and an id that is a string",
    "code": "the base's maxLength is not kept",
    "id": "the same",
    "markdown": "the same",
    "positiveInt": "the base's minValue and maxValue are not kept",
    "unsignedInt": "the same",
}


def told(element: Element) -> dict[str, Any]:
    """What a snapshot decides by, the order of constraints aside."""
    return {
        "id": element.id,
        "path": element.path,
        "slice": element.slice_name,
        "cardinality": (element.min, element.max),
        "types": [(t.code, t.profiles, t.target_profiles) for t in element.types],
        "reference": element.content_reference,
        "value": (element.fixed, element.pattern, element.min_value, element.max_value, element.max_length),
        "binding": element.binding,
        "slicing": element.slicing,
        "constraints": sorted(constraint.key for constraint in element.constraints),
        "flags": (element.is_modifier, element.must_support),
    }


def published(shared: Path) -> dict[str, dict[str, Any]]:
    """The StructureDefinitions of the core that have a base and a snapshot, by id."""
    with tarfile.open(shared / ARCHIVE) as archive:
        members = (m for m in archive if m.name.startswith("package/StructureDefinition-"))
        bodies = [json.loads(content.read()) for m in members if (content := archive.extractfile(m))]
    return {body["id"]: body for body in bodies if "snapshot" in body and body.get("derivation")}


def made_and_published(body: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the snapshot made from a differential tells, and what the published one does."""
    structure = structure_from(body)
    made = [told(e) for e in SnapshotMaker(r4().structure).make(replace(structure, elements=())).elements]
    stated = [told(e) for e in structure.elements]
    if body["derivation"] == "specialization":
        # The published ones do not say of a type's own extensions that they are sliced.
        for element in (*made, *stated):
            if element["path"].endswith(("xtension", ".extension")):
                element["slicing"] = None
    return made, stated


def run(shared: Path) -> list[Result]:
    """Whether each snapshot comes out as published, with the reason where it is known not to."""
    reasons = UNEQUAL_PROFILES | UNEQUAL_TYPES
    results = []
    for name, body in sorted(published(shared).items()):
        made, stated = made_and_published(body)
        results.append(Result(name, made == stated, reasons.get(name, "")))
    return results
