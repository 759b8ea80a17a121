import pytest

from fhir_server.errors import Invalid
from fhir_server.operations.lastn import OPERATION
from tests.operations.calling import parameters_of
from tests.operations.running import answered, keys, on_node

LOINC = "http://loinc.org"


def observation(name, number, day, **more):
    coding = [{"system": LOINC, "code": number}, *more.pop("also", ())]
    return {
        "resourceType": "Observation", "id": name, "status": "final", "code": {"coding": coding},
        "subject": {"reference": "Patient/an"}, "effectiveDateTime": f"2024-01-{day:02}",
    } | more  # fmt: skip


RECORD = [
    {"resourceType": "Patient", "id": "an"},
    observation("old", "8480-6", 1),
    observation("newer", "8480-6", 2),
    observation("newest", "8480-6", 3),
    observation("heart", "8867-4", 4, also=[{"system": "urn:own", "code": "pulse"}]),
    observation("pulse", "x", 5, code={"coding": [{"system": "urn:own", "code": "pulse"}]}),
    observation("words", "x", 6, code={"text": "mood"}),
]


def last(query, body=None):
    return on_node(RECORD, lambda node: answered(node, OPERATION, "Observation", query=query, body=body))


def test_the_newest_of_each_kind_comes_first():
    bundle = last("patient=Patient/an")
    assert keys(bundle) == ["Observation/words", "Observation/pulse", "Observation/newest"]
    assert bundle["total"] == 3


def test_max_says_how_many_of_each():
    assert keys(last("patient=an&max=2")) == [
        "Observation/words", "Observation/pulse", "Observation/heart", "Observation/newest", "Observation/newer",
    ]  # fmt: skip


def test_search_parameters_narrow_it_in_the_url_and_in_parameters():
    assert keys(last(f"patient=an&code={LOINC}|8480-6")) == ["Observation/newest"]
    body = parameters_of(
        {"name": "patient", "valueString": "an"},
        {"name": "code", "valueString": "8480-6"},
        {"name": "max", "valuePositiveInt": 2},
    )
    assert keys(last("", body)) == ["Observation/newest", "Observation/newer"]


@pytest.mark.parametrize(
    ("query", "text"),
    [("code=8480-6", "needs the parameter patient"), ("patient=an&max=0", "1 or more"), ("patient=an&cod=a", "code")],
)
def test_what_cannot_be_asked_is_said(query, text):
    with pytest.raises(Invalid, match=text):
        last(query)
