"""Contained resources, found by what contains them and on their own (FHIR R4, 3.1.1.5.7)."""

import pytest

from tests.serving import outcome, serving

SYSTEM = "http://example.org/medications"


def coded(*codes):
    return {"coding": [{"system": SYSTEM, "code": code} for code in codes]}


def medication(inner_id, *ingredients, **more):
    found = {"resourceType": "Medication", "id": inner_id, **more}
    if ingredients:
        found["ingredient"] = [{"itemCodeableConcept": coded(code)} for code in ingredients]
    return found


def request(own_id, reference, *contained):
    return {
        "resourceType": "MedicationRequest",
        "id": own_id,
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "medicationReference": {"reference": reference},
        **({"contained": list(contained)} if contained else {}),
        "supportingInformation": [{"reference": f"#{each['id']}"} for each in contained]
        or [{"reference": "Patient/p"}],
    }


@pytest.fixture(scope="module")
def server():
    with serving(page_entries=3) as served:
        served.put({"resourceType": "Patient", "id": "p", "gender": "female"})
        served.put(medication("m", "abc", status="active"))
        for each in (
            request("contains", "#m1", medication("m1", "abc", status="active")),
            request("refers", "Medication/m"),
            request(
                "several", "#m2", medication("m1", "abc", status="inactive"), medication("m2", "x", status="active")
            ),
        ):
            answer = served.put(each)
            assert answer.status_code == 201, answer.text
        yield served


def entries(server, path):
    body = server.get(path).json()
    return [(e["fullUrl"].removeprefix("http://node/fhir/"), e["resource"]["resourceType"]) for e in body["entry"]]


def test_a_chain_goes_into_contained_resources(server):
    assert sorted(server.found("MedicationRequest?medication.ingredient-code=abc")) == ["contains", "refers"]
    active = "MedicationRequest?medication:Medication.status=active&subject:Patient.gender=female"
    assert sorted(server.found(active)) == ["contains", "refers", "several"]
    assert sorted(server.found("MedicationRequest?medication.status:not=active")) == []
    assert server.found("MedicationRequest?medication.ingredient-code:missing=true") == []


def test_contained_resources_are_not_found_unless_asked_for(server):
    assert server.found("Medication?ingredient-code=abc") == ["m"]
    assert server.found("Medication?ingredient-code=abc&_contained=false") == ["m"]


def test_their_containers_come_back(server):
    assert sorted(server.found("Medication?ingredient-code=abc&_contained=true")) == ["contains", "several"]
    assert sorted(server.found("Medication?ingredient-code=abc&_contained=both")) == ["contains", "m", "several"]
    assert entries(server, "Medication?ingredient-code=x&_contained=true&_containedType=container") == [
        ("MedicationRequest/several", "MedicationRequest")
    ]
    body = server.get("Medication?ingredient-code=abc&_contained=both&_total=accurate&_count=1").json()
    assert body["total"] == 3


def test_one_contained_resource_must_meet_all_that_is_asked(server):
    assert server.found("Medication?ingredient-code=abc&status=active&_contained=true") == ["contains"]
    assert server.found("Medication?ingredient-code=abc&status:not=active&_contained=true") == ["several"]
    assert server.found("Medication?ingredient-code:missing=true&_contained=true") == []
    assert sorted(server.found("Medication?_id=m1&_contained=true")) == ["contains", "several"]
    assert server.found("Medication?_id=m2&_contained=true") == ["several"]


def test_they_come_back_alone(server):
    assert entries(server, "Medication?ingredient-code=x&_contained=true&_containedType=contained") == [
        ("MedicationRequest/several#m2", "Medication")
    ]
    both = entries(server, "Medication?ingredient-code=abc&_contained=both&_containedType=contained")
    assert sorted(both) == [
        ("Medication/m", "Medication"),
        ("MedicationRequest/contains#m1", "Medication"),
        ("MedicationRequest/several#m1", "Medication"),
    ]
    (entry,) = server.get(
        "Medication?ingredient-code=x&_contained=true&_containedType=contained&_elements=status"
    ).json()["entry"]
    assert entry["resource"]["id"] == "m2"
    assert "ingredient" not in entry["resource"]


def test_pages_hold_each_of_many_once(server):
    for number in range(8):
        server.put(request(f"many{number}", "#a", medication("a", "many")))
    found, path = [], "Medication?ingredient-code=many&_contained=both"
    while path:
        body = server.get(path).json()
        found += [entry["resource"]["id"] for entry in body["entry"]]
        following = [link["url"] for link in body["link"] if link["relation"] == "next"]
        path = following[0].removeprefix("http://node/fhir/") if following else ""
    assert sorted(found) == [f"many{number}" for number in range(8)]
    server.put(request("many0", "Medication/m"))
    assert len(server.found("Medication?ingredient-code=many&_contained=true&_count=20")) == 7


def test_a_contained_resource_is_chained_through_and_into_its_neighbours(server):
    organization = {"resourceType": "Organization", "id": "o", "name": "Dược Hậu Giang"}
    server.put(request("made", "#m", medication("m", "made", manufacturer={"reference": "#o"}), organization))
    assert server.found("MedicationRequest?medication.manufacturer.name=duoc") == ["made"]
    assert server.found("Medication?manufacturer.name=duoc&_contained=true") == ["made"]
    assert server.found("Organization?name=duoc&_contained=true") == ["made"]
    assert server.found("Organization?name=hau&_contained=true") == []


def test_more_than_there_are_places_for_are_still_found(server):
    body = request("crowded", "#i19", *(medication(f"i{number}", f"place{number}") for number in range(20)))
    assert server.put(body).status_code == 201
    assert server.found("Medication?ingredient-code=place19&_contained=true") == ["crowded"]
    assert server.found("MedicationRequest?medication.ingredient-code=place19") == ["crowded"]
    assert server.found("MedicationRequest?medication.ingredient-code=place3") == []


@pytest.mark.parametrize(
    "query",
    [
        "Medication?_content=a&_contained=true",
        "Medication?_has:MedicationRequest:medication:status=active&_contained=true",
        "Medication?status=active&_contained=true&_sort=code",
        "Medication?manufacturer.name=a&_contained=true&_containedType=contained",
        "Medication?status=active&_contained=true&_containedType=contained&_summary=count",
    ],
)
def test_what_cannot_be_asked_of_them_is_refused(server, query):
    assert "_contained" in outcome(server.get(query), 400, "not-supported")["expression"][0]
    assert server.get(query, prefer="handling=lenient").status_code == 200


def test_types_must_be_named(server):
    outcome(server.get("?_id=m1&_contained=true"), 422, "too-costly")
    assert server.found("?_type=Medication,Organization&_id=m2&_contained=true") == ["several"]
