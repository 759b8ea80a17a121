from http import HTTPStatus

import pytest

from fhir_server import errors
from fhir_server.errors import FhirError, NoStore, TooLarge, Unavailable
from fhir_server.rest import failure
from fhir_server.rest.failure import STATUS, nearest, status_of

KINDS = {
    kind
    for module in (errors, failure)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, FhirError)
}


@pytest.mark.parametrize("kind", sorted(KINDS, key=str), ids=lambda kind: kind.__name__)
def test_every_kind_of_failure_has_its_status(kind):
    assert (STATUS[kind] >= HTTPStatus.INTERNAL_SERVER_ERROR) == (kind in {FhirError, NoStore, Unavailable})


def test_a_narrower_kind_has_the_status_of_the_wider():
    class TooDeep(TooLarge):
        pass

    assert status_of(TooDeep("Too deep.")) == STATUS[TooLarge]


def test_what_was_perhaps_meant_is_named():
    assert nearest("Patinet", ["Observation", "Patient"]) == " Did you mean Patient?"
    assert nearest("zzz", ["Observation", "Patient"]) == ""
