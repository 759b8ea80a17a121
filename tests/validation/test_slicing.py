import pytest

from tests.validation.profiled import BASE, Checked, coded, element, extension, profile, resource, sliced

SYSTEM = "http://terminology.hl7.org/CodeSystem/observation-category"


def component(code, **value):
    return {"code": coded(code), **value}


def by_code(rules="open", **more):
    """Components divided by code: `a` is required once, `b` may be there twice."""
    return profile(
        "p",
        "Observation",
        sliced("Observation.component", "pattern", "code", rules, **more),
        element("Observation.component:a", min=1, max="1"),
        element("Observation.component:a.code", patternCodeableConcept=coded("1-1")),
        element("Observation.component:a.value[x]", min=1, type=[{"code": "Quantity"}]),
        element("Observation.component:b", max="2"),
        element("Observation.component:b.code", patternCodeableConcept=coded("2-2")),
    )


A = component("1-1", valueQuantity={"value": 1})
B = component("2-2")
OTHER = component("9-9")


def test_each_item_is_looked_at_by_its_slice():
    checked = Checked(by_code())
    assert checked.texts(resource("Observation", component=[OTHER, B, A])) == []
    found = checked.texts(resource("Observation", component=[component("1-1", valueString="a")]))
    assert found == [
        (
            "Observation.component[0].value.ofType(string): "
            "Observation.component:a.value[x] must be of type Quantity, found string."
        )
    ]


def test_a_slice_that_is_required_is_missed():
    found = Checked(by_code()).texts(resource("Observation", component=[B]))
    assert found == ["Observation: Slice Observation.component:a: a matching item is required and missing (minimum 1)."]


def test_a_slice_is_bounded():
    found = Checked(by_code()).texts(resource("Observation", component=[A, B, B, B]))
    assert found == ["Observation.component: Slice Observation.component:b: at most 2 may be there, found 3."]


def test_a_closed_slicing_takes_no_other():
    found = Checked(by_code("closed")).texts(resource("Observation", component=[A, OTHER]))
    assert found == [
        (
            "Observation.component[1]: This item matches none of the slices Observation.component:a, "
            "Observation.component:b, and no other is allowed."
        )
    ]


def test_others_stand_last_in_a_slicing_that_is_open_at_its_end():
    checked = Checked(by_code("openAtEnd"))
    assert checked.texts(resource("Observation", component=[B, A, OTHER])) == []
    assert checked.texts(resource("Observation", component=[OTHER, A])) == [
        (
            "Observation.component[1]: An item of the slice Observation.component:a is out of order: "
            "it stands after items of no slice."
        )
    ]


def test_the_slices_of_an_ordered_slicing_stand_in_their_order():
    checked = Checked(by_code(ordered=True))
    assert checked.texts(resource("Observation", component=[OTHER, A, OTHER, B])) == []
    assert checked.texts(resource("Observation", component=[B, A])) == [
        (
            "Observation.component[1]: An item of the slice Observation.component:a is out of order: "
            "it stands after Observation.component:b."
        )
    ]


def test_an_item_belongs_to_one_slice_only():
    both = {"code": {"coding": [*coded("1-1")["coding"], *coded("2-2")["coding"]]}, "valueQuantity": {"value": 1}}
    found = Checked(by_code()).texts(resource("Observation", component=[both]))
    assert found == [
        (
            "Observation.component[0]: This item matches more than one slice: "
            "Observation.component:a, Observation.component:b."
        )
    ]


