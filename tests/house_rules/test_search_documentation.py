"""What a search may be made of stands in the documentation."""

from dataclasses import asdict
from pathlib import Path

import pytest

from fhir_server.search.filter import OPERATORS
from fhir_server.search.limits import Limits
from fhir_server.search.planner import MISSING, SPECIAL
from fhir_server.search.prefix import PREFIXES
from fhir_server.search.result_parameters import RESULT_PARAMETERS
from fhir_server.search.values import FORMS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "search.md").read_text()
WORDS = set(PAGE.replace("`", " ").replace(",", " ").replace("=", " ").split())
NOT_TOLD = ("count", "includes", "sorts", "filter_depth")


@pytest.mark.parametrize("name", [f":{name}" for forms in FORMS.values() for name in forms if name] + [f":{MISSING}"])
def test_a_modifier_is_documented(name: str):
    assert name in WORDS


@pytest.mark.parametrize("name", [*PREFIXES, *OPERATORS, *SPECIAL, *RESULT_PARAMETERS, "_filter", "_has", "_type"])
def test_a_prefix_operator_or_parameter_of_all_types_is_documented(name: str):
    assert name in {word.rstrip(":") for word in WORDS}


@pytest.mark.parametrize(("name", "most"), [pair for pair in asdict(Limits()).items() if pair[0] not in NOT_TOLD])
def test_a_limit_is_documented(name: str, most: int):
    assert f"{most:,} " in PAGE
