"""Ids of elements within a resource."""

from tests.validation.profiled import resource
from tests.validation.verdict import errors, is_refused


def test_two_elements_cannot_have_the_same_id():
    body = resource("Patient", name=[{"id": "a", "text": "A"}], address=[{"id": "a", "text": "1"}])
    assert is_refused(body)
    assert errors(body) == ["Patient.address[0].id: The id 'a' is used more than once in the resource."]


def test_the_ids_of_primitives_count():
    body = resource("Patient", name=[{"id": "a", "text": "A"}], birthDate="2000", _birthDate={"id": "a"})
    assert is_refused(body)


def test_an_element_may_have_the_id_of_its_resource():
    assert errors(resource("Patient", id="a", name=[{"id": "a", "text": "A"}])) == []


def test_a_contained_resource_has_ids_of_its_own():
    contained = [resource("Organization", id="o", name="O", address=[{"id": "a", "text": "1"}])]
    organization = {"reference": "#o"}
    body = resource("Patient", contained=contained, managingOrganization=organization, name=[{"id": "a", "text": "A"}])
    assert errors(body) == []


def test_entries_have_ids_of_their_own():
    patients = [resource("Patient", name=[{"id": "a", "text": name}]) for name in "AB"]
    url = "urn:uuid:c757873d-ec9a-4326-a141-556f4323952"
    entries = [{"fullUrl": f"{url}{n}", "resource": patient} for n, patient in enumerate(patients)]
    assert errors(resource("Bundle", entry=entries)) == []


def test_two_contained_resources_cannot_have_the_same_id():
    contained = [resource("Organization", id="o", name=name) for name in "AB"]
    assert is_refused(resource("Patient", contained=contained, managingOrganization={"reference": "#o"}))
