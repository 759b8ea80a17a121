from collections.abc import Iterator
from typing import Any

import pytest

from tests.access.world import World, country

STORES = ("sqlite", "mongodb")


@pytest.fixture(scope="module", params=STORES)
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What makes a server on each kind of store."""
    return {"mongodb": request.getfixturevalue("mongodb")} if request.param == "mongodb" else {}


@pytest.fixture(scope="module")
def world(settings: dict[str, Any]) -> Iterator[World]:
    """The country, which no test of a module changes."""
    with country(**settings) as made:
        yield made
