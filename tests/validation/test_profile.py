import pytest

from tests.validation.profiled import BASE, Checked, coded, element, profile, resource


def texts(body, *elements, kind="Observation"):
    return Checked(profile("p", kind, *elements)).texts(body)


def test_a_resource_that_meets_its_profile_has_no_issues():
    assert texts(resource("Observation"), element("Observation.code", min=1)) == []


def test_a_required_element_is_missed():
    found = texts(resource("Observation"), element("Observation.subject", min=1))
    assert found == ["Observation: Observation.subject: at least 1 required, found 0."]


def test_a_required_choice_is_there_in_any_of_its_types():
    elements = [element("Observation.value[x]", min=1)]
    assert texts(resource("Observation", valueString="a"), *elements) == []
    assert (
        texts(resource("Observation", _valueString={"extension": [{"url": "a:b", "valueCode": "c"}]}), *elements) == []
    )
    assert len(texts(resource("Observation"), *elements)) == 1


def test_a_prohibited_element_is_refused():
    body = resource("Observation", component=[{"code": coded("1-8")}])
    assert texts(body, element("Observation.component", max="0")) == [
        "Observation.component: Observation.component is not allowed here."
    ]


def test_an_element_within_a_backbone_is_looked_at_in_each_repetition():
    body = resource("Observation", component=[{"code": coded("1-8"), "valueString": "a"}, {"code": coded("1-8")}])
    found = texts(body, element("Observation.component.value[x]", min=1))
    assert found == ["Observation.component[1]: Observation.component.value[x]: at least 1 required, found 0."]


def test_the_number_of_repetitions_is_bounded():
    elements = [element("Patient.name", min=2, max="3")]
    names = [{"text": str(n)} for n in range(5)]
    for count, wrong in ((1, True), (2, False), (3, False), (4, True)):
        assert bool(texts(resource("Patient", name=names[:count]), *elements, kind="Patient")) is wrong


def test_the_types_of_a_choice_are_narrowed():
    elements = [element("Observation.value[x]", type=[{"code": "Quantity"}, {"code": "string"}])]
    assert texts(resource("Observation", valueString="a"), *elements) == []
    assert texts(resource("Observation", valueBoolean=True), *elements) == [
        "Observation.value.ofType(boolean): Observation.value[x] must be of type Quantity or string, found boolean."
    ]


def test_a_child_of_one_type_of_a_choice_is_looked_at():
    elements = [
        element("Observation.value[x]", type=[{"code": "Quantity"}]),
        element("Observation.value[x].unit", min=1),
    ]
    assert texts(resource("Observation", valueQuantity={"value": 1, "unit": "kg"}), *elements) == []
    assert len(texts(resource("Observation", valueQuantity={"value": 1}), *elements)) == 1


@pytest.mark.parametrize(("text", "wrong"), [("12345", False), ("123456", True)])
def test_a_text_may_be_bounded_in_length(text, wrong):
    body = resource("Patient", name=[{"text": text}])
    assert bool(texts(body, element("Patient.name.text", maxLength=5), kind="Patient")) is wrong


@pytest.mark.parametrize("at", ["element", "type"])
@pytest.mark.parametrize(("text", "wrong"), [("0123", False), ("123", True), ("0123 ", True)])
def test_a_text_may_have_to_match_a_regular_expression(at, text, wrong):
    regex = [{"url": "http://hl7.org/fhir/StructureDefinition/regex", "valueString": "0[0-9]+"}]
    facets = {"extension": regex} if at == "element" else {"type": [{"code": "string", "extension": regex}]}
    body = resource("Patient", name=[{"text": text}])
    assert bool(texts(body, element("Patient.name.text", **facets), kind="Patient")) is wrong


def test_a_required_binding_is_tightened():
    bound = element("Observation.status", binding={"strength": "required", "valueSet": "urn:uuid:vs"})
    codes = {
        "resourceType": "ValueSet",
        "url": "urn:uuid:vs",
        "compose": {"include": [{"system": "http://hl7.org/fhir/observation-status", "concept": [{"code": "final"}]}]},
    }
    checked = Checked(profile("p", "Observation", bound), codes)
    assert checked.texts(resource("Observation")) == []
    [issue] = checked.issues(resource("Observation") | {"status": "amended"})
    assert (issue.code, issue.expression, issue.profile) == ("code-invalid", ("Observation.status",), BASE + "p")


def test_a_constraint_that_a_profile_adds_is_tested():
    rule = {"key": "p-1", "severity": "error", "human": "h", "expression": "value.exists() or component.exists()"}
    found = Checked(
        profile(
            "p",
            "Observation",
            element("Observation.note", constraint=[]),
        )
    ).issues(resource("Observation"))
    assert found == []
    body = profile("p", "Observation")
    body["differential"]["element"][0]["constraint"] = [rule]
    checked = Checked(body)
    assert checked.issues(resource("Observation", valueString="a")) == []
    [issue] = checked.issues(resource("Observation"))
    assert (issue.rule, issue.code) == ("p-1", "invariant")


