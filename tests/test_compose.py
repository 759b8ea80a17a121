"""The scaled-out form in compose.yaml and the guide to deployment name only what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from fhir_server.cli import app
from fhir_server.settings import Settings

ROOT = Path(__file__).parents[1]
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::\?[^}]*)?\}")
NAMED = re.compile(r"\bNHIPCAU_([A-Z_]+)\b")
OF_COMPOSE = {"NHIPCAU_PUBLIC_ADDRESS", "NHIPCAU_TURN_HOST"}
VALUES = {"NHIPCAU_BASE_URL": "https://fhir.example.vn/fhir", "NHIPCAU_PUBLIC_ADDRESS": "203.0.113.7"}
ENVIRONMENT = re.compile(r"^(NHIPCAU_\w+)=(.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def form() -> dict[str, Any]:
    """The file as compose reads it, its variables filled in."""
    yaml = pytest.importorskip("yaml")
    text = VARIABLE.sub(lambda found: VALUES.get(found[1], "s3cret"), (ROOT / "compose.yaml").read_text())
    loaded: dict[str, Any] = yaml.safe_load(text.replace("$$", "$"))
    return loaded


def chosen(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of a process with this environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
        assert name.removeprefix("NHIPCAU_").lower() in Settings.model_fields, name
    return Settings()


def test_the_servers_of_compose_take_their_settings(form: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    settings = chosen(form["services"]["server1"]["environment"], monkeypatch)
    assert (settings.auth, settings.archive) == ("on", "orthanc=http://bridge:s3cret@orthanc:8042")
    assert form["services"]["proxy"]["networks"]["default"]["ipv4_address"] in settings.proxies


def test_what_services_of_compose_refer_to_is_there(form: dict[str, Any]):
    for name, service in form["services"].items():
        assert set(service.get("depends_on", ())) <= set(form["services"]), name
        assert {each["source"] for each in service.get("configs", ())} <= set(form["configs"]), name
        named = {each.split(":")[0] for each in service.get("volumes", ())}
        assert {each for each in named if not each.startswith((".", "/"))} <= set(form["volumes"]), name


def test_orthanc_is_configured_as_its_guide_says(form: dict[str, Any]):
    configured = json.loads(form["configs"]["orthanc"]["content"])
    guide = (ROOT / "docs" / "how-to" / "use-orthanc.md").read_text()
    advised = json.loads(guide.partition("```json\n")[2].partition("```")[0])
    elsewhere = {"RegisteredUsers", "RemoteAccessAllowed", "Plugins"}
    assert {name: configured.get(name) for name in advised.keys() - elsewhere} == {
        name: value for name, value in advised.items() if name not in elsewhere
    }


@pytest.mark.parametrize("file", ["compose.yaml", "docs/how-to/deploy.md"])
def test_every_setting_and_option_that_is_named_exists(file: str):
    text = (ROOT / file).read_text()
    named = {f"NHIPCAU_{name}" for name in NAMED.findall(text)} - OF_COMPOSE
    assert {name.removeprefix("NHIPCAU_").lower() for name in named} <= set(Settings.model_fields)
    commands: Any = get_command(app)
    for line in re.findall(r"nhipcau (serve|backup|restore|doctor)((?: +\S+)*)", text.replace("\n", " \n ")):
        known = {option for each in commands.get_command(None, line[0]).params for option in each.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", line[1])) <= known, line


def test_the_settings_of_the_guide_are_taken(monkeypatch: pytest.MonkeyPatch):
    text = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
    settings = chosen(dict(ENVIRONMENT.findall(text)), monkeypatch)
    assert settings.dicom_peers[0].ae_title == "CT1"
