"""Searches by value sets that are named in all ways (FHIR R4, 3.1.1.4.5 modifiers :in and :not-in)."""

import pytest

from tests.serving import outcome, serving

SCT = "http://snomed.info/sct"


@pytest.fixture(scope="module")
def server():
    with serving() as served:
        concepts = [{"code": "73211009", "concept": [{"code": "44054006"}]}, {"code": "38341003"}]
        system = {
            "url": SCT,
            "status": "active",
            "content": "complete",
            "valueSet": f"{SCT}?fhir_vs",
            "concept": concepts,
        }
        served.create({"resourceType": "CodeSystem", **system})
        compose = {"include": [{"system": SCT, "concept": [{"code": "38341003"}]}]}
        for own_id, more in (("named", {"url": "urn:vs", "version": "1"}), ("nameless", {})):
            served.put({"resourceType": "ValueSet", "id": own_id, "status": "active", "compose": compose, **more})
        for code in ("73211009", "44054006", "38341003"):
            served.put(
                {
                    "resourceType": "Condition",
                    "id": f"c{code}",
                    "subject": {"display": "An"},
                    "code": {"coding": [{"system": SCT, "code": code}]},
                }
            )
        yield served


@pytest.mark.parametrize(
    ("value_set", "found"),
    [
        ("ValueSet/named", {"c38341003"}),
        ("ValueSet/nameless", {"c38341003"}),
        ("http://node/fhir/ValueSet/named", {"c38341003"}),
        ("urn:vs", {"c38341003"}),
        (f"{SCT}?fhir_vs", {"c73211009", "c44054006", "c38341003"}),
        (f"{SCT}?fhir_vs=isa/73211009", {"c73211009", "c44054006"}),
    ],
)
def test_a_value_set_can_be_named_by_its_id_or_be_implied(server, value_set, found):
    assert set(server.found(f"Condition?code:in={value_set}")) == found


def test_what_is_not_known_is_refused(server):
    for value_set in ("ValueSet/none", f"{SCT}?fhir_vs=refset/1", "urn:none?fhir_vs"):
        outcome(server.get(f"Condition?code:in={value_set}"), 400, "not-supported")


def test_a_value_set_is_asked_for_as_it_is_now(server):
    compose = {"include": [{"system": SCT, "concept": [{"code": "44054006"}]}]}
    server.put({"resourceType": "ValueSet", "id": "turns", "status": "active", "url": "urn:turns", "compose": compose})
    assert server.found("Condition?code:in=ValueSet/turns") == ["c44054006"]
    server.ask("DELETE", "ValueSet/turns")
    outcome(server.get("Condition?code:in=ValueSet/turns"), 400, "not-supported")


def test_implied_value_sets_are_expanded_and_judged_by(server):
    body = server.get(f"ValueSet/$expand?url={SCT}?fhir_vs%3Disa/73211009").json()
    assert [each["code"] for each in body["expansion"]["contains"]] == ["73211009", "44054006"]
    url = f"ValueSet/$validate-code?url={SCT}?fhir_vs%3Disa/73211009&system={SCT}&code="
    results = [server.get(url + code).json()["parameter"][0]["valueBoolean"] for code in ("44054006", "38341003")]
    assert results == [True, False]