def test_a_constraint_on_a_primitive_is_tested():
    rule = {"key": "p-1", "severity": "error", "human": "h", "expression": "$this.length() < 3"}
    elements = [element("Patient.name.family", constraint=[rule])]
    assert texts(resource("Patient", name=[{"family": "Li"}]), *elements, kind="Patient") == []
    assert len(texts(resource("Patient", name=[{"family": "Nguyen"}]), *elements, kind="Patient")) == 1


def test_a_warning_is_only_told_at_full_depth():
    body = profile("p", "Patient")
    body["differential"]["element"][0]["constraint"] = [
        {"key": "p-1", "severity": "warning", "human": "h", "expression": "name.exists()"}
    ]
    for checked, told in ((Checked(body), False), (Checked(body, depth="full"), True)):
        found = checked.validator.validate(resource("Patient"), profiles=[BASE + "p"])
        assert any(i.rule == "p-1" for i in found.issues) is told


def test_a_resource_of_another_type_does_not_meet_a_profile():
    [issue] = Checked(profile("p", "Observation")).issues(resource("Patient"))
    assert issue.text == f"The profile {BASE}p is about Observation, found Patient."


def test_a_profile_on_an_abstract_type_is_met_by_what_specialises_it():
    checked = Checked(profile("p", "DomainResource", element("DomainResource.text", min=1)))
    assert checked.texts(resource("Patient")) == ["Patient: DomainResource.text: at least 1 required, found 0."]


def test_a_profile_that_is_asked_for_and_unknown_is_an_error():
    [issue] = Checked().issues(resource("Patient"), "unknown")
    assert issue.code == "not-found"


def test_a_profile_of_a_profile_says_what_both_say():
    first = profile("first", "Patient", element("Patient.name", min=1))
    second = profile("second", "Patient", element("Patient.gender", min=1), baseDefinition=BASE + "first")
    assert Checked(second, first).texts(resource("Patient")) == [
        "Patient: Patient.name: at least 1 required, found 0.",
        "Patient: Patient.gender: at least 1 required, found 0.",
    ]


def test_a_profile_that_changes_is_compiled_again():
    checked = Checked(profile("p", "Patient"))
    assert checked.texts(resource("Patient")) == []
    checked.definitions.add(profile("p", "Patient", element("Patient.name", min=1)))
    assert len(checked.texts(resource("Patient"))) == 1


def test_a_profile_that_was_unknown_is_applied_once_known():
    checked = Checked()
    assert "not known" in checked.texts(resource("Patient"), "p")[0]
    checked.definitions.add(profile("p", "Patient"))
    assert checked.texts(resource("Patient"), "p") == []


def test_unknown_profiles_are_told_however_many(monkeypatch):
    monkeypatch.setattr("fhir_server.validation.primitive.MEMO_SIZE", 8)
    checked = Checked()
    for number in range(20):
        assert len(checked.texts(resource("Patient"), f"p{number}")) == 1


def test_what_is_missing_in_a_primitive_is_told_at_the_primitive():
    found = texts(
        resource("Patient", birthDate="2000-01-01"), element("Patient.birthDate.extension", min=1), kind="Patient"
    )
    assert found == ["Patient.birthDate: Patient.birthDate.extension: at least 1 required, found 0."]


def test_content_that_an_element_refers_to_follows_the_base():
    elements = [element("Questionnaire.item.text", min=1)]
    inner = {"linkId": "2", "type": "display", "text": "b"}
    body = resource(
        "Questionnaire", status="draft", item=[{"linkId": "1", "type": "group", "text": "a", "item": [inner]}]
    )
    assert texts(body, *elements, kind="Questionnaire") == []
    del inner["text"]
    assert texts(body, *elements, kind="Questionnaire") == []


def test_a_value_must_be_there_where_the_profile_says_so():
    demand = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.mustHaveValue"
    elements = [element("Patient.active", extension=[{"url": demand, "valueBoolean": True}])]
    reason = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    assert texts(resource("Patient", active=True), *elements, kind="Patient") == []
    assert texts(resource("Patient", _active={"extension": [reason]}), *elements, kind="Patient") == [
        "Patient.active: Patient.active must have a value."
    ]


def test_an_extension_may_stand_for_a_value_where_the_profile_says_which():
    demand = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.valueAlternatives"
    reason = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    elements = [element("Patient.active", extension=[{"url": demand, "valueCanonical": reason}])]
    for url, wrong in ((reason, False), ("https://example.org/other", True)):
        body = resource("Patient", _active={"extension": [{"url": url, "valueCode": "unknown"}]})
        assert bool(texts(body, *elements, kind="Patient")) is wrong
