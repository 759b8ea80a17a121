"""The validator cases of FHIR/fhir-test-cases: does the reference validator see an error, and do we.

Each case has a base run and perhaps a run with a profile. Steps that need special options of the reference are left
out: what they ask for (another policy on references, other languages) is no default of either validator.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_server.definitions.registry import Definitions, r4
from fhir_server.errors import FhirError, Issue
from fhir_server.package import load_package
from fhir_server.resource.parsing import parse, repeated_members
from fhir_server.validation.validator import Validator
from fhir_server.xml_format import read_xml
from tests.conformance.result import Result

FOLDER = "conformance/validator-r4"


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a case: a file, what is loaded, the profile it is checked by, and the errors of the reference."""

    name: str
    file: str
    loaded: Sequence[str]
    profile: str | None
    errors: Sequence[Mapping[str, Any]]
    options: Mapping[str, Any]


def steps(shared: Path) -> Iterator[Step]:
    """The runs of all cases."""
    for case in json.loads((shared / FOLDER / "manifest.json").read_text())["cases"]:
        loaded = [*case["profiles"], *case["supporting"]]
        name, file, options = case["name"], case["file"], case["options"]
        yield Step(name, file, loaded, None, case["base_errors"], options)
        asked = case["profile"]
        if asked:
            more = [*loaded, *asked["supporting"], asked["source"]]
            yield Step(f"{name} (profile)", file, more, asked["source"], asked["errors"], options)


def issues_of(step: Step, folder: Path) -> list[Issue]:
    """What we find in a step."""
    definitions = r4().extended()
    for name in step.loaded:
        load_package(definitions, folder / name)
    try:
        body, found = read((folder / step.file).read_bytes(), definitions)
    except FhirError as error:
        return list(error.issues)
    profiles = [canonical_of(folder / step.profile, definitions)] if step.profile else []
    return [*found, *Validator(definitions, depth="full").validate(body, profiles=profiles).issues]


def read(raw: bytes, definitions: Definitions) -> tuple[dict[str, Any], Sequence[Issue]]:
    """A resource in JSON or XML, with what was wrong with its text; some of the files start with a byte order mark."""
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if raw.lstrip().startswith(b"<"):
        return read_xml(raw, definitions)
    body = parse(raw)
    return body, repeated_members(raw, body)


def canonical_of(path: Path, definitions: Definitions) -> str:
    """The canonical of the profile in a file."""
    body, _ = read(path.read_bytes(), definitions)
    return str(body["url"])


def judged(step: Step, folder: Path) -> Result:
    """Whether we agree with the reference on a step."""
    ours = [i for i in issues_of(step, folder) if i.is_error]
    theirs = [e for e in step.errors if e["severity"] in ("error", "fatal")]
    if bool(ours) == bool(theirs):
        return Result(step.name, passed=True)
    if theirs:
        return Result(step.name, passed=False, note=f"we miss: {theirs[0]['expression']} {theirs[0]['text']}")
    return Result(step.name, passed=False, note=f"only we say: {list(ours[0].expression)} {ours[0].text}")


def run(shared: Path) -> list[Result]:
    """Whether we agree on each step without special options."""
    return [judged(step, shared / FOLDER / "input") for step in steps(shared) if not step.options]
