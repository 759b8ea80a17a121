"""A working day of a hospital's program that is written with the npm client fhir-kit-client."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import Program

pytestmark = pytest.mark.server

HERE = Path(__file__).parent
STEPS = re.findall(r"^  async (\w+)\(", (HERE / "working_day.mjs").read_text(), re.MULTILINE)
OLDEST_NODE = 20


@pytest.fixture(scope="module")
def installed(repository: Path) -> Path:
    """The folder where `make setup` puts the client."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed: the npm client cannot be tried")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"Node is {version}, and the npm client needs {OLDEST_NODE} or newer")
    folder = repository / "build" / "clients"
    if not (folder / "node_modules" / "fhir-kit-client").is_dir():
        pytest.skip("the npm client is not installed: run `make setup` with npm")
    return folder


@pytest.fixture(scope="module")
def done(installed: Path, program: Program) -> subprocess.CompletedProcess[str]:
    """The working day, done."""
    command: list[str | Path] = ["node", HERE / "working_day.mjs", installed, program.base]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("step", STEPS)
def test_it_goes_well(done: subprocess.CompletedProcess[str], step: str):
    assert step in done.stdout.split(), done.stderr
