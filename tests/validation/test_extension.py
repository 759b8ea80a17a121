import pytest

from fhir_server.definitions.structure import TYPE_URL
from tests.validation.profiled import BASE, Checked, element, extension, resource

NO_PARTS = element("Extension.extension", max="0")


def text_extension(**more):
    return extension("e", NO_PARTS, element("Extension.value[x]", min=1, type=[{"code": "string"}]), **more)


def used(value="valueString", url=BASE + "e"):
    return {"url": url, value: "a" if value == "valueString" else True}


def misplaced(*contexts, **members):
    """Whether an extension with these contexts may not stand where it does."""
    found = Checked(text_extension(context=contexts)).issues(resource("Patient", **members))
    assert all(i.text.startswith(f"The extension {BASE}e is not allowed on ") for i in found)
    return bool(found)


def test_an_unknown_extension_is_allowed():
    assert Checked().texts(resource("Patient", extension=[used()])) == []


def test_the_url_of_an_extension_is_absolute():
    assert Checked().texts(resource("Patient", extension=[used(url="e")])) == [
        "Patient.extension[0].url: The url of an extension must be absolute, found 'e'."
    ]


def test_the_parts_of_an_extension_may_have_relative_urls():
    parts = [used(url="a"), used(url="b")]
    assert Checked().texts(resource("Patient", extension=[{"url": BASE + "whole", "extension": parts}])) == []


def test_a_value_must_be_of_the_type_defined():
    assert Checked(text_extension()).texts(resource("Patient", extension=[used("valueBoolean")])) == [
        "Patient.extension[0].value.ofType(boolean): Extension.value[x] must be of type string, found boolean."
    ]


def test_a_value_must_be_there():
    inner = {"url": BASE + "e", "extension": [used(url="a")]}
    found = Checked(text_extension()).texts(resource("Patient", extension=[inner]))
    assert found == [
        "Patient.extension[0].extension: Extension.extension is not allowed here.",
        "Patient.extension[0]: Extension.value[x]: at least 1 required, found 0.",
    ]


def test_a_value_has_what_its_definition_asks():
    bound = element("Extension.value[x]", type=[{"code": "code"}], binding={"strength": "required", "valueSet": GENDER})
    checked = Checked(extension("e", NO_PARTS, bound))
    assert checked.texts(resource("Patient", extension=[{"url": BASE + "e", "valueCode": "male"}])) == []
    assert len(checked.texts(resource("Patient", extension=[{"url": BASE + "e", "valueCode": "x"}]))) == 1


GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"


def whole():
    return extension(
        "e",
        element("Extension.extension:street", min=1, max="1"),
        element("Extension.extension:street.url", fixedUri="street"),
        element("Extension.extension:street.value[x]", min=1, type=[{"code": "string"}]),
        element("Extension.extension:floor", max="1"),
        element("Extension.extension:floor.url", fixedUri="floor"),
        element("Extension.extension:floor.value[x]", type=[{"code": "integer"}]),
        element("Extension.value[x]", max="0"),
    )


@pytest.mark.parametrize(
    ("parts", "count"),
    [
        ([{"url": "street", "valueString": "a"}], 0),
        ([{"url": "street", "valueString": "a"}, {"url": "floor", "valueInteger": 1}], 0),
        ([{"url": "floor", "valueInteger": 1}], 1),
        ([{"url": "street", "valueString": "a"}] * 2, 1),
        ([{"url": "street", "valueBoolean": True}], 1),
        ([{"url": "street", "valueString": "a"}, {"url": "house", "valueInteger": 1}], 1),
        ([{"url": "street", "valueString": "a"}, {"url": "urn:other", "valueInteger": 1}], 0),
    ],
)
def test_a_complex_extension_has_the_parts_defined(parts, count):
    body = resource("Patient", extension=[{"url": BASE + "e", "extension": parts}])
    assert len(Checked(whole()).texts(body)) == count


@pytest.mark.parametrize("context", ["Patient", "DomainResource", "Resource", "Element"])
def test_a_context_may_be_the_resource_or_what_it_specialises(context):
    assert not misplaced(context, extension=[used()])


@pytest.mark.parametrize("context", ["Observation", "Patient.contact", "HumanName", "BackboneElement"])
def test_other_contexts_do_not_allow_a_resource(context):
    assert misplaced(context, extension=[used()])


@pytest.mark.parametrize(
    ("context", "allowed"),
    [
        ("HumanName", True),
        ("Patient.name", True),
        ("Element", True),
        ("Patient", False),
        ("Patient.contact.name", False),
        ("Address", False),
        ("Practitioner.name", False),
    ],
)
def test_a_datatype_is_allowed_by_its_name_or_its_path(context, allowed):
    assert misplaced(context, name=[{"text": "a", "extension": [used()]}]) is not allowed


@pytest.mark.parametrize(
    ("context", "allowed"),
    [
        ("BackboneElement", True),
        ("Patient.contact", True),
        ("Patient.communication", False),
        ("DomainResource", False),
    ],
)
def test_a_backbone_is_allowed_by_its_path_or_as_such(context, allowed):
    assert misplaced(context, contact=[{"name": {"text": "a"}, "extension": [used()]}]) is not allowed


@pytest.mark.parametrize(
    ("context", "allowed"),
    [
        ("HumanName.given", True),
        ("Patient.name.given", True),
        ("string", True),
        ("Element", True),
        ("HumanName.family", False),
        ("Practitioner.name.given", False),
        ("Patient.name", False),
        ("code", False),
    ],
)
def test_a_primitive_is_allowed_by_its_type_or_its_path(context, allowed):
    name = {"given": ["a", "b"], "_given": [None, {"extension": [used()]}]}
    assert misplaced(context, name=[name]) is not allowed


