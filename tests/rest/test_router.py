import pytest

from fhir_server.errors import Invalid, NotFound
from fhir_server.interactions.routes import ROUTES
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.failure import MethodNotAllowed
from fhir_server.rest.router import Router

TYPES = frozenset({"Patient", "Observation", "Binary"})


@pytest.fixture(scope="module")
def router():
    return Router(ROUTES, TYPES)


def exchange(method, path):
    return Exchange(method, tuple(path.split("/")) if path else ())


@pytest.mark.parametrize(
    ("method", "path", "interaction"),
    [
        ("GET", "metadata", "capabilities"),
        ("GET", "", "search-system"),
        ("POST", "", "batch"),
        ("GET", "Patient", "search-type"),
        ("POST", "Patient", "create"),
        ("POST", "Patient/_search", "search-type"),
        ("GET", "Patient/1", "read"),
        ("HEAD", "Patient/1", "read"),
        ("GET", "Patient/1/_history", "history-instance"),
        ("GET", "Patient/1/_history/2", "vread"),
        ("GET", "Patient/1/Observation", "search-compartment"),
        ("GET", "Patient/1/*", "search-compartment"),
        ("PATCH", "Patient", "patch"),
    ],
)
def test_a_path_leads_to_its_interaction(router, method, path, interaction):
    assert router.find(exchange(method, path)).interaction == interaction


def test_what_a_path_says_is_told(router):
    asked = exchange("GET", "Patient/a.b-1/_history/7")
    router.find(asked)
    assert (asked.type, asked.id, asked.version) == ("Patient", "a.b-1", "7")


def test_a_route_of_some_types_goes_before_one_of_all(router):
    of_binary = router.find(exchange("GET", "Binary/1"))
    assert of_binary.types == ("Binary",)
    assert router.find(exchange("GET", "Patient/1")).types == ()


@pytest.mark.parametrize(
    ("method", "path", "failure", "says"),
    [
        ("GET", "Patinet/1", NotFound, "Did you mean Patient?"),
        ("GET", "$export", NotFound, "$export"),
        ("GET", "Patient/1/Patinet", NotFound, "Did you mean Patient?"),
        ("GET", "Observation/1/Patient", NotFound, "Device, Encounter, Patient"),
        ("GET", "Patient/ö", Invalid, "64 letters"),
        ("GET", "Patient//", Invalid, "64 letters"),
        ("DELETE", "Patient/1/_history", MethodNotAllowed, "takes GET"),
    ],
)
def test_what_does_not_exist_is_told_with_what_does(router, method, path, failure, says):
    with pytest.raises(failure, match=says.replace("$", r"\$").replace("?", r"\?")):
        router.find(exchange(method, path))
