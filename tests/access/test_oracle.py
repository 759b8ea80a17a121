"""Row 44 of the catalogue: what is withheld costs the same questions to the store as what never was.

Times are noise, and the questions are not: the same ones in the same order take the same way through the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fhir_server.audit.account import CURRENT
from tests.access.test_isolation import HIDDEN, ORACLES, UNUSED
from tests.access.world import World

QUESTIONS = ("read", "run", "count", "history", "commit", "record", "snapshot", "ledger", "index", "note", "keep")


@contextmanager
def questions(world: World, identity: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The questions that the store is asked meanwhile, with what they are about as far as that is no id."""
    store: Any = world.served.node.repository._store
    asked: list[str] = []

    def noted(name: str, question: Any) -> Any:
        def ask(*arguments: Any, **named: Any) -> Any:
            if CURRENT.get() is None:
                # Work in the background, which belongs to no request.
                return question(*arguments, **named)
            about = [each.replace(identity, "?") for each in arguments if isinstance(each, str)]
            asked.append(f"{name} {' '.join(about)}")
            return question(*arguments, **named)

        return ask

    with monkeypatch.context() as patched:
        for name in QUESTIONS:
            patched.setattr(store, name, noted(name, getattr(store, name)), raising=True)
        yield asked


def asked_for(world: World, monkeypatch: pytest.MonkeyPatch, caller: str, identity: str, asking: Any) -> list[str]:
    """The questions of one request."""
    method, path, body, headers = asking
    with questions(world, identity, monkeypatch) as found:
        answer = world.ask(caller, method, f"Patient/{identity}{path}", body, **headers)
    assert found or answer.status_code == 403
    return found


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("caller", HIDDEN)
def test_44_what_is_withheld_takes_the_way_of_what_never_was(
    world: World, monkeypatch: pytest.MonkeyPatch, caller: str, oracle: str
):
    # The first request of a caller may find out what stands.
    asked_for(world, monkeypatch, caller, UNUSED, ORACLES[oracle])
    withheld = asked_for(world, monkeypatch, caller, HIDDEN[caller], ORACLES[oracle])
    absent = asked_for(world, monkeypatch, caller, UNUSED, ORACLES[oracle])
    assert withheld == absent


@pytest.mark.parametrize("caller", ["worker-a", "doctor-hub", "app-of-a1"])
@pytest.mark.parametrize("headers", [{}, {"if_match": 'W/"1"'}, {"if_none_match": "*"}], ids=["plain", "match", "new"])
def test_44_an_update_takes_the_way_of_one_under_an_id_that_nobody_uses(
    world: World, monkeypatch: pytest.MonkeyPatch, caller: str, headers: dict[str, str]
):
    found = []
    for identity in (UNUSED, HIDDEN[caller], UNUSED):
        body = {"resourceType": "Patient", "id": identity}
        found.append(asked_for(world, monkeypatch, caller, identity, ("PUT", "", body, headers)))
    assert found[1] == found[2]


@pytest.mark.parametrize("way", ["Observation?subject:Patient.family={}", "Observation?subject=Patient/{}",
                                 "Patient?_id={}", "Patient?_has:Observation:subject:_id=o{}"])  # fmt: skip
@pytest.mark.parametrize("caller", HIDDEN)
def test_44_a_search_takes_the_way_of_one_for_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, caller: str, way: str
):
    found = []
    for identity in (UNUSED, HIDDEN[caller], UNUSED):
        with questions(world, identity, monkeypatch) as asked:
            assert not world.get(caller, way.format(identity)).json().get("entry")
        found.append(asked)
    assert found[1] == found[2]
