import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from fhir_server.cli import main
from fhir_server.settings import settings

PATIENT = '{"resourceType":"Patient","gender":"female"}'
WRONG_PATIENT = '{"resourceType":"Patient","gender":"nu"}'
XML = '<Patient xmlns="http://hl7.org/fhir"><gender value="female"/></Patient>'
OBSERVATION = '{"resourceType":"Observation","status":"final","code":{"text":"a"},"valueQuantity":{"value":1.10}}'
PROFILE = {
    "resourceType": "StructureDefinition",
    "url": "http://example.org/named-patient",
    "version": "1",
    "name": "NamedPatient",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
    "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": 1}]},
}


@pytest.fixture
def nhipcau(monkeypatch, capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nhipcau", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def write(tmp_path):
    def file(name: str, text: str) -> Path:
        path = Path(tmp_path, name)
        path.write_text(text)
        return path

    return file


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "guide"
    folder.mkdir()
    (folder / "StructureDefinition-named-patient.json").write_text(json.dumps(PROFILE))
    return folder


def test_sound_files_are_valid(nhipcau, write):
    status, out, _ = nhipcau("validate", write("a.json", PATIENT), write("b.xml", XML))
    assert status == 0
    assert "resources: 2, errors: 0" in out


def test_an_error_is_one_line_and_the_status(nhipcau, write):
    file = write("lines.ndjson", f"{PATIENT}\n\n{WRONG_PATIENT}\n")
    status, out, _ = nhipcau("validate", file)
    assert status == 1
    assert f"{file}:3: error Patient.gender: " in out
    assert "resources: 2, errors: 1" in out


def test_a_file_that_cannot_be_read_is_an_error_beside_the_others(nhipcau, write):
    status, out, _ = nhipcau("validate", write("a.json", "{"), write("b.json", PATIENT))
    assert status == 1
    assert "resources: 2, errors: 1" in out


def test_full_depth_says_more(nhipcau, write):
    file = write("a.json", PATIENT)
    _, short, _ = nhipcau("validate", file)
    _, long, _ = nhipcau("validate", "--depth", "full", file)
    assert "dom-6" not in short
    assert "dom-6" in long


def test_a_profile_of_a_package_is_applied(nhipcau, write, package):
    file = write("a.json", PATIENT)
    assert nhipcau("validate", "--package", package, file)[0] == 0
    status, out, _ = nhipcau("validate", "--package", package, "--profile", PROFILE["url"], file)
    assert status == 1
    assert "Patient" in out


def test_a_package_shows_what_it_defines(nhipcau, package):
    status, out, _ = nhipcau("package", "show", package)
    assert status == 0
    assert "1 StructureDefinition" in out
    assert "http://example.org/named-patient|1" in out


def test_an_expression_prints_its_values_as_json(nhipcau, write):
    status, out, _ = nhipcau("fhirpath", "Observation.value.value | status", write("a.json", OBSERVATION))
    assert status == 0
    assert out.splitlines() == ["1.10", '"final"']


@pytest.mark.parametrize("expression", ["name.first(", "name.nickname"])
def test_a_wrong_expression_is_told_with_its_place(nhipcau, write, expression):
    status, out, err = nhipcau("fhirpath", expression, write("a.json", PATIENT))
    assert status == 2
    assert out == ""
    assert "column" in err


def test_a_wrong_setting_is_told_by_its_name(nhipcau, write, monkeypatch):
    monkeypatch.setenv("NHIPCAU_JSON_DEPTH", "deep")
    settings.cache_clear()
    status, _, err = nhipcau("validate", write("a.json", PATIENT))
    assert status == 2
    assert "NHIPCAU_JSON_DEPTH" in err


def test_an_unknown_type_is_told(nhipcau, write):
    file = write("a.json", '{"resourceType":"Patent"}')
    assert nhipcau("validate", file)[0] == 1
    status, _, err = nhipcau("fhirpath", "id", file)
    assert status == 2
    assert "Patent" in err


@pytest.mark.server
def test_the_demo_says_what_to_open_and_stops_when_told(tmp_path):
    command = [Path(sys.executable).with_name("nhipcau"), "demo", "--data", tmp_path, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            base = wait_for(tmp_path / "demo.json")["baseUrl"]
            with urlopen(base.removesuffix("/fhir") + "/health", timeout=30) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert process.stdout
        printed = process.stdout.read()
        facts = json.loads((tmp_path / "demo.json").read_bytes())
        assert f"{base.removesuffix('/fhir')}/rooms/{facts['story']['encounter'].partition('/')[2]}" in printed
        assert all(user["password"] in printed for user in facts["users"])


@pytest.mark.server
def test_the_demo_tells_a_story_that_can_be_told_again(tmp_path):
    command = [Path(sys.executable).with_name("nhipcau"), "demo", "--auth", "off", "--data", tmp_path, "--port", "0"]
    told = []
    for _ in range(2):
        (tmp_path / "demo.json").unlink(missing_ok=True)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                facts = wait_for(tmp_path / "demo.json")
                root = facts["baseUrl"].removesuffix("/fhir")
                with (
                    urlopen(f"{root}/ready", timeout=30),
                    urlopen(f"{root}/fhir/_history?_count=500", timeout=30) as all_,
                ):
                    versions = [each["resource"] for each in json.load(all_)["entry"]]
            finally:
                process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
        # What the server says of its own accord is no part of it: its present address, and what begins soon.
        told.append(
            {
                (each["resourceType"], each["id"], each["meta"]["versionId"])
                for each in versions
                if each["resourceType"] not in ("Endpoint", "Communication")
            }
            | set(facts["story"].items())
        )
    assert told[0] == told[1]


@pytest.mark.server
def test_a_folder_of_another_story_is_refused(tmp_path):
    program = Path(sys.executable).with_name("nhipcau")
    demo = [program, "demo", "--auth", "off", "--data", tmp_path, "--port", "0"]
    with subprocess.Popen(demo, stdout=subprocess.DEVNULL) as process:
        wait_for(tmp_path / "demo.json")
        process.terminate()
    with sqlite3.connect(tmp_path / "nhipcau.sqlite") as database:
        assert database.execute("UPDATE note SET text = '1' WHERE name LIKE 'edition%'").rowcount == 1
    database.close()
    stopped = subprocess.run(demo, capture_output=True, text=True, timeout=60, check=False)
    assert stopped.returncode != 0
    assert "Another version told its story in this folder" in stopped.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0"], "NHIPCAU_BASE_URL"),
        (["--host", "::", "--auth", "on"], "NHIPCAU_BASE_URL"),
        (["--host", "0.0.0.0", "--auth", "off"], "127.0.0.1"),
        (["--store", "postgresql://localhost"], "mongodb://"),
        (["--workers", "0"], "workers"),
        (["--validation", "some"], "validation"),
    ],
)
def test_what_a_server_cannot_be_is_told(nhipcau, tmp_path, options, says):
    status, _, err = nhipcau("serve", "--port", "0", "--data", tmp_path, *options)
    assert status == 2
    assert says in err


def test_a_port_in_use_is_told(nhipcau, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, _, err = nhipcau("demo", "--data", tmp_path, "--port", taken.getsockname()[1])
    assert status == 2
    assert "Cannot listen" in err


def wait_for(file: Path) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while not (file.exists() and file.read_bytes()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return dict(json.loads(file.read_bytes()))


def test_a_package_is_made_and_can_be_loaded(nhipcau, tmp_path):
    folder = Path(__file__).resolve().parents[1] / "profiles" / "telehealth"
    file = tmp_path / "new" / "telehealth.tgz"
    assert nhipcau("package", "build", folder, "--output", file)[0] == 0
    status, out, _ = nhipcau("package", "show", file)
    assert status == 0
    assert "nhipcau.telehealth 0.1.0" in out
    assert nhipcau("validate", *sorted((folder / "examples").glob("*.json")))[0] == 0