@pytest.mark.parametrize(
    ("kind", "path", "facet"),
    [
        ("value", "code.coding.code", {"Observation.component:a.code.coding.code": {"fixedCode": "1-1"}}),
        ("value", "code", {"Observation.component:a.code": {"fixedCodeableConcept": coded("1-1")}}),
        ("value", "code.coding", {"Observation.component:a.code.coding": {"patternCoding": coded("1-1")["coding"][0]}}),
        ("pattern", "$this.code", {"Observation.component:a.code": {"patternCodeableConcept": coded("1-1")}}),
        ("pattern", "$this", {"Observation.component:a": {}}),
        ("value", "code", {"Observation.component:a.code.coding.code": {"fixedCode": "1-1"}}),
    ],
)
def test_a_value_tells_a_slice(kind, path, facet):
    slice_min = element("Observation.component:a", min=1)
    rest = [element(i, **f) for i, f in facet.items() if i != "Observation.component:a"]
    if path == "$this":
        rest = [element("Observation.component:a.code", patternCodeableConcept=coded("1-1"))]
    checked = Checked(profile("p", "Observation", sliced("Observation.component", kind, path), slice_min, *rest))
    assert checked.texts(resource("Observation", component=[A])) == []
    assert len(checked.texts(resource("Observation", component=[B]))) == 1


def test_what_is_more_than_fixed_is_wrong_in_its_slice():
    checked = Checked(
        profile(
            "p",
            "Observation",
            sliced("Observation.component", "value", "code"),
            element("Observation.component:a", max="1"),
            element("Observation.component:a.code", fixedCodeableConcept=coded("1-1")),
        )
    )
    [issue] = checked.issues(resource("Observation", component=[{"code": coded("1-1") | {"text": "a"}}]))
    assert issue.text == "The value does not match what is fixed here: text is not in the fixed value."


def test_several_discriminators_decide_together():
    slicing = {
        "discriminator": [{"type": "value", "path": "system"}, {"type": "value", "path": "use"}],
        "rules": "closed",
    }
    checked = Checked(
        profile(
            "p",
            "Patient",
            element("Patient.telecom", slicing=slicing),
            element("Patient.telecom:work", max="1"),
            element("Patient.telecom:work.system", fixedCode="phone"),
            element("Patient.telecom:work.use", fixedCode="work"),
        )
    )
    assert checked.texts(resource("Patient", telecom=[{"system": "phone", "use": "work", "value": "1"}])) == []
    assert len(checked.texts(resource("Patient", telecom=[{"system": "phone", "use": "home", "value": "1"}]))) == 1


def test_a_discriminator_that_says_nothing_of_a_slice_is_left_out():
    slicing = {
        "discriminator": [{"type": "value", "path": "system"}, {"type": "value", "path": "use"}],
        "rules": "closed",
    }
    checked = Checked(
        profile(
            "p",
            "Patient",
            element("Patient.telecom", slicing=slicing),
            element("Patient.telecom:phone"),
            element("Patient.telecom:phone.system", patternCode="phone"),
        )
    )
    assert checked.texts(resource("Patient", telecom=[{"system": "phone", "use": "home", "value": "1"}])) == []


def test_a_slicing_by_nothing_cannot_be_applied():
    checked = Checked(
        profile("p", "Patient", sliced("Patient.name", "value", "text"), element("Patient.name:a", max="1"))
    )
    assert checked.texts(resource("Patient")) == []
    [issue] = checked.issues(resource("Patient", name=[{"text": "a"}]))
    assert issue.code == "processing"


def test_existence_tells_slices():
    checked = Checked(
        profile(
            "p",
            "Patient",
            sliced("Patient.contact", "exists", "gender", "closed"),
            element("Patient.contact:known", max="1"),
            element("Patient.contact:known.gender", min=1),
            element("Patient.contact:unknown", max="1"),
            element("Patient.contact:unknown.gender", max="0"),
        )
    )
    known, unknown = {"gender": "male", "name": {"text": "a"}}, {"name": {"text": "b"}}
    assert checked.texts(resource("Patient", contact=[known, unknown])) == []
    assert len(checked.texts(resource("Patient", contact=[known, known]))) == 1


