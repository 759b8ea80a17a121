"""The interactions that ask most of a store, over HTTP on MongoDB; NHIPCAU_TEST_STORE=mongodb runs all tests so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interactions import conftest
from tests.interactions.test_conditional import *  # noqa: F403
from tests.interactions.test_transaction import *  # noqa: F403
from tests.interactions.test_write import *  # noqa: F403
from tests.serving import Served, serving

patient = conftest.patient  # the fixture, which a function of those modules would hide
stored = conftest.stored


@pytest.fixture(scope="module")
def server(mongodb) -> Iterator[Served]:
    """A server on a database of its own."""
    with serving(mongodb=mongodb) as served:
        yield served
