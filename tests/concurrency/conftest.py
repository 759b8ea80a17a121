from collections.abc import Iterator

import pytest

from tests.processes import Program, running


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server as its users have it, in two processes."""
    with running(tmp_path_factory.mktemp("server"), "--workers", "2") as started:
        yield started
