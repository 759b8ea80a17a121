"""Folders of requests: in use they stay, whoever looks; of processes that were killed they go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dicom_bridge.workplace import CONVERT, RELEASE, SECONDS_TO_BEGIN, sweep, workplace

ROOT = Path(__file__).parents[2]
WORKER = f"""
import sys, time
from pathlib import Path
from dicom_bridge.workplace import workplace
with workplace(Path(sys.argv[1]), {RELEASE!r}) as folder:
    (folder / "0.dcm").write_bytes(b"an image")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_folder_in_use_stays_and_goes_when_its_process_is_killed(tmp_path: Path):
    later = time.time() + SECONDS_TO_BEGIN + 1
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert sweep(tmp_path, later) == []
        assert (folder / "0.dcm").exists()
        process.send_signal(signal.SIGKILL)
    assert sweep(tmp_path, time.time()) == []  # young: it could be another's that begins
    assert sweep(tmp_path, later) == [folder]
    assert not folder.exists()


@pytest.mark.parametrize("prefix", [RELEASE, CONVERT])
def test_a_folder_goes_with_its_request(tmp_path: Path, prefix: str):
    with workplace(tmp_path, prefix) as folder:
        (folder / "source").write_bytes(b"x")
        assert folder.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_what_others_keep_is_not_touched(tmp_path: Path):
    for name in ("images", "deidentification.key", f"{RELEASE}notes.txt"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    assert sweep(tmp_path, time.time()) == []
    assert len(list(tmp_path.iterdir())) == 3
