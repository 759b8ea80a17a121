"""`nhipcau audit`, on the ledger of a server that was asked, and then on one that somebody changed behind it."""

import apsw
import pytest
from typer.testing import CliRunner

from fhir_server.audit.trail import CHECKPOINTS_FILE
from fhir_server.cli import app
from tests.access.world import World, people_of
from tests.serving import serving


@pytest.fixture
def folder(tmp_path):
    """The data of a server that was written to and read from."""
    with serving(tmp_path, organization="node") as served:
        world = World(served)
        people_of(world)
        for about in ("a1", "a2"):
            assert world.get("worker-a", f"Patient/{about}").status_code == 200
    return tmp_path


def run(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["audit", *words])
    return found.exit_code, found.output


def test_a_sealed_ledger_is_found_whole(folder):
    assert run("seal", "--data", str(folder))[0] == 0
    code, told = run("verify", "--data", str(folder))
    assert code == 0, told
    assert "checkpoints: 1" in told
    assert (folder / CHECKPOINTS_FILE).stat().st_size


@pytest.mark.parametrize("word", ["worker-a", "his-a"])
def test_what_is_changed_behind_the_server_is_named(folder, word):
    assert run("seal", "--data", str(folder))[0] == 0
    connection = apsw.Connection(str(folder / "nhipcau.sqlite"))
    found = "SELECT last, entries FROM ledger WHERE instr(entries, ?) ORDER BY last LIMIT 1"
    row = connection.execute(found, (word.encode(),)).fetchone()
    assert row is not None
    last, texts = row
    changed = texts.replace(word.encode(), b"somebody"[: len(word)].ljust(len(word), b"-"), 1)
    connection.execute("UPDATE ledger SET entries=? WHERE last=?", (changed, last))
    connection.close()
    first = last - texts.count(b"\n") + texts[: texts.index(word.encode())].count(b"\n")
    code, told = run("verify", "--data", str(folder))
    assert code == 1
    assert f"entry {first}:" in told


def test_a_folder_that_was_never_sealed_is_refused(tmp_path):
    assert run("verify", "--data", str(tmp_path))[0] != 0
