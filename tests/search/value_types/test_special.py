import pytest

from fhir_server.search.question import Unreadable
from fhir_server.search.value_types.special import FORMS
from tests.search.value_types.conftest import asked


def near(text, question):
    return asked(FORMS, text, question())


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("21.03|105.85", 50_000),
        ("21.03|105.85|11.2", 11_200),
        ("21.03|105.85|11.2|km", 11_200),
        ("21.03|105.85|11.2|m", 11.2),
        ("21.03|105.85|10|mi", 16_093.44),
        ("21.03|105.85|10|[mi_i]", 16_093.44),
        ("21.03|105.85||", 50_000),
    ],
)
def test_a_distance_is_in_km_unless_a_unit_is_given(question, text, metres):
    (found,) = near(text, question)
    assert (found.latitude, found.longitude) == (21.03, 105.85)
    assert found.metres == pytest.approx(metres)


@pytest.mark.parametrize("text", ["", "21", "a|b", "91|0", "0|181", "1|2|-3|km", "1|2|3|kg", "1|2|3|4|5", "1|2|x"])
def test_what_is_no_position_is_a_wrong_value(question, text):
    with pytest.raises(Unreadable):
        near(text, question)
