"""The tables of access stand in the documentation as they are in the program."""

from pathlib import Path

import pytest

from fhir_server.access import rule
from fhir_server.access.resource_class import MEANING, TYPES
from fhir_server.access.role import ROLES
from fhir_server.access.rule import RULES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "access.md").read_text()
LINES = PAGE.splitlines()


def said(*, of: bool) -> str:
    return "yes" if of else ""


def lines() -> list[str]:
    """The lines of all tables."""
    roles = [
        f"| `{role.code}` | {role.who} | {', '.join(role.purposes)} | {said(of=role.breaks_glass)}"
        f" | {said(of=role.names_ids)} | {said(of=role.records_consent)} |"
        for role in ROLES
    ]
    classes = [f"| `{code}` | {what} | {', '.join(TYPES[code].split())} |" for code, what in MEANING.items()]
    rules = [f"| `{r.role}` | `{r.about}` | {r.read} | {r.create} | {r.change} | {r.remove} |" for r in RULES]
    grounds = [line for line in (rule.__doc__ or "").splitlines() if line.startswith("| ") and "ground" not in line]
    return [*roles, *classes, *rules, *grounds]


@pytest.mark.parametrize("line", lines())
def test_a_line_of_a_table_is_documented(line: str):
    assert LINES.count(line) == 1


def test_nothing_else_is_documented_as_a_rule():
    rows = [line for line in LINES if line.startswith("| ") and "---" not in line]
    headings = 4
    assert len(rows) == len(lines()) + headings
