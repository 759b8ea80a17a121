from fhir_server.definitions.element_body import element_body
from fhir_server.definitions.registry import r4
from fhir_server.definitions.structure import element_from


def test_every_element_of_the_core_is_read_back_as_it_was():
    for url in r4().structures():
        structure = r4().structure(url)
        assert structure is not None
        for element in structure.elements:
            assert element_from(element_body(element), url) == element
