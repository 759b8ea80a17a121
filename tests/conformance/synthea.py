"""The synthetic patients at write depth: none of what a real sender's data looks like is turned away."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from fhir_server.definitions.registry import r4
from fhir_server.resource.parsing import parse
from fhir_server.validation.validator import Validator
from tests.conformance.result import Result

FOLDER = "data/synthea"
BUNDLES = "transaction-bundles.tgz"


def bodies(shared: Path) -> Iterator[tuple[str, bytes]]:
    """The name and bytes of each resource of the bulk export and of each transaction."""
    for path in sorted((shared / FOLDER).glob("*.ndjson")):
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            yield f"{path.name}:{number}", line
    with tarfile.open(shared / FOLDER / BUNDLES) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            stream = archive.extractfile(member)
            if stream is not None and member.name.endswith(".json"):
                yield member.name.rpartition("/")[2], stream.read()


def judged(name: str, raw: bytes, validator: Validator) -> Result:
    """Whether a resource may be written."""
    refused = [i for i in validator.validate(parse(raw)).issues if i.is_error]
    return Result(name, not refused, f"{refused[0].expression} {refused[0].text}" if refused else "")


def run(shared: Path) -> list[Result]:
    """Whether each resource may be written."""
    validator = Validator(r4())
    return [judged(name, raw, validator) for name, raw in bodies(shared)]
