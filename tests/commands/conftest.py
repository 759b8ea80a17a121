"""The command `nhipcau`, run in this process."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_server.cli import main

Printed = tuple[int, str, str]


@pytest.fixture
def nhipcau(monkeypatch, capsys) -> Callable[..., Printed]:
    """Runs the command; gives its exit status and what it printed on stdout and stderr."""

    def run(*arguments: object) -> Printed:
        monkeypatch.setattr(sys, "argv", ["nhipcau", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def data(tmp_path) -> Path:
    """The folder of a node that does not exist yet."""
    return Path(tmp_path, "data")