def test_a_required_binding_tells_a_slice():
    codes = {
        "resourceType": "ValueSet",
        "url": "urn:uuid:vs",
        "compose": {"include": [{"system": SYSTEM, "concept": [{"code": "exam"}, {"code": "survey"}]}]},
    }
    checked = Checked(
        profile(
            "p",
            "Observation",
            sliced("Observation.category", "value", "$this"),
            element("Observation.category:a", min=1, binding={"strength": "required", "valueSet": "urn:uuid:vs"}),
        ),
        codes,
    )
    assert checked.texts(resource("Observation", category=[coded("exam", SYSTEM)])) == []
    assert len(checked.texts(resource("Observation", category=[coded("laboratory", SYSTEM)]))) == 1


def test_a_slice_that_hangs_on_an_unknown_value_set_is_left_alone():
    checked = Checked(
        profile(
            "p",
            "Observation",
            sliced("Observation.category", "value", "$this", "closed"),
            element("Observation.category:a", min=1, binding={"strength": "required", "valueSet": "urn:uuid:unknown"}),
        )
    )
    assert checked.texts(resource("Observation", category=[coded("exam", SYSTEM)])) == []


def test_a_type_tells_the_slices_of_a_choice():
    checked = Checked(
        profile(
            "p",
            "Observation",
            sliced("Observation.value[x]", "type", "$this", "closed"),
            element("Observation.value[x]:valueQuantity", min=1, type=[{"code": "Quantity"}]),
            element("Observation.value[x]:valueQuantity.unit", min=1),
        )
    )
    assert checked.texts(resource("Observation", valueQuantity={"value": 1, "unit": "g"})) == []
    assert len(checked.texts(resource("Observation", valueQuantity={"value": 1}))) == 1
    assert len(checked.texts(resource("Observation", valueString="a"))) == 2


def test_the_type_of_a_choice_below_tells_slices():
    checked = Checked(
        profile(
            "p",
            "Communication",
            sliced("Communication.payload", "type", "content", "closed"),
            element("Communication.payload:text", max="1"),
            element("Communication.payload:text.content[x]", type=[{"code": "string"}]),
        )
    )
    body = resource("Communication", status="completed", payload=[{"contentString": "a"}])
    assert checked.texts(body) == []
    body["payload"].append({"contentAttachment": {"title": "b"}})
    assert len(checked.texts(body)) == 1


def test_the_type_of_what_a_reference_names_tells_slices():
    checked = Checked(
        profile(
            "p",
            "List",
            sliced("List.entry", "type", "item.resolve()", "closed"),
            element("List.entry:conditions", min=1),
            element("List.entry:conditions.item", type=[target("Condition")]),
        )
    )
    inside = {"resourceType": "Condition", "id": "c", "subject": {"display": "s"}}
    assert checked.texts(resource("List", contained=[inside], entry=[{"item": {"reference": "#c"}}])) == []
    assert checked.texts(resource("List", entry=[{"item": {"reference": "Condition/1"}}])) == []
    assert len(checked.texts(resource("List", entry=[{"item": {"reference": "Patient/1"}}]))) == 2


def target(*kinds):
    return {"code": "Reference", "targetProfile": [f"http://hl7.org/fhir/StructureDefinition/{k}" for k in kinds]}


def test_a_profile_tells_the_entries_of_a_bundle():
    named = profile("named", "Patient", element("Patient.name", min=1))
    bundle = profile(
        "p",
        "Bundle",
        sliced("Bundle.entry", "profile", "resource", "closed"),
        element("Bundle.entry:named", min=1, max="1"),
        element("Bundle.entry:named.resource", min=1, type=[{"code": "Patient", "profile": [BASE + "named"]}]),
    )
    checked = Checked(bundle, named)
    patient = {"resourceType": "Patient", "name": [{"text": "a"}]}
    assert checked.texts(resource("Bundle", entry=[entry(patient)])) == []
    assert len(checked.texts(resource("Bundle", entry=[entry({"resourceType": "Patient", "active": True})]))) == 2


def entry(body):
    return {"fullUrl": "urn:uuid:8d1b1c2e-54b2-4b1e-9a6d-b2c1f1c1a001", "resource": body}


