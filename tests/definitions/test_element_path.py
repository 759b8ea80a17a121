from fhir_server.definitions.element_path import located, steps_of
from fhir_server.definitions.structure import Element


def element(path, name=None, element_id=None):
    return Element(element_id or path, path, 0, None, slice_name=name)


def places(*elements):
    return [".".join(name + (f":{s}" if s else "") for name, s in steps) for steps, _ in located(elements)]


def test_an_id_is_read_as_steps():
    assert steps_of("Patient.identifier:a/b.system") == (("Patient", None), ("identifier", "a/b"), ("system", None))


def test_the_id_tells_where_an_element_lies():
    given = element("Patient.telecom.system", element_id="Patient.telecom:phone.system")
    assert places(given) == ["Patient.telecom:phone.system"]


def test_without_ids_the_order_tells():
    first = places(
        element("P.a"),
        element("P.a", "x"),
        element("P.a.b"),
        element("P.a.b", "y"),
        element("P.a.b.c"),
        element("P.a.d"),
    )
    assert first == ["P.a", "P.a:x", "P.a:x.b", "P.a:x.b:y", "P.a:x.b:y.c", "P.a:x.d"]
    second = places(element("P.a", "x"), element("P.a", "z"), element("P.a.b"), element("P.e.b"), element("P.a.b"))
    assert second == ["P.a:x", "P.a:z", "P.a:z.b", "P.e.b", "P.a.b"]


def test_an_id_that_does_not_fit_the_path_is_passed_over():
    assert places(element("P.a", "x", "P.a"), element("P.a.b", element_id="other")) == ["P.a:x", "P.a:x.b"]
