import pytest

from fhir_server.errors import Gone, Invalid, NotFound
from fhir_server.operations.everything import OPERATIONS
from fhir_server.repository.write import Write
from tests.operations.running import answered, keys, next_query, on_node

OF_PATIENT, OF_ENCOUNTER, *_ = OPERATIONS
CODE = {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}


def patient(name, **more):
    return {"resourceType": "Patient", "id": name} | more


def observation(name, subject, **more):
    return {
        "resourceType": "Observation", "id": name, "status": "final", "code": CODE,
        "subject": {"reference": f"Patient/{subject}"},
    } | more  # fmt: skip


ENCOUNTER = {
    "resourceType": "Encounter", "id": "visit", "status": "finished",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
    "subject": {"reference": "Patient/an"}, "serviceProvider": {"reference": "Organization/clinic"},
}  # fmt: skip
RECORD = [
    patient("an", managingOrganization={"reference": "Organization/clinic"}, link=[
        {"other": {"reference": "Patient/binh"}, "type": "seealso"},
    ]),
    patient("binh"),
    {"resourceType": "Organization", "id": "clinic", "name": "A", "partOf": {"reference": "Organization/hospital"}},
    {"resourceType": "Organization", "id": "hospital", "name": "Hospital"},
    {"resourceType": "Practitioner", "id": "doctor"},
    ENCOUNTER,
    observation("one", "an", performer=[{"reference": "Practitioner/doctor"}], effectiveDateTime="2024-01-05",
                encounter={"reference": "Encounter/visit"}),
    observation("two", "an", effectiveDateTime="2024-06-05", hasMember=[{"reference": "Observation/other"}]),
    observation("three", "an"),
    observation("other", "binh"),
]  # fmt: skip


def of_patient(query="", operation=OF_PATIENT, place=("Patient", "an")):
    return on_node(RECORD, lambda node: answered(node, operation, *place, query=query))


def test_a_record_is_the_patient_the_compartment_and_what_they_refer_to():
    bundle = of_patient()
    assert bundle["type"] == "searchset"
    assert keys(bundle)[0] == "Patient/an"
    assert set(keys(bundle, "match")) == {
        "Patient/an", "Encounter/visit", "Observation/one", "Observation/two", "Observation/three",
    }  # fmt: skip
    assert set(keys(bundle, "include")) == {"Organization/clinic", "Organization/hospital", "Practitioner/doctor"}
    assert bundle["total"] == 5
    assert bundle["entry"][0]["fullUrl"] == "http://example.org/fhir/Patient/an"


def test_nothing_of_another_patient_comes_along():
    assert not {"Patient/binh", "Observation/other"} & set(keys(of_patient()))


def test_an_encounter_has_its_record_too():
    bundle = of_patient(operation=OF_ENCOUNTER, place=("Encounter", "visit"))
    assert keys(bundle, "match") == ["Encounter/visit", "Observation/one"]
    assert {"Patient/an", "Organization/clinic", "Practitioner/doctor"} <= set(keys(bundle, "include"))


def test_only_the_types_asked_for_come():
    assert set(keys(of_patient("_type=Observation"))) == {"Observation/one", "Observation/two", "Observation/three"}
    assert set(keys(of_patient("_type=Patient,Organization"))) == {
        "Patient/an", "Organization/clinic", "Organization/hospital",
    }  # fmt: skip


def test_pages_hold_every_resource_of_the_record_once():
    async def walked(node):
        found = []
        bundle = await answered(node, OF_PATIENT, "Patient", "an", query="_count=2")
        while True:
            page = keys(bundle, "match")
            assert len(page) <= 2
            found += page
            query = next_query(bundle)
            if query is None:
                return found
            bundle = await answered(node, OF_PATIENT, "Patient", "an", query=query)

    found = on_node(RECORD, walked)
    assert sorted(found) == [
        "Encounter/visit", "Observation/one", "Observation/three", "Observation/two", "Patient/an",
    ]  # fmt: skip


def test_what_was_not_changed_since_stays_away():
    async def changed(node):
        assert not keys(await answered(node, OF_PATIENT, "Patient", "an", query="_since=2999-01-01T00:00:00Z"))
        assert len(keys(await answered(node, OF_PATIENT, "Patient", "an", query="_since=2020-01-01T00:00:00Z"))) == 8

    on_node(RECORD, changed)


def test_dates_of_care_leave_out_what_has_another_date():
    found = set(keys(of_patient("start=2024-02-01&end=2024-12-31"), "match"))
    assert found == {"Patient/an", "Encounter/visit", "Observation/two", "Observation/three"}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("_type=Observatoin", "Did you mean Observation"),
        ("_since=yesterday", "instant"),
        ("_count=0", "1 or more"),
        ("_cursor=abc", "not one that this server gave"),
        ("type=Observation", "Did you mean _type"),
    ],
)
def test_what_cannot_be_asked_is_said(query, text):
    with pytest.raises(Invalid, match=text):
        of_patient(query)


def test_there_is_no_record_of_nobody_and_none_of_what_is_deleted():
    async def deleted(node):
        with pytest.raises(NotFound):
            await answered(node, OF_PATIENT, "Patient", "nobody")
        await node.repository.write([Write("DELETE", "Observation", "three")])
        assert "Observation/three" not in keys(await answered(node, OF_PATIENT, "Patient", "an"))

    async def gone(node):
        await node.repository.write([Write("DELETE", "Patient", "an")])
        with pytest.raises(Gone):
            await answered(node, OF_PATIENT, "Patient", "an")

    on_node(RECORD, deleted)
    on_node([patient("an")], gone)
