from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.resource.instant import Clock
from fhir_server.store.protocol import Store
from tests.contracts.resources import PARAMETERS
from tests.contracts.stores import STORES, open_store


@pytest.fixture(params=STORES)
def kind(request) -> str:
    """The kind of store that a test is held against."""
    return str(request.param)


@pytest.fixture
def server(kind, request) -> str | None:
    """The server that a kind of store needs."""
    return request.getfixturevalue("mongodb") if kind == "mongodb" else None


@pytest.fixture
def opened(kind, server, tmp_path) -> Iterator[Any]:
    """Opens the store of this test, each call in the place of one more process."""
    stores: list[Store] = []
    runner = asyncio.Runner()

    def one_more(clock: Clock = time.time) -> Store:
        stores.append(runner.run(open_store(kind, tmp_path, server, clock)))
        return stores[-1]

    one_more.run = runner.run  # type: ignore[attr-defined] # a function with a second way in is enough for tests
    yield one_more
    for store in stores:
        runner.run(store.close())
    runner.close()


@pytest.fixture
def run(opened):
    return opened.run


@pytest.fixture
def store(opened, run) -> Any:
    made = opened()
    run(made.number(PARAMETERS))
    return made
