from fhir_server.definitions.code_system import Designation, code_system_from


def test_concepts_know_what_is_right_above_them():
    system = code_system_from({"url": "u", "concept": [
        {"code": "a", "concept": [{"code": "b", "display": "B"}]},
        {"code": "c", "concept": [{"code": "b"}], "property": [{"code": "parent", "valueCode": "a"}]},
    ]})  # fmt: skip
    assert {code: concept.parents for code, concept in system.concepts.items()} == {
        "a": (),
        "b": ("a", "c"),
        "c": ("a",),
    }
    assert system.concepts["b"].display == "B"


def test_properties_and_designations_are_plain_values():
    concept = {
        "code": "a",
        "designation": [{"language": "vi", "value": "á"}, {"value": "x"}],
        "property": [{"code": "p", "valueDecimal": 1.5}, {"code": "q", "valueCoding": {"code": "z"}}],
    }
    read = code_system_from({"url": "u", "concept": [concept]}).concepts["a"]
    assert read.designations == (Designation("vi", "á"), Designation(None, "x"))
    assert read.properties == (("p", 1.5), ("q", "z"))


def test_spelling_matters_only_where_the_system_says_so():
    concepts = {"url": "u", "concept": [{"code": "Ab"}, {"code": "AB"}]}
    sensitive, lax = code_system_from(concepts | {"caseSensitive": True}), code_system_from(concepts)
    assert sensitive.concept("ab") is None
    assert lax.concept("ab") is lax.concepts["Ab"]
    assert lax.concept("AB") is lax.concepts["AB"]
    assert lax.concept("x") is None


def test_a_system_that_says_nothing_of_its_content_lists_nothing_for_sure():
    assert code_system_from({"url": "u"}).content == "not-present"
