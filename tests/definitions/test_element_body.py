from fhir_server.definitions.element_body import element_body
from fhir_server.definitions.registry import r4
from fhir_server.definitions.structure import Element, TypeRef, element_from


def test_every_element_of_the_core_is_read_back_as_it_was():
    for url in r4().structures():
        structure = r4().structure(url)
        assert structure is not None
        for element in structure.elements:
            assert element_from(element_body(element), url) == element


def test_what_extensions_say_is_read_back_too():
    element = Element(
        "A.b", "A.b", 0, None, types=(TypeRef("B", ("p", "q#A.c")),), regex="a+", must_have_value=True,
        value_alternatives=("v", "w"), narrative_languages=("vi",),
    )  # fmt: skip
    assert element_from(element_body(element), "u") == element
