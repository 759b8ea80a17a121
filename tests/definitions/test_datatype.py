from fhir_server.definitions.registry import r4


def member(type_name, key):
    return r4().type(type_name).members[key]


def test_a_choice_has_one_member_for_each_type():
    observation = r4().type("Observation")
    values = observation.names["value"]
    assert len(values) == 11
    assert member("Observation", "valueQuantity") in values
    quantity = member("Observation", "valueQuantity")
    assert (quantity.name, quantity.choice, quantity.type) == ("value", "value", "Quantity")
    assert "value" not in observation.members
    assert "value[x]" not in observation.members


def test_a_backbone_is_a_type_named_by_its_path():
    component = member("Observation", "component")
    assert (component.type, component.many, component.max) == ("Observation.component", True, None)
    backbone = r4().type("Observation.component")
    assert (backbone.kind, backbone.base) == ("backbone", "BackboneElement")
    assert {"id", "extension", "modifierExtension", "code", "valueString"} <= backbone.members.keys()


def test_a_content_reference_has_the_type_of_what_it_refers_to():
    assert member("Observation.component", "referenceRange").type == "Observation.referenceRange"
    assert member("Questionnaire.item", "item").type == "Questionnaire.item"


def test_a_backbone_of_a_datatype_is_one_too():
    assert member("Timing", "repeat").type == "Timing.repeat"
    assert (r4().type("Timing.repeat").kind, r4().type("Timing.repeat").base) == ("backbone", "Element")


def test_cardinality_tells_arrays_from_single_values():
    assert (member("Patient", "name").many, member("Patient", "name").min) == (True, 0)
    assert (member("Patient", "birthDate").many, member("Patient", "birthDate").max) == (False, 1)
    assert member("Observation", "status").min == 1


def test_the_id_of_a_resource_is_an_id_and_of_an_element_a_string():
    assert member("Patient", "id").type == "id"
    assert member("HumanName", "id").type == "string"
    assert member("Observation.component", "id").type == "string"
    assert member("Extension", "url").type == "uri"


def test_a_type_has_its_own_constraints_and_a_member_those_that_it_adds():
    assert [c.key for c in r4().type("Quantity").constraints] == ["ele-1", "qty-3"]
    assert "obs-7" in [c.key for c in r4().type("Observation").constraints]
    assert "pat-1" in [c.key for c in r4().type("Patient.contact").constraints]
    assert "pat-1" not in [c.key for c in member("Patient", "contact").constraints]


def test_kinds_and_bases():
    kinds = {name: (r4().type(name).kind, r4().type(name).base, r4().type(name).abstract) for name in (
        "Patient", "DomainResource", "Age", "code", "Element",
    )}  # fmt: skip
    assert kinds == {
        "Patient": ("resource", "DomainResource", False),
        "DomainResource": ("resource", "Resource", True),
        "Age": ("complex", "Quantity", False),
        "code": ("primitive", "string", False),
        "Element": ("complex", None, True),
    }
