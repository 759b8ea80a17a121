"""What the benchmarks run on: the official examples of six types, and Synthea's resources."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

TYPES = ("Patient", "Encounter", "Observation", "Condition", "MedicationRequest", "DiagnosticReport")
EXAMPLES = "data/fhir/hl7.fhir.r4.examples-4.0.1.tgz"
BUNDLES = "data/synthea/transaction-bundles.tgz"


def members(archive: Path) -> Iterator[bytes]:
    """The JSON files of an archive, by name."""
    with tarfile.open(archive) as opened:
        for member in sorted(opened.getmembers(), key=lambda m: m.name):
            stream = opened.extractfile(member) if member.name.endswith(".json") else None
            if stream is not None:
                yield stream.read()


def examples(shared: Path) -> list[bytes]:
    """The official examples of the six types, without white space between tokens."""
    bodies = (orjson.loads(raw) for raw in members(shared / EXAMPLES))
    return [orjson.dumps(b) for b in bodies if isinstance(b, dict) and b.get("resourceType") in TYPES]


def synthea_resources(shared: Path) -> Iterator[dict[str, Any]]:
    """Every resource of the shared Synthea data: the NDJSON files, then the entries of the bundles."""
    for file in sorted((shared / "data/synthea").glob("*.ndjson")):
        for line in file.read_bytes().splitlines():
            yield orjson.loads(line)
    for raw in members(shared / BUNDLES):
        for entry in orjson.loads(raw)["entry"]:
            yield entry["resource"]


def synthea(shared: Path) -> list[bytes]:
    """Synthea's resources as JSON."""
    return [orjson.dumps(body) for body in synthea_resources(shared)]
