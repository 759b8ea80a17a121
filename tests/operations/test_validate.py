import pytest

from fhir_server.errors import Invalid, NotFound
from fhir_server.operations.validate import OPERATIONS, Question, question
from tests.operations.running import answered, on_node

OF_TYPE, OF_INSTANCE = OPERATIONS
PATIENT = {"resourceType": "Patient"}


def parameters(*items):
    return {"resourceType": "Parameters", "parameter": list(items)}


def test_a_body_asks_about_itself():
    assert question(PATIENT) == Question(PATIENT)


def test_parameters_ask_about_the_resource_they_hold():
    body = parameters(
        {"name": "resource", "resource": PATIENT},
        {"name": "mode", "valueCode": "create"},
        {"name": "profile", "valueUri": "http://example.org/a"},
        {"name": "profile", "valueCanonical": "http://example.org/b"},
    )
    assert question(body) == Question(PATIENT, ("http://example.org/a", "http://example.org/b"), "create")


@pytest.mark.parametrize("body", [parameters(), parameters({"name": "other"}), {"resourceType": "Parameters"}])
def test_parameters_without_a_resource_ask_about_themselves(body):
    assert question(body) == Question(body)


@pytest.mark.parametrize("items", [7, [7], [{"name": ["resource"]}]])
def test_parameters_that_are_no_parameters_are_left_to_the_validator(items):
    body = {"resourceType": "Parameters", "parameter": items}
    assert question(body) == Question(body)


def test_one_resource_is_asked_about_at_a_time():
    with pytest.raises(Invalid):
        question(parameters({"name": "resource", "resource": PATIENT}, {"name": "resource", "resource": PATIENT}))


def severities(outcome):
    return [issue["severity"] for issue in outcome["issue"]]


def texts(outcome):
    return " ".join(issue["details"]["text"] for issue in outcome["issue"])


def validated(*place, query="", body=None, stored=(), operation=None):
    operation = operation or (OF_INSTANCE if len(place) == 2 else OF_TYPE)
    return on_node(list(stored), lambda node: answered(node, operation, *place, query=query, body=body))


STORED = [{"resourceType": "Patient", "id": "an"}, {
    "resourceType": "Observation", "id": "one", "status": "final", "code": {"text": "mood"},
    "subject": {"reference": "Patient/an"},
}]  # fmt: skip


def test_a_stored_resource_can_be_checked():
    assert "error" not in severities(validated("Patient", "an", stored=STORED))


def test_an_update_needs_the_id_of_the_url():
    body = {"resourceType": "Patient", "id": "binh"}
    assert "would be refused: the resource has the id 'binh'" in texts(validated("Patient", "an", body=body))
    body = {"resourceType": "Patient", "id": "an", "gender": "male"}
    assert "error" not in severities(validated("Patient", "an", query="mode=update", body=body))


def test_a_deletion_is_refused_while_others_refer_to_it():
    outcome = validated("Patient", "an", query="mode=delete", stored=STORED)
    assert "is referred to by Observation/one" in texts(outcome)
    assert "error" not in severities(validated("Observation", "one", query="mode=delete", stored=STORED))
    with pytest.raises(NotFound):
        validated("Patient", "nobody", query="mode=delete")


def test_a_creation_needs_what_it_refers_to():
    sent = parameters({"name": "resource", "resource": STORED[1]}, {"name": "mode", "valueCode": "create"})
    assert "leads to Patient/an, which does not exist" in texts(validated("Observation", body=sent))
    assert "error" not in severities(validated("Observation", body=sent, stored=STORED[:1]))


def test_the_mode_profile_asks_about_a_profile():
    vital = "http://hl7.org/fhir/StructureDefinition/vitalsigns"
    sent = parameters(
        {"name": "resource", "resource": STORED[1]},
        {"name": "mode", "valueCode": "profile"},
        {"name": "profile", "valueCanonical": vital},
    )
    assert "error" in severities(validated("Observation", body=sent))
    with pytest.raises(Invalid, match="needs the parameter profile"):
        validated("Observation", query="mode=profile", body=STORED[1])


@pytest.mark.parametrize(
    ("place", "query", "body", "text"),
    [
        (("Patient",), "mode=destroy", PATIENT, "no mode 'destroy'"),
        (("Patient",), "mode=delete", PATIENT, r"\[type\]/\[id\]"),
        (("Observation",), "", PATIENT, "announces Observation"),
        (("Patient",), "", parameters({"name": "mode", "valueCode": "create"}), "needs a resource"),
    ],
)
def test_what_cannot_be_asked_is_said(place, query, body, text):
    with pytest.raises(Invalid, match=text):
        validated(*place, query=query, body=body)
