"""`nhipcau minutes verify` tells which signatures hold, over a data folder, a Bundle, and a FHIR server."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from fhir_server.signature import FILE
from telesession.extension import telesession
from telesession.minutes import form
from telesession.minutes_source import SEARCH
from telesession.minutes_verification import minutes_app
from tests.access.world import of
from tests.mongodb import is_wanted
from tests.processes import PROGRAM, running
from tests.serving import serving
from tests.telesession.test_minuting import drafted, sign, written
from tests.telesession.world import Country, at, link, participant

Json = dict[str, Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Json, str]:
    """A data folder with minutes that were signed, amended and signed by one; their Bundle before that."""
    folder = tmp_path_factory.mktemp("node") / "data"
    folder.mkdir()
    with serving(folder, organization="node", extensions=[telesession], mongodb=None) as served:
        world = Country(served)
        world.people()
        world.put("", of("Practitioner", "secretary", name=[{"text": "Thu Hà"}]))
        request = world.request(note=[{"text": "Có phải hồng ban nút không?"}])
        world.through(request, "submit", "accept")
        people = participant("Practitioner/doctor", "chair"), participant("Practitioner/secretary", "secretary")
        world.happen("coordinator", request, "book", *at("2027-03-01T09:00:00Z", "2027-03-01T09:30:00Z"), *people)
        world.through(request, "start", "finish")
        minutes = written(world, drafted(world, request, caller="doctor"), "doctor")
        for who in ("doctor", "secretary"):
            sign(world, minutes, "", link("who", f"Practitioner/{who}"))
        bundle = world.get("", SEARCH).json()
        whole = bundle["entry"][0]["resource"]
        changed = {**whole, "attester": form(whole)["attester"], "status": "amended", "title": "Đã sửa"}
        written(world, changed, "doctor")
        sign(world, minutes, "doctor")
    return folder, bundle, minutes["id"]


def told(*arguments: str | Path) -> tuple[int, str]:
    answer = CliRunner().invoke(minutes_app, ["verify", *map(str, arguments)])
    return answer.exit_code, answer.output


def bundled(tmp_path: Path, bundle: Json) -> Path:
    path = tmp_path / "bundle.json"
    path.write_bytes(orjson.dumps(bundle))
    return path


@pytest.mark.skipif(is_wanted(), reason="what is stored is not in the folder")
def test_a_data_folder_tells_what_holds_and_what_held(place: tuple[Path, Json, str]):
    folder, _, identity = place
    code, said = told("--data", folder)
    assert code == 0, said
    assert f"Composition/{identity} amended" in said
    assert len(re.findall(r"holds for version \d, which was changed since", said)) == 2
    assert said.count("  holds: chair Practitioner/doctor") == 1
    assert "not signed yet: secretary Practitioner/secretary" in said


@pytest.mark.server
def test_a_server_is_asked_for_former_versions_too(place: tuple[Path, Json, str]):
    folder, _, identity = place
    # The server of the command has more definitions than that of the fixture.
    subprocess.run([PROGRAM, "reindex", "--data", folder], check=True, capture_output=True)
    with running(folder.parent, "--auth", "off") as program:
        code, said = told(program.base)
    assert code == 0, said
    assert f"Composition/{identity} amended" in said
    assert len(re.findall(r"holds for version \d, which was changed since", said)) == 2
    assert told(program.base)[0] != 0


def test_a_bundle_of_signed_minutes_holds(place: tuple[Path, Json, str], tmp_path: Path):
    folder, bundle, _ = place
    code, said = told(bundled(tmp_path, bundle))
    assert code == 0, said
    assert said.count("  holds: ") == 2
    assert "was not checked" in said
    (key,) = set(re.findall(r"key (\S{43})", said))
    assert told(bundled(tmp_path, bundle), "--key", key)[0] == 0
    code, said = told(bundled(tmp_path, bundle), "--key", "another")
    assert code == 1
    assert "none of those trusted" in said
    assert (folder / FILE).exists()


@pytest.mark.parametrize("name", ["title", "date", "section", "encounter"])
def test_changed_minutes_do_not_hold(place: tuple[Path, Json, str], tmp_path: Path, name: str):
    _, bundle, _ = place
    changed = orjson.loads(orjson.dumps(bundle))
    changed["entry"][0]["resource"][name] = "Khác"
    code, said = told(bundled(tmp_path, changed))
    assert code == 1
    assert said.count("  does not hold: ") == 2
    assert said.count("said to be signed and is not") == 2


def test_minutes_without_their_provenances_are_not_signed(place: tuple[Path, Json, str], tmp_path: Path):
    _, bundle, _ = place
    code, said = told(bundled(tmp_path, {**bundle, "entry": bundle["entry"][:1]}))
    assert code == 1
    assert "said to be signed and is not: chair" in said


def test_a_place_without_minutes_is_told(tmp_path: Path):
    assert told(tmp_path / "none.json")[0] == 2
    assert told("--data", tmp_path)[0] == 2
    assert told(bundled(tmp_path, {"resourceType": "Bundle"}))[0] == 0
