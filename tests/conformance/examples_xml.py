"""The official examples from JSON to XML and back: equal in every value, decimals by their text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.parsing import Limits
from fhir_server.xml_format import read_xml, write_xml
from tests.conformance.examples_round_trip import examples
from tests.conformance.result import Result

# Two implementation guides list more than the 100,000 members that a body may have by default.
LIMITS = Limits(keys=200_000)


def run(shared: Path) -> list[Result]:
    """Whether each example comes back with the same values; the order of members is that of the definitions."""
    return [_result(name, raw) for name, raw in examples(shared)]


def _result(name: str, raw: bytes) -> Result:
    body = parse_exact(raw)
    try:
        back, issues = read_xml(write_xml(body, r4()), r4(), LIMITS)
    except FhirError as failure:
        return Result(name, passed=False, note=str(failure))
    if issues:
        return Result(name, passed=False, note=issues[0].text)
    same = _values(back) == _values(body)
    return Result(name, same, "" if same else "came back different")


def _values(body: dict[str, Any]) -> Any:
    return json.loads(dump_exact(body), parse_float=str)
