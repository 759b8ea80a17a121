"""The official tests of SQL on FHIR v2, run by its rules: rows compared as a multiset, errors wherever they arise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError
from fhir_server.fhirpath.engine import Engine
from fhir_server.national.definition import read_view
from fhir_server.national.view import Runner, view_engine
from tests.conformance.result import Result

FOLDER = Path("conformance") / "sql-on-fhir"


def run(shared: Path) -> list[Result]:
    """Run every test of every file."""
    engine = view_engine(r4())
    return [result(engine, name, resources, case) for name, resources, case in cases(shared)]


def cases(shared: Path) -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    """Yield each test with its name and the resources of its file."""
    for path in sorted((shared / FOLDER).glob("*.json")):
        if path.name != "tests.schema.json":
            suite = json.loads(path.read_text(), parse_float=Decimal)
            for case in suite["tests"]:
                yield f"{path.stem}: {case['title']}", suite["resources"], case


def result(engine: Engine, name: str, resources: list[Any], case: dict[str, Any]) -> Result:
    """Whether the view's rows, or its refusal, are those expected."""
    try:
        runner = Runner(engine, read_view(engine, case["view"]))
        rows = list(runner.all_rows(resources))
    except FhirError as error:
        return Result(name, bool(case.get("expectError")), f"refused: {error}")
    if case.get("expectError"):
        return Result(name, passed=False, note=f"not refused: {rows}")
    columns = [column.name for column in runner.columns]
    wanted = compared(case["expect"])
    in_order = case.get("expectColumns") in (None, columns)
    return Result(name, compared(rows) == wanted and in_order, f"expected {wanted}, found {compared(rows)}")


def compared(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as texts that are equal where the rows are: 1 is not true, 1.0 is 1, and absent is not null."""
    return sorted(json.dumps(row, sort_keys=True, default=number) for row in map(exact, rows))


def exact(row: Any) -> Any:
    """A row whose numbers are exact decimals."""
    if isinstance(row, dict):
        return {key: exact(value) for key, value in row.items()}
    if isinstance(row, list):
        return [exact(value) for value in row]
    return Decimal(row) if isinstance(row, int | float) and not isinstance(row, bool) else row


def number(value: Any) -> str:
    """A decimal as text, without the digits that say how exact it is."""
    return f"number {value.normalize():f}"
