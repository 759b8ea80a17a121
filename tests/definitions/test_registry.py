import pytest

from fhir_server.definitions.registry import Definitions, r4
from fhir_server.definitions.structure import TYPE_URL
from tests.definitions.profiles import at, loaded, profile, structure_of, url

NICKNAME = {
    "resourceType": "SearchParameter",
    "url": "http://example.org/nickname",
    "code": "nickname",
    "type": "string",
    "base": ["Patient"],
    "expression": "Patient.name.where(use = 'nickname')",
}


def test_the_core_has_the_types_of_r4():
    assert len(r4().resource_types) == 146
    assert {"Patient", "Bundle", "Parameters"} <= r4().resource_types
    assert {"HumanName", "Age", "Timing"} <= r4().complex_types
    assert {"string", "xhtml", "instant"} <= r4().primitive_types
    abstract = {"Resource", "DomainResource", "Element", "BackboneElement"}
    assert not abstract & (r4().resource_types | r4().complex_types)


def test_every_type_can_be_had_and_every_member_leads_to_a_type():
    waiting = {*r4().resource_types, *r4().complex_types, *r4().primitive_types}
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen and not name.startswith("http://hl7.org/fhirpath/System."):
            seen.add(name)
            waiting |= {member.type for member in r4().type(name).members.values()}
    assert {"Observation.component", "Bundle.entry.request", "Resource"} <= seen


@pytest.mark.parametrize("name", ["Nothing", "Patient.beard", "vitalsigns", "", "http://example.org", "bodyheight"])
def test_what_is_no_type_is_none(name):
    assert r4().has_type(name) is False
    with pytest.raises(KeyError):
        r4().type(name)


@pytest.mark.parametrize(
    ("name", "of", "holds"),
    [
        ("Age", "Quantity", True), ("Age", "Element", True), ("Patient", "Resource", True), ("code", "string", True),
        ("Patient", "Patient", True), ("Quantity", "Age", False), ("Bundle", "DomainResource", False),
        ("Observation.component", "BackboneElement", True), ("Nothing", "Resource", False),
    ],
)  # fmt: skip
def test_subtypes(name, of, holds):
    assert r4().is_subtype(name, of) is holds


def test_a_structure_is_found_by_canonical_with_and_without_version():
    found = r4().structure(f"{TYPE_URL}Patient")
    assert found is not None
    assert r4().structure(f"{TYPE_URL}Patient|4.0.1") is found
    assert r4().structure(f"{TYPE_URL}Patient|5.0.0") is None
    assert r4().structure("http://example.org/none") is None


def test_every_structure_of_the_core_has_elements():
    assert all(structure_of(r4(), canonical).elements for canonical in r4().structures())


def test_search_parameters_include_those_of_the_base_types():
    patient = r4().search_parameters("Patient")
    assert {"family", "birthdate", "_id", "_lastUpdated", "_text"} <= patient.keys()
    assert "_text" not in r4().search_parameters("Bundle")
    assert r4().search_parameters("Nothing") == {}


def test_what_is_added_to_an_extension_of_the_definitions_leaves_them_alone():
    extended = r4().extended()
    assert extended.add(NICKNAME) is True
    assert "nickname" in extended.search_parameters("Patient")
    assert {"family", "_id"} <= extended.search_parameters("Patient").keys()
    assert extended.search_parameter("http://example.org/nickname") is not None
    assert "nickname" not in r4().search_parameters("Patient")


def test_what_definitions_do_not_keep_is_not_added():
    assert Definitions().add({"resourceType": "Patient", "url": "http://example.org/p"}) is False
    assert Definitions().add({"resourceType": "ValueSet"}) is False


def test_the_generation_grows_with_every_addition_here_and_below():
    below = Definitions()
    above = below.extended()
    first = above.generation
    below.add(NICKNAME)
    second = above.generation
    above.add(NICKNAME)
    assert first < second < above.generation


def test_an_added_profile_is_no_type():
    definitions = loaded(profile("p", "Patient", at("Patient.active", min=1)))
    assert definitions.structure(url("p")) is not None
    assert definitions.type("Patient") is r4().type("Patient")
    assert definitions.resource_types == r4().resource_types


def test_compartments_tell_which_parameters_tie_a_type_to_them():
    patient = r4().compartment("Patient")
    assert patient is not None
    assert patient.parameters["Condition"] == ("patient", "asserter")
    assert "Medication" not in patient.parameters
    assert r4().extended().compartment("Patient") == patient
    assert r4().compartment("Nothing") is None


def test_the_codes_of_required_bindings_are_compiled():
    url = "http://hl7.org/fhir/ValueSet/administrative-gender"
    expected = {"http://hl7.org/fhir/administrative-gender": ("female", "male", "other", "unknown")}
    assert r4().compiled_expansion(url) == expected
    assert r4().extended().compiled_expansion(f"{url}|4.0.1") == expected
    assert r4().compiled_expansion(f"{url}|3.0.0") is None
    assert r4().compiled_expansion("http://hl7.org/fhir/ValueSet/mimetypes") is None


def test_supplements_are_found_by_the_system_that_they_add_to():
    supplement = {"resourceType": "CodeSystem", "url": url("s"), "content": "supplement", "supplements": "http://a|1"}
    definitions = loaded(supplement)
    assert [s.url for s in definitions.supplements("http://a")] == [url("s")]
    assert [s.url for s in definitions.extended().supplements("http://a")] == [url("s")]
    assert definitions.supplements("http://b") == ()
    core = definitions.supplements("http://hl7.org/fhir/contact-point-use")
    assert all(s.content == "supplement" for s in core)
