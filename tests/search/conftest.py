"""The rows of one parameter, as most tests of extraction want them."""

from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.search.index import Indexer
from fhir_server.search.row import FACETS


@pytest.fixture(scope="session")
def indexer() -> Indexer:
    """An indexer of the R4 core, whose own base URL is http://own/fhir."""
    return Indexer(r4(), bases=["http://own/fhir/"])


@pytest.fixture(scope="session")
def cells(indexer: Indexer) -> Callable[[dict[str, Any], str], set[tuple[Any, ...]]]:
    """Facet and columns of the rows of a resource for the parameter of a code."""

    def read(resource: dict[str, Any], code: str) -> set[tuple[Any, ...]]:
        number = indexer.parameters.of(resource["resourceType"])[code].number
        rows = indexer.rows(resource)
        return {(row[0] - number, *row[1:]) for row in rows if number <= row[0] < number + FACETS}

    return read
