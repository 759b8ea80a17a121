"""Print `suite: passed/total` for each public suite and write what fails to `build/conformance.json`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.conformance.result import Result

REPORT = Path("build/conformance.json")
SUITES = {
    "fhirpath-r4": "fhirpath_r4",
    "examples-round-trip": "examples_round_trip",
    "examples-xml-round-trip": "examples_xml",
    "examples-oracle": "examples_oracle",
    "validator-r4": "validator_cases",
    "synthea-at-write-depth": "synthea",
    "search-extraction": "search_extraction",
    "snapshots": "snapshots",
    "mutation-fuzz": "mutation_fuzz",
    "patch-r4": "patch_r4",
    "sql-on-fhir-v2": "sql_on_fhir",
    "store-crash": "store_crash",
}


def suite(module: str) -> Callable[[Path], list[Result]]:
    """The run function of a suite."""
    run: Callable[[Path], list[Result]] = import_module(f"tests.conformance.{module}").run
    return run


def main(names: list[str]) -> int:
    """Run the named suites, or all; returns 1 when the shared data is missing."""
    shared = Path(os.environ.get("NHIPCAU_SHARED", "../shared"))
    if not shared.is_dir():
        print(f"no shared data at {shared}: set NHIPCAU_SHARED", file=sys.stderr)
        return 1
    report = {}
    for name in names or SUITES:
        results = suite(SUITES[name])(shared)
        passed = sum(result.passed for result in results)
        failing = {result.name: result.note for result in results if not result.passed}
        report[name] = {"passed": passed, "total": len(results), "failing": failing}
        print(f"{name}: {passed}/{len(results)}", flush=True)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
