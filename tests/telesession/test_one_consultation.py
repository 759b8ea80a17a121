"""The page docs/how-to/one-consultation.md, run as it stands against a real server."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import PROGRAM

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "one-consultation.md"
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
SECONDS = 120


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[str]:
    """The base URL of a demo on a free port."""
    log = (tmp_path / "log").open("wb")
    command = [PROGRAM, "demo", "--data", tmp_path / "data", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout
        base = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+/fhir", line)))
        facts = tmp_path / "data" / "demo.json"
        for _ in range(SECONDS * 20):
            if facts.exists() and facts.read_bytes().endswith(b"}"):
                break
            time.sleep(0.05)
        assert json.loads(facts.read_text())["baseUrl"] == base
        yield base
    finally:
        process.terminate()
        process.wait(SECONDS)
        assert process.stdout
        process.stdout.close()
        log.close()


@pytest.mark.server
def test_the_page_takes_a_his_through_one_consultation(demo: str):
    script = "set -euo pipefail\n" + "\n".join(BLOCKS)
    environment = os.environ | {"BASE": demo}
    done = subprocess.run(
        ["bash", "-c", script], check=False, capture_output=True, text=True, env=environment, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    promised = re.findall(r"# ([a-z-]+)$", "\n".join(BLOCKS), flags=re.MULTILINE)
    said = [line for line in done.stdout.splitlines() if line in promised]
    assert said == promised
    assert "A consultation that is closed takes no start." in done.stdout
