import pytest

from fhir_server.search.row import Reference

LITERAL, IDENTIFIER, IDENTIFIER_SYSTEM, VERSION, CANONICAL, INSIDE = Reference


def subject(**reference):
    return {"resourceType": "Observation", "subject": reference}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("Patient/1", {(LITERAL, "1", "Patient")}),
        ("http://own/fhir/Patient/1", {(LITERAL, "1", "Patient")}),
        ("http://other/fhir/Patient/1", {(LITERAL, "http://other/fhir/Patient/1", "Patient")}),
        ("Patient/1/_history/2", {(LITERAL, "1", "Patient"), (VERSION, "Patient/1/_history/2", "")}),
        (
            "http://other/fhir/Patient/1/_history/2",
            {(LITERAL, "http://other/fhir/Patient/1", "Patient"),
             (VERSION, "http://other/fhir/Patient/1/_history/2", "")},
        ),
        ("urn:oid:1.2.3", {(LITERAL, "urn:oid:1.2.3", "")}),
        ("http://example.org/anything", {(LITERAL, "http://example.org/anything", "")}),
    ],
)  # fmt: skip
def test_a_reference_by_url(cells, text, rows):
    assert cells(subject(reference=text), "subject") == rows


def test_the_stated_type_counts_where_the_text_shows_none(cells):
    urn = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"
    assert cells(subject(reference=urn, type="Patient"), "patient") == {(LITERAL, urn, "Patient")}
    assert cells(subject(reference=urn), "patient") == set()


def test_a_contained_resource_is_found_by_its_type(cells):
    observation = {**subject(reference="#p"), "contained": [{"resourceType": "Patient", "id": "p"}]}
    assert cells(observation, "patient") == {(LITERAL, "#p", "Patient"), (INSIDE, 0, "Patient")}
    assert cells({**observation, "contained": [{"resourceType": "Group", "id": "p"}]}, "patient") == set()


def test_the_rows_of_a_contained_resource_see_its_container(indexer):
    group = {"resourceType": "Observation", "id": "o", "subject": {"reference": "#p"}}
    container = {"resourceType": "Observation", "contained": [group, {"resourceType": "Patient", "id": "p"}]}
    number = indexer.parameters.of("Observation")["patient"].number
    assert (number, "#p", "Patient") in indexer.rows(group, container)


def test_a_parameter_limited_to_a_type_takes_no_other(cells):
    assert cells(subject(reference="Group/1"), "patient") == set()
    assert cells(subject(reference="Group/1"), "subject") == {(LITERAL, "1", "Group")}


def test_an_element_of_one_target_needs_no_type(cells):
    immunization = {
        "resourceType": "Immunization",
        "patient": {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
    }
    assert {cell[2] for cell in cells(immunization, "patient")} == {"Patient"}


def test_a_logical_reference_is_found_by_its_identifier(cells):
    logical = subject(identifier={"system": "urn:s", "value": "1"}, type="Patient")
    assert cells(logical, "subject") == {(IDENTIFIER, "1", "urn:s"), (IDENTIFIER_SYSTEM, "urn:s", "")}
    assert cells(logical, "patient") == cells(logical, "subject")


def test_a_display_alone_is_nothing_to_match(cells):
    assert cells(subject(display="An"), "subject") == set()


def test_a_canonical_is_parted_from_its_version(cells):
    order = {"resourceType": "CarePlan", "instantiatesCanonical": ["http://a/PlanDefinition/1|2.0", "#in"]}
    assert cells(order, "instantiates-canonical") == {
        (CANONICAL, "http://a/PlanDefinition/1", "2.0"),
        (LITERAL, "#in", ""),
    }


def test_a_related_artifact_counts_by_its_type(cells):
    artifacts = [{"type": "composed-of", "resource": "http://a|1"}, {"type": "depends-on", "resource": "http://b"}]
    library = {"resourceType": "Library", "relatedArtifact": artifacts}
    assert cells(library, "composed-of") == {(CANONICAL, "http://a", "1")}
    assert cells(library, "depends-on") == {(CANONICAL, "http://b", "")}


def test_the_first_entry_of_a_bundle_is_its_composition_or_message(cells):
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Composition", "id": "c"}}]}
    assert cells(bundle, "composition") == {(LITERAL, "c", "Composition")}
    assert cells(bundle, "message") == set()


def test_an_answer_counts_where_its_item_is_marked_as_subject(cells):
    url = "http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject"
    answer = {"linkId": "1", "answer": [{"valueReference": {"reference": "Patient/1"}}]}
    marked = {**answer, "extension": [{"url": url, "valueBoolean": True}]}
    assert cells({"resourceType": "QuestionnaireResponse", "item": [marked]}, "item-subject") == {
        (LITERAL, "1", "Patient")
    }
    assert cells({"resourceType": "QuestionnaireResponse", "item": [answer]}, "item-subject") == set()
