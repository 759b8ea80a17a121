from collections.abc import Iterator

import pytest

from tests.mongodb import database_of
from tests.processes import Program, running


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def program(request, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server as its users have it: two processes on a file, or four on a database."""
    folder = tmp_path_factory.mktemp("server")
    options = ["--workers", "2"]
    if request.param == "mongodb":
        options = [
            "--workers",
            "4",
            "--store",
            database_of(folder, request.getfixturevalue("mongodb")),
            "--store-single",
        ]
    with running(folder, *options) as started:
        yield started
