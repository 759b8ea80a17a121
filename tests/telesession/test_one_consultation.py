"""The page docs/how-to/one-consultation.md, run as it stands against a real server."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes import PROGRAM

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "one-consultation.md"
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
SECONDS = 120


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Path]:
    """What a demo on a free port writes of itself, while it runs."""
    facts = tmp_path / "data" / "demo.json"
    command = [str(PROGRAM), "demo", "--data", str(tmp_path / "data"), "--port", "0"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until = time.monotonic() + SECONDS
            while not answers(facts):
                assert time.monotonic() < until
                time.sleep(0.05)
            yield facts
        finally:
            process.terminate()
            process.wait(SECONDS)


def answers(facts: Path) -> bool:
    """Whether the demo that writes this file takes requests."""
    if not facts.exists():
        return False
    try:
        httpx.get(json.loads(facts.read_bytes())["baseUrl"].removesuffix("/fhir") + "/ready").raise_for_status()
    except httpx.TransportError:
        return False
    return True


@pytest.mark.server
def test_the_page_takes_a_his_through_one_consultation(demo: Path):
    script = "set -euo pipefail\n" + "\n".join(BLOCKS)
    environment = os.environ | {"DEMO": str(demo)}
    done = subprocess.run(
        ["bash", "-c", script], check=False, capture_output=True, text=True, env=environment, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    promised = re.findall(r"# ([a-z-]+)$", "\n".join(BLOCKS), flags=re.MULTILINE)
    said = [line for line in done.stdout.splitlines() if line in promised]
    assert said == promised
    assert "A consultation that is closed takes no start." in done.stdout
