"""The index of words, brought up to date beside other work."""

from __future__ import annotations

import asyncio

import pytest

from fhir_server.errors import Unavailable
from fhir_server.search.plan import Plan, Text
from fhir_server.store.protocol import Change, Content, Request
from fhir_server.store.sqlite import prose
from fhir_server.store.sqlite.store import SqliteStore

PLAN = Plan({"Patient": Text("narrative", "beo")})


def told(number: int) -> Change:
    """A patient with a word in the narrative."""
    head = f'{{"resourceType":"Patient","id":"{number}","meta":{{'.encode()
    return Change("PUT", "Patient", str(number), Content(head, b'},"text":{"div":"<div>Beo</div>"}}'))


def test_a_search_for_words_says_how_far_they_are_and_goes_on_without_its_client(tmp_path, monkeypatch):
    monkeypatch.setattr(prose, "PATIENCE", 0.0)
    monkeypatch.setattr(prose, "AT_ONCE", 1)

    async def asked() -> tuple[str, int]:
        store = SqliteStore(tmp_path / "store.db")
        await store.commit(Request(tuple(map(told, range(5)))))
        with pytest.raises(Unavailable) as refused:
            await store.count(PLAN)
        await store.commit(Request((told(5),)))
        while True:
            try:
                found = await store.count(PLAN)
                break
            except Unavailable:
                await asyncio.sleep(0)
        await store.close()
        return refused.value.issues[0].text, found

    text, found = asyncio.run(asked())
    assert "of 5 resources" in text
    assert found == 6


def test_a_store_can_be_closed_while_words_are_indexed(tmp_path, monkeypatch):
    monkeypatch.setattr(prose, "PATIENCE", 0.0)
    monkeypatch.setattr(prose, "AT_ONCE", 1)

    async def closed() -> None:
        store = SqliteStore(tmp_path / "store.db")
        await store.commit(Request(tuple(map(told, range(50)))))
        with pytest.raises(Unavailable):
            await store.count(PLAN)
        await store.close()

    async def opened_again() -> int:
        monkeypatch.setattr(prose, "PATIENCE", 10.0)
        store = SqliteStore(tmp_path / "store.db")
        found = await store.count(PLAN)
        await store.close()
        return found

    asyncio.run(closed())
    assert asyncio.run(opened_again()) == 50