def test_the_url_tells_extensions_without_being_said():
    ward = extension("ward", element("Extension.value[x]", type=[{"code": "string"}]), context=["Encounter"])
    checked = Checked(
        profile(
            "p",
            "Encounter",
            element("Encounter.extension:ward", min=1, type=[{"code": "Extension", "profile": [BASE + "ward"]}]),
        ),
        ward,
    )
    body = {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}}
    assert len(checked.texts(body)) == 1
    assert checked.texts(body | {"extension": [{"url": BASE + "ward", "valueString": "3"}]}) == []


def test_an_extension_tells_slices():
    checked = Checked(
        profile(
            "p",
            "Patient",
            sliced("Patient.name", "value", "extension('urn:kind').value", "closed"),
            element("Patient.name:legal"),
            element("Patient.name:legal.extension:kind", min=1),
            element("Patient.name:legal.extension:kind.url", fixedUri="urn:kind"),
            element("Patient.name:legal.extension:kind.value[x]", fixedCode="legal", type=[{"code": "code"}]),
        )
    )
    kind = {"url": "urn:kind", "valueCode": "legal"}
    name = {"text": "a", "extension": [kind]}
    assert checked.texts(resource("Patient", name=[name])) == []
    kind["valueCode"] = "other"
    assert len(checked.texts(resource("Patient", name=[name]))) == 1


def test_a_path_may_name_one_type_of_a_choice():
    checked = Checked(
        profile(
            "p",
            "Observation",
            sliced("Observation.component", "pattern", "value.ofType(CodeableConcept)", "closed"),
            element("Observation.component:a"),
            element("Observation.component:a.value[x]", type=[{"code": "CodeableConcept"}]),
            element("Observation.component:a.value[x]", patternCodeableConcept=coded("1-1")),
        )
    )
    assert checked.texts(resource("Observation", component=[component("5-5", valueCodeableConcept=coded("1-1"))])) == []
    assert len(checked.texts(resource("Observation", component=[component("5-5", valueString="a")]))) == 1


def test_slices_are_divided_again():
    checked = Checked(
        profile(
            "p",
            "Patient",
            sliced("Patient.telecom", "value", "system"),
            sliced("Patient.telecom:phone", "value", "use", "closed"),
            element("Patient.telecom:phone.system", fixedCode="phone"),
            element("Patient.telecom:phone/home", max="1"),
            element("Patient.telecom:phone/home.use", fixedCode="home"),
        )
    )
    home, mobile, mail = ({"system": "phone", "use": u, "value": "1"} for u in ("home", "mobile", "home"))
    mail["system"] = "email"
    assert checked.texts(resource("Patient", telecom=[home, mail, mail])) == []
    assert len(checked.texts(resource("Patient", telecom=[home, home]))) == 1
    assert len(checked.texts(resource("Patient", telecom=[mobile]))) == 1


def test_the_default_slice_takes_what_no_other_takes():
    checked = Checked(
        profile(
            "p",
            "Observation",
            sliced("Observation.component", "pattern", "code", "closed"),
            element("Observation.component:a"),
            element("Observation.component:a.code", patternCodeableConcept=coded("1-1")),
            element("Observation.component:@default", max="1"),
            element("Observation.component:@default.value[x]", min=1),
        )
    )
    assert checked.texts(resource("Observation", component=[A, component("9-9", valueString="a")])) == []
    assert len(checked.texts(resource("Observation", component=[A, OTHER]))) == 1


def test_primitives_are_divided_by_their_value():
    checked = Checked(
        profile(
            "p",
            "Patient",
            sliced("Patient.name.given", "value", "$this", "closed"),
            element("Patient.name.given:a", patternString="An"),
        )
    )
    assert checked.texts(resource("Patient", name=[{"given": ["An"]}])) == []
    [issue] = checked.issues(resource("Patient", name=[{"given": ["An", "Binh"]}]))
    assert issue.expression == ("Patient.name[0].given[1]",)