def test_a_primitive_of_the_resource_is_allowed_by_its_path():
    members = {"birthDate": "2000", "_birthDate": {"extension": [used()]}}
    assert not misplaced("Patient.birthDate", **members)
    assert misplaced("Patient.deceased[x]", **members)


@pytest.mark.parametrize("context", ["Patient.deceased[x]", "Patient.deceased", "Patient.deceasedBoolean", "boolean"])
def test_a_choice_is_allowed_by_any_of_its_names(context):
    assert not misplaced(context, deceasedBoolean=False, _deceasedBoolean={"extension": [used()]})


def test_an_element_of_an_abstract_type_allows_that_of_its_resources():
    narrative = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'}
    assert not misplaced("DomainResource.text", text=narrative | {"extension": [used()]})


def test_content_that_refers_to_itself_is_told_by_its_place():
    inner = {"linkId": "2", "type": "display", "extension": [used()]}
    item = {"linkId": "1", "type": "group", "item": [inner]}
    body = resource("Questionnaire", status="draft", item=[item])
    assert Checked(text_extension(context=["Questionnaire.item.item"])).texts(body) == []
    del inner["extension"]
    item["extension"] = [used()]
    assert len(Checked(text_extension(context=["Questionnaire.item.item"])).texts(body)) == 1
    assert Checked(text_extension(context=["Questionnaire.item"])).texts(body) == []


def test_an_extension_may_stand_on_another():
    outer = {"url": "urn:outer", "extension": [used()]}
    assert not misplaced(("extension", "urn:outer"), extension=[outer])
    assert misplaced(("extension", "urn:other"), extension=[outer])
    assert misplaced("Patient", extension=[outer])
    value = {"url": "urn:outer", "valueBoolean": True, "_valueBoolean": {"extension": [used()]}}
    assert misplaced(("extension", "urn:outer"), extension=[value])


def test_an_expression_may_select_the_element():
    context = ("fhirpath", "Patient.address.where(use = 'home')")
    assert not misplaced(context, address=[{"use": "home", "extension": [used()]}])
    assert misplaced(context, address=[{"use": "work", "extension": [used()]}])
    line = {"use": "home", "line": ["a"], "_line": [{"extension": [used()]}]}
    assert not misplaced(("fhirpath", "Patient.address.line"), address=[line])


def test_a_contained_resource_is_a_resource_of_its_own():
    inside = {"resourceType": "Organization", "id": "o", "name": "n", "extension": [used()]}
    members = {"contained": [inside], "managingOrganization": {"reference": "#o"}}
    assert not misplaced("Organization", **members)
    assert misplaced("Patient", **members)


def test_a_modifier_stands_where_modifiers_stand():
    root = element("Extension", isModifier=True, isModifierReason="r")
    definition = text_extension()
    definition["differential"]["element"][0] = root
    checked = Checked(definition)
    assert checked.texts(resource("Patient", modifierExtension=[used()])) == []
    [issue] = checked.issues(resource("Patient", extension=[used()]))
    assert "must stand in modifierExtension" in issue.text
    [issue] = Checked(text_extension()).issues(resource("Patient", modifierExtension=[used()]))
    assert "must stand in extension" in issue.text


def test_an_invariant_of_the_context_is_tested():
    checked = Checked(text_extension(context=["Patient"], contextInvariant=["gender = 'male' and %extension.exists()"]))
    assert checked.texts(resource("Patient", gender="male", extension=[used()])) == []
    [issue] = checked.issues(resource("Patient", gender="female", extension=[used()]))
    assert issue.code == "invariant"


@pytest.mark.parametrize(
    ("item", "count"),
    [({"required": True}, 1), ({}, 0), ({"required": True}, 0), ({}, 1)],
)
def test_an_invariant_may_ask_for_the_value_of_the_extension(item, count):
    least = {"url": TYPE_URL + "questionnaire-minOccurs", "valueInteger": count}
    asked = {"linkId": "1", "type": "string", "text": "a", "extension": [least], **item}
    found = Checked().issues(resource("Questionnaire", status="draft", item=[asked]))
    assert bool(found) is (not item and count == 1)


def test_a_definition_that_comes_later_is_applied():
    checked = Checked()
    body = resource("Patient", extension=[used("valueBoolean")])
    assert checked.texts(body) == []
    checked.definitions.add(text_extension())
    assert len(checked.texts(body)) == 1


def test_a_definition_that_changes_is_applied():
    checked = Checked(text_extension())
    body = resource("Patient", extension=[used("valueBoolean")])
    assert len(checked.texts(body)) == 1
    boolean = element("Extension.value[x]", min=1, type=[{"code": "boolean"}])
    checked.definitions.add(extension("e", NO_PARTS, boolean))
    assert checked.texts(body) == []


@pytest.mark.parametrize("url", ["", 5, None, ["a"], {"a": 1}])
def test_an_extension_of_any_shape_is_looked_at(url):
    assert Checked(text_extension()).issues(resource("Patient", extension=[{"url": url, "valueString": "a"}]))


def test_the_core_defines_extensions():
    part = {"url": "latitude", "valueDecimal": 10.8}
    place = {"url": TYPE_URL + "geolocation", "extension": [part]}
    found = Checked().texts(resource("Patient", address=[{"extension": [place]}]))
    assert found == [
        (
            "Patient.address[0].extension[0]: "
            "Slice Extension.extension:longitude: a matching item is required and missing (minimum 1)."
        )
    ]
    assert Checked().texts(resource("Patient", name=[{"extension": [place]}]))
