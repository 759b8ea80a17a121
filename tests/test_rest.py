from collections.abc import Iterator
from http import HTTPStatus

import pytest

from fhir_server.errors import FhirError
from fhir_server.rest import STATUS


def kinds(kind: type[FhirError]) -> Iterator[type[FhirError]]:
    yield kind
    for narrower in kind.__subclasses__():
        if narrower.__module__ == FhirError.__module__:
            yield from kinds(narrower)


@pytest.mark.parametrize("kind", list(kinds(FhirError)), ids=lambda kind: kind.__name__)
def test_every_kind_of_failure_has_its_status(kind):
    assert (STATUS[kind] >= HTTPStatus.INTERNAL_SERVER_ERROR) == (kind.__name__ in ("FhirError", "Unsupported"))
