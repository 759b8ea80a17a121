"""What others can set, call or meet stands in the documentation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server.errors import FhirError
from fhir_server.settings import Settings

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


def rows(page: str, name: str) -> list[str]:
    """The rows of the page's tables whose first cell is the name."""
    return [line for line in (REFERENCE / page).read_text().splitlines() if line.startswith(f"| `{name}`")]


def kinds(kind: type[FhirError]) -> Iterator[type[FhirError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from kinds(narrower)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_documented_with_its_default(name: str):
    rows = [
        line for line in (REFERENCE / "settings.md").read_text().splitlines() if f"`NHIPCAU_{name.upper()}`" in line
    ]
    assert len(rows) == 1
    assert f"`{Settings.model_fields[name].default}`" in rows[0]


@pytest.mark.parametrize("kind", list(kinds(FhirError)), ids=lambda kind: kind.__name__)
def test_a_kind_of_failure_is_documented_with_its_code(kind: type[FhirError]):
    (row,) = rows("errors.md", kind.__name__)
    assert f"`{kind.code}`" in row
