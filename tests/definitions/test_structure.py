from fhir_server.definitions.structure import (
    Binding,
    Constraint,
    Discriminator,
    Slicing,
    TypedValue,
    TypeRef,
    element_from,
    structure_from,
)

PROFILE_ELEMENT = "http://hl7.org/fhir/StructureDefinition/elementdefinition-profile-element"
MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
REGEX = "http://hl7.org/fhir/StructureDefinition/regex"
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"


def element(**members):
    return element_from({"path": "A.b"} | members, "http://example.org/a")


def test_a_differential_tells_what_it_leaves_open():
    bare = element()
    assert (bare.id, bare.min, bare.max, bare.has_max, bare.types) == ("A.b", None, None, False, ())
    assert (element(max="*").max, element(max="*").has_max) == (None, True)
    assert (element(max="3").max, element(max="0").max) == (3, 0)


def test_fixed_and_pattern_values_keep_their_type():
    assert element(fixedCode="a").fixed == TypedValue("code", "a")
    assert element(fixedBase64Binary="").fixed == TypedValue("base64Binary", "")
    assert element(patternCodeableConcept={"text": "a"}).pattern == TypedValue("CodeableConcept", {"text": "a"})
    assert element(minValueInteger=0, maxValueInteger=9).min_value == TypedValue("integer", 0)
    assert element(patternless=1).pattern is None


def test_types_profiles_and_targets():
    reference = {"code": "Reference", "targetProfile": ["t"], "aggregation": ["contained"], "versioning": "either"}
    assert element(type=[reference]).types == (TypeRef("Reference", (), ("t",), ("contained",), "either"),)
    inner = {"extension": [{"url": PROFILE_ELEMENT, "valueString": "A.c:d"}]}
    named = {"code": "BackboneElement", "profile": ["p", "q"], "_profile": [None, inner]}
    assert element(type=[named]).types[0].profiles == ("p", "q#A.c:d")


def test_system_types_become_the_types_of_fhir():
    system = "http://hl7.org/fhirpath/System.String"
    told = {"code": system, "extension": [{"url": FHIR_TYPE, "valueUrl": "uri"}]}
    assert element(type=[told]).types == (TypeRef("uri"),)
    assert element(type=[{"code": system}]).types == (TypeRef("string"),)
    assert element(path="string.value", type=[told]).types == (TypeRef(system),)


def test_bindings_slicing_and_constraints():
    bound = {"url": MAX_VALUE_SET, "valueCanonical": "m"}
    assert element(binding={"strength": "preferred", "valueSet": "v", "extension": [bound]}).binding == Binding(
        "preferred", "v", "m"
    )
    slicing = {"discriminator": [{"type": "value", "path": "url"}], "rules": "closed", "ordered": True}
    assert element(slicing=slicing).slicing == Slicing((Discriminator("value", "url"),), "closed", ordered=True)
    said = {"key": "k", "severity": "error", "human": "-", "expression": "true"}
    assert element(constraint=[said]).constraints == (Constraint("k", "error", "true", "http://example.org/a"),)
    assert element(constraint=[said | {"source": "s"}]).constraints[0].source == "s"
    assert element(constraint=[{"key": "k", "severity": "error", "human": "by eye"}]).constraints == ()


def test_the_regular_expression_of_a_primitive_stands_on_its_type():
    assert element(type=[{"code": "string", "extension": [{"url": REGEX, "valueString": "a+"}]}]).regex == "a+"


def test_a_structure_of_another_publisher_keeps_its_type_in_full():
    body = {"url": "http://example.org/m", "type": "http://example.org/m", "kind": "logical"}
    assert structure_from(body).type == "http://example.org/m"
    assert structure_from(body | {"type": "http://hl7.org/fhir/StructureDefinition/Patient"}).type == "Patient"
