from collections.abc import Iterator

import pytest

from tests.abuse.attack import Keeper
from tests.serving import Served, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server with the settings that it has when nobody chooses others."""
    with serving() as served:
        yield served


@pytest.fixture(scope="module")
def keeper(server: Served) -> Keeper:
    """A watch over what is stored."""
    return Keeper(server)
