"""The requests that are not FHIR, as their own description says, tried by a program that looks for what it forgot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes import running

pytestmark = pytest.mark.server

PROGRAM = Path(sys.executable).with_name("schemathesis")
EXAMPLES = "30"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("server")) as program:
        yield program.base.removesuffix("/fhir")


def test_it_answers_as_it_says(root, tmp_path):
    options = ["--max-examples", EXAMPLES, "--seed", "1", "--no-color"]
    command: list[str | Path] = [PROGRAM, "run", f"{root}/openapi.json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_it_describes_every_request_that_is_no_page_and_not_fhir(root):
    description = httpx.get(f"{root}/openapi.json").json()
    assert {"/health", "/ready", "/metrics"} <= set(description["paths"])
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], f"{method} {path}"
            assert httpx.request(method, root + path).status_code in map(int, operation["responses"])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/openapi.json", "/", "/nothing", "/day"])
def test_another_method_is_refused_with_an_outcome(root, method, path):
    answer = httpx.request(method, root + path, content=b"x" * 100)
    assert answer.status_code in (404, 405)
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "path",
    [
        "/..%2f..%2fetc/passwd",
        "/day/../../cli.py",
        "/assets/../../cli.py",
        "/assets/%2e%2e/index.html",
        "/%00",
        "/%ff",
        "//health",
        "/fhirx/Patient",
    ],
)
def test_no_path_leads_out(root, path):
    answer = httpx.get(root + path)
    assert answer.status_code in (400, 404)
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert Path(__file__).name not in answer.text
