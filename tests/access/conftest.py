from collections.abc import Iterator
from typing import Any

import pytest

from tests.access.world import World, country

STORES: dict[str, dict[str, Any]] = {"sqlite": {}}
"""The settings of a server on each kind of store."""


@pytest.fixture(scope="module", params=STORES)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The country, which no test of a module changes."""
    with country(**STORES[request.param]) as made:
        yield made


@pytest.fixture(params=STORES)
def changing(request: pytest.FixtureRequest) -> Iterator[World]:
    """A country for one test, which may change it."""
    with country(**STORES[request.param]) as made:
        yield made
