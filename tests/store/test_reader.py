"""Searches that take long: in a thread where they may, refused where others wait for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fhir_server.errors import TooCostly
from fhir_server.search.plan import Plan, Row, Test
from fhir_server.store.protocol import Change, Committed, Content, Expectation, Numbered, Request
from fhir_server.store.sqlite import reader
from fhir_server.store.sqlite.store import SqliteStore

NAME = 8
PLAN = Plan({"Patient": Row(NAME, (Test("v", "contains", "an"),))})


def named(number: int) -> Change:
    """A patient with a name."""
    head = f'{{"resourceType":"Patient","id":"{number}","meta":{{'.encode()
    return Change("PUT", "Patient", str(number), Content(head, b"}}"), ((NAME, f"an {number}", ""),))


@pytest.fixture
def impatient(monkeypatch):
    """No search has any time in the event loop."""
    monkeypatch.setattr(reader, "STEPS_BETWEEN_LOOKS", 1)
    monkeypatch.setattr(reader, "SECONDS_IN_A_TURN", -1.0)


def test_a_condition_that_takes_too_long_is_refused_and_others_go_on(tmp_path, impatient):
    async def together() -> list[Any]:
        store = SqliteStore(tmp_path / "store.db")
        await store.number([Numbered("Patient.name", NAME, "string")])
        await store.commit(Request((named(1),)))
        requests = [Request((named(2),)), Request((named(3),), (Expectation(PLAN),)), Request((named(4),))]
        outcomes: list[Any] = await asyncio.gather(*map(store.commit, requests), return_exceptions=True)
        outcomes.append(await store.count(Plan({"Patient": Row(NAME)})))
        await store.close()
        return outcomes

    first, refused, last, count = asyncio.run(together())
    assert isinstance(first, Committed)
    assert isinstance(last, Committed)
    assert isinstance(refused, TooCostly)
    assert count == 3


def test_a_search_that_takes_long_is_answered_by_the_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "STEPS_BETWEEN_LOOKS", 1)
    monkeypatch.setattr("fhir_server.store.sqlite.store.SECONDS_IN_THE_LOOP", -1.0)

    async def asked() -> list[list[str]]:
        store = SqliteStore(tmp_path / "store.db")
        await store.number([Numbered("Patient.name", NAME, "string")])
        await store.commit(Request(tuple(map(named, range(3)))))
        pages = [await store.run(PLAN, 10) for _ in range(2)]
        await store.close()
        return [[version.id for version in page.matches] for page in pages]

    assert asyncio.run(asked()) == [["0", "1", "2"]] * 2
