"""The official FHIRPath tests for R4: runs every test and says which pass and why others do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from fhir_server.definitions.registry import r4
from fhir_server.fhirpath.collection import boolean, equal, key
from fhir_server.fhirpath.conversion import to_boolean, to_date, to_date_time, to_quantity, to_string, to_time
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.node import system_value
from fhir_server.resource.exact import parse_exact
from fhir_server.xml_format import read_xml
from tests.conformance.result import Result

FOLDER = Path("conformance") / "fhirpath-r4"
SUITE = "tests-fhir-r4.xml"
NOON = datetime(2026, 11, 5, 12, 30, tzinfo=UTC)
READERS: Mapping[str, Callable[[str], Any]] = {
    "boolean": to_boolean,
    "integer": int,
    "decimal": Decimal,
    "date": lambda text: to_date(text.removeprefix("@")),
    "dateTime": lambda text: to_date_time(text.removeprefix("@")),
    "time": lambda text: to_time(text.removeprefix("@T")),
    "Quantity": to_quantity,
}
"""How a test's expected output of a type is read; other types are text."""


@dataclass(frozen=True)
class Case:
    """One test of the suite."""

    name: str
    expression: str
    input: str | None
    invalid: str | None
    outputs: tuple[tuple[str | None, str], ...]
    is_predicate: bool
    is_any_order: bool
    checks_order: bool


@cache
def engine() -> Engine:
    """A strict engine with a fixed clock."""
    return Engine(r4(), clock=lambda: NOON)


def cases(folder: Path) -> Iterator[Case]:
    """The tests of the suite; a name that comes again gets a number."""
    seen: dict[str, int] = {}
    for test in ET.parse(folder / SUITE).getroot().iter("test"):
        name = test.attrib.get("name", "")
        seen[name] = seen.get(name, 0) + 1
        expression = test.find("expression")
        assert expression is not None
        yield Case(
            name=name if seen[name] == 1 else f"{name}#{seen[name]}",
            expression=expression.text or "",
            input=test.get("inputfile"),
            invalid=expression.get("invalid"),
            outputs=tuple((o.get("type"), o.text or "") for o in test.findall("output")),
            is_predicate=test.get("predicate") == "true",
            is_any_order=test.get("ordered") == "false",
            checks_order=test.get("checkOrderedFunctions") == "true",
        )


def resource(path: Path) -> dict[str, Any]:
    """An input file as JSON."""
    raw = path.read_bytes()
    return read_xml(raw, r4())[0] if path.suffix == ".xml" else parse_exact(raw)


def run(shared: Path) -> list[Result]:
    """Run every test of the suite."""
    folder = shared / FOLDER
    inputs = {path.name: resource(path) for path in sorted((folder / "input").iterdir())}
    return [outcome(case, inputs.get(case.input or "", {"resourceType": "Patient"})) for case in cases(folder)]


def outcome(case: Case, body: dict[str, Any]) -> Result:
    """Run one test."""
    try:
        expression = engine().compile(case.expression, body["resourceType"], ordered=case.checks_order)
        found = expression.evaluate(body)
    except FHIRPathError as error:
        return Result(case.name, case.invalid is not None, f"raised {error}")
    if case.invalid is not None:
        return Result(case.name, passed=False, note=f"expected an error, found {shown(found)}")
    if case.is_predicate:
        found = [boolean(found) is not None]
    return Result(case.name, agrees(found, case), f"expected {case.outputs}, found {shown(found)}")


def shown(found: list[Any]) -> list[str]:
    """A result for a note."""
    return [f"{system_value(item)}" for item in found]


def agrees(found: list[Any], case: Case) -> bool:
    """True when the items are those expected, in order unless the test says otherwise."""
    if len(found) != len(case.outputs):
        return False
    wanted = list(case.outputs)
    if case.is_any_order:
        found = sorted(found, key=lambda item: str(key(item)))
        wanted = sorted(wanted, key=lambda output: output[1])
    return all(matches(item, kind, text) for item, (kind, text) in zip(found, wanted, strict=True))


def matches(item: Any, kind: str | None, text: str) -> bool:
    """True when an item is what a test expects."""
    value = system_value(item)
    if kind is None:
        return to_string(value) == text.removeprefix("@T").removeprefix("@")
    if kind not in READERS:
        return bool(value == text)
    expected = READERS[kind](text)
    return type(expected) is type(value) and equal(value, expected) is True if kind != "decimal" else value == expected
