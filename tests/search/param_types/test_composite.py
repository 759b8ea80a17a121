from fhir_server.search.row import Composite, joined

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
JOINED, JOINED_CANONICAL = Composite


def measured(code, value):
    return {
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "valueQuantity": {"value": value, "system": UCUM, "code": "mg"},
    }


def test_a_code_is_joined_with_the_value_of_its_own_component(cells):
    observation = {"resourceType": "Observation", "component": [measured("a", 1), measured("b", 2)]}
    found = cells(observation, "component-code-value-quantity")
    sent, based = joined(LOINC, UCUM, "mg", ""), joined(LOINC, "g")
    assert found == {
        (JOINED, "a", 1, 1, sent), (JOINED_CANONICAL, "a", 0.001, 0.001, based),
        (JOINED, "b", 2, 2, sent), (JOINED_CANONICAL, "b", 0.002, 0.002, based),
    }  # fmt: skip
    assert cells(observation, "code-value-quantity") == set()


def test_a_combination_looks_at_the_observation_and_its_components(cells):
    observation = {"resourceType": "Observation", **measured("a", 1), "component": [measured("b", 2)]}
    assert {(cell[1], cell[2]) for cell in cells(observation, "combo-code-value-quantity") if cell[0] == JOINED} == {
        ("a", 1),
        ("b", 2),
    }


def test_every_coding_is_joined(cells):
    codings = [{"system": LOINC, "code": "a"}, {"code": "b"}]
    observation = {"resourceType": "Observation", "code": {"coding": codings}, "valueString": "Có"}
    assert cells(observation, "code-value-string") == {(JOINED, "a", "co", 0, LOINC), (JOINED, "b", "co", 0, "")}


def test_a_date_gives_both_of_its_ends(cells):
    observation = {
        "resourceType": "Observation",
        "code": {"coding": [{"code": "a"}]},
        "valueDateTime": "1970-01-01T00:00:00Z",
    }
    assert cells(observation, "code-value-date") == {(JOINED, "a", 0, 1000, "")}


def test_components_with_definitions_in_the_wrong_order_are_read_by_their_elements(cells):
    related = {"code": "replaces", "target": {"reference": "DocumentReference/1"}}
    document = {"resourceType": "DocumentReference", "relatesTo": [related]}
    system = "http://hl7.org/fhir/document-relationship-type"
    assert cells(document, "relationship") == {(JOINED, "replaces", "1", 0, joined(system, "DocumentReference"))}


def test_a_part_may_lie_elsewhere_in_the_resource(cells):
    sequence = {
        "resourceType": "MolecularSequence",
        "referenceSeq": {"chromosome": {"coding": [{"system": "urn:c", "code": "12"}]}},
        "variant": [{"start": 3, "end": 4}],
    }
    assert cells(sequence, "chromosome-variant-coordinate") == {(JOINED, "12", 3, 4, "urn:c")}


def test_a_characteristic_counts_by_what_a_token_can_be(cells):
    code = {"coding": [{"code": "gender"}]}
    group = {"resourceType": "Group", "characteristic": [{"code": code, "valueBoolean": True}]}
    assert cells(group, "characteristic-value") == {(JOINED, "gender", "true", 0, joined("", ""))}


def test_columns_beyond_the_third_stand_in_the_name(cells):
    period = {"start": "1970-01-01T00:00:00Z", "end": "1970-01-01T00:00:00Z"}
    observation = {"resourceType": "Observation", "code": {"coding": [{"code": "a"}]}, "valuePeriod": period}
    assert cells(observation, "code-value-date") == {(JOINED, "a", 0, 1000, "")}
