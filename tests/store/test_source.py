"""Where candidates come from: a system alone, whose codes are few or many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from fhir_server.search.plan import Or, Plan, Row, Sort, Test
from fhir_server.search.row import Token
from fhir_server.store.protocol import Change, Content, Numbered, Request
from fhir_server.store.sqlite import source
from fhir_server.store.sqlite.store import SqliteStore

CODE = 8
ASKED = Plan({"Observation": Or((Row(CODE, (Test("x", "=", "urn:s"),)), Row(CODE + Token.SYSTEM, ())))})
NEWEST = Plan(ASKED.arms, sort=(Sort("updated", descending=True),))


def coded(number: int, *codes: tuple[str, str]) -> Change:
    """An observation with codes of systems."""
    head = f'{{"resourceType":"Observation","id":"{number}","meta":{{'.encode()
    return Change("PUT", "Observation", str(number), Content(head, b"}}"), tuple((CODE, *code) for code in codes))


def pages(
    codes: int, plan: Plan, path: Path, between: Callable[[], None] = lambda: None
) -> tuple[list[list[str]], int]:
    """The ids on the pages of a search, four on each, and how many are counted."""

    async def asked() -> tuple[list[list[str]], int]:
        store = SqliteStore(path)
        await store.number([Numbered("Observation.code", CODE, "token")])
        changes = [coded(n, (f"c{n % codes:03}", "urn:s" if n % 3 else "urn:t"), ("c", "urn:t")) for n in range(12)]
        changes += [coded(n, (f"c{n:03}", "urn:t")) for n in range(12, 12 + codes)]
        await store.commit(Request(tuple(changes)))
        found, page = [], await store.run(plan, 4)
        while page.following is not None:
            between()
            found.append([version.id for version in page.matches])
            page = await store.run(plan, 4, page.following)
        found.append([version.id for version in page.matches])
        count = await store.count(plan)
        await store.close()
        return found, count

    return asyncio.run(asked())


OF_THE_SYSTEM = [str(n) for n in range(12) if n % 3]


@pytest.mark.parametrize("codes", [5, 80])
def test_a_system_alone_finds_each_resource_once_whether_it_has_few_codes_or_many(tmp_path, codes):
    found, count = pages(codes, ASKED, tmp_path / "store.db")
    assert sorted(chain.from_iterable(found), key=int) == OF_THE_SYSTEM
    assert [len(page) for page in found] == [4, 4]
    assert count == len(OF_THE_SYSTEM)
    found, _ = pages(codes, NEWEST, tmp_path / "other.db")
    assert list(chain.from_iterable(found)) == OF_THE_SYSTEM[::-1]


def test_a_page_goes_on_along_the_range_that_the_first_went_along(tmp_path, monkeypatch):
    monkeypatch.setattr("fhir_server.store.sqlite.search.FEW_ENOUGH_TO_ORDER", 2)
    found, _ = pages(80, ASKED, tmp_path / "store.db", lambda: monkeypatch.setattr(source, "MOST_BRANCHES", 1000))
    assert found == [OF_THE_SYSTEM[:4], OF_THE_SYSTEM[4:]]
