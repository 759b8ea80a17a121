from collections.abc import Iterator

import pytest

from tests.serving import Served, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server with the settings that it has when nobody chooses others."""
    with serving() as served:
        yield served


@pytest.fixture
def patient(server: Served) -> dict[str, object]:
    """A patient that was just created."""
    return server.create({"resourceType": "Patient", "gender": "female"})


@pytest.fixture
def stored(patient: dict[str, object]) -> dict[str, object]:
    """The same, where a test calls something else a patient."""
    return patient
