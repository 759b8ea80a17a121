"""The step of `make setup` that installs what tests need of the system, with an apt-get of the test's own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LISTED = """# a comment
one-package  one-command  tests of one
two-package  two-command  tests of two
"""
APT = """#!/usr/bin/env bash
echo "$*" >> {folder}/asked
case "$*" in *{lacking}*) exit 100 ;; esac
[[ "$*" != *install*two-package* ]] || install -m 755 /dev/null {folder}/bin/two-command
"""


@pytest.fixture
def system(repository: Path, tmp_path: Path):
    """Runs the script in a system that has nothing but these commands."""
    (tmp_path / "debian-packages.txt").write_text(LISTED)
    shutil.copy(repository / "debian-packages.sh", tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "cut", "paste", "dirname", "install"):
        (programs / name).symlink_to(str(shutil.which(name)))

    def add(name: str, text: str = "") -> None:
        (programs / name).write_text(text or "#!/usr/bin/env bash\n")
        (programs / name).chmod(0o755)

    def run() -> str:
        command = [str(programs / "bash"), str(tmp_path / "debian-packages.sh")]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env={"PATH": str(programs)})
        assert done.stderr == ""
        return done.stdout

    add("id", "#!/usr/bin/env bash\necho 0\n")
    run.add = add  # type: ignore[attr-defined] # a function with a second way in is enough for tests
    return run


def test_nothing_is_said_or_asked_where_nothing_is_missing(system):
    for name in ("one-command", "two-command"):
        system.add(name)
    assert system() == ""


def test_without_apt_what_is_missing_is_named_and_nothing_fails(system):
    system.add("one-command")
    said = system()
    assert "two-package is missing: tests of two will skip" in said
    assert "apt-get install two-package" in said
    assert "one-package" not in said


def test_who_is_not_root_installs_nothing(system, tmp_path):
    system.add("id", "#!/usr/bin/env bash\necho 1000\n")
    system.add("apt-get", APT.format(folder=tmp_path, lacking="nothing"))
    assert "one-package is missing" in system()
    assert not (tmp_path / "asked").exists()


def test_a_package_that_cannot_be_had_does_not_keep_others_away(system, tmp_path):
    system.add("apt-get", APT.format(folder=tmp_path, lacking="one-package"))
    said = system()
    assert os.access(tmp_path / "bin" / "two-command", os.X_OK)
    assert "one-package is missing: tests of one will skip" in said
    assert "two-package is missing" not in said
