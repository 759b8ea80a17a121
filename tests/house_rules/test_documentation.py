"""What others can set, call or meet stands in the documentation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from fhir_server import errors
from fhir_server.app import Origin, application
from fhir_server.auth.outbound import Outbound
from fhir_server.bulk.bring import Imports
from fhir_server.bulk.export import Exports
from fhir_server.cli import app
from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError
from fhir_server.interactions.routes import ROUTES
from fhir_server.national.table import ROUTES as VIEW_ROUTES
from fhir_server.operations.table import ROUTES as OPERATION_ROUTES
from fhir_server.settings import Settings

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


OPERATIONS = (*OPERATION_ROUTES, *VIEW_ROUTES, *Exports(Path()).routes, *Imports(Path(), Outbound).routes)


def rows(page: str, name: str) -> list[str]:
    """The rows of the page's tables whose first cell is the name."""
    return [line for line in (REFERENCE / page).read_text().splitlines() if line.startswith(f"| `{name}`")]


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FhirError)]


def commands(command: Any, name: str = "nhipcau") -> Iterator[tuple[str, Any]]:
    narrower = getattr(command, "commands", {})
    if not narrower:
        yield name, command
    for word in narrower:
        yield from commands(command.get_command(None, word), f"{name} {word}")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_documented_with_its_default(name: str):
    rows = [
        line for line in (REFERENCE / "settings.md").read_text().splitlines() if f"`NHIPCAU_{name.upper()}`" in line
    ]
    assert len(rows) == 1
    assert f"`{Settings.model_fields[name].default}`" in rows[0]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_kind_of_failure_is_documented_with_its_code(kind: type[FhirError]):
    (row,) = rows("errors.md", kind.__name__)
    assert f"`{kind.code}`" in row


@pytest.mark.parametrize(("name", "command"), list(commands(typer.main.get_command(app))))
def test_a_command_is_documented_with_its_options(name: str, command: Any):
    section = f"{(REFERENCE / 'command-line.md').read_text()}\n## ".partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert section, f"{name} has no section"
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert {option for option in options if f"\n| `{option}" not in section} == set()
    arguments = {parameter.name or "" for parameter in command.params if parameter.param_type_name == "argument"}
    assert {argument for argument in arguments if argument.upper() not in section} == set()


def test_every_route_is_documented(tmp_path: Path):
    page = (REFERENCE / "http.md").read_text()
    service = application(r4(), Settings(), Origin(tmp_path))
    pages = {route.path for route in service.web.routes}  # type: ignore[attr-defined]
    assert {path for path in pages if f" {path}`" not in page} == set()
    routes = {f"{route.method} /fhir{route.path.rstrip('/')}" for route in ROUTES}
    assert {route for route in routes if f"`{route}`" not in page} == set()


def test_every_operation_is_documented():
    page = (REFERENCE / "operations.md").read_text()
    undocumented = {
        f"{route.method} /fhir{route.path}" for route in OPERATIONS for kind in route.types or ("{type}",)
        if f"`{route.method} /fhir{route.path.replace('{type}', kind)}`" not in page
    }  # fmt: skip
    assert undocumented == set()
