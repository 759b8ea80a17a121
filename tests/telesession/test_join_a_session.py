"""The page docs/how-to/join-a-session.md, run as it stands against a real server."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.processes import running

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "join-a-session.md"
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


def test_the_page_takes_two_people_through_a_session(tmp_path: Path):
    script = "set -euo pipefail\n" + "\n".join(BLOCKS)
    with running(tmp_path) as program:
        environment = os.environ | {"BASE": program.base, "EVENTS": str(tmp_path / "events")}
        done = subprocess.run(
            ["bash", "-c", script], check=False, capture_output=True, text=True, env=environment, timeout=60
        )
    assert done.returncode == 0, done.stdout + done.stderr
    promised = re.findall(r"   # (.+)$", "\n".join(BLOCKS), flags=re.MULTILINE)
    assert [line for line in done.stdout.splitlines() if line in promised] == promised
    assert 'data: {"reason":"ended"}' in done.stdout
