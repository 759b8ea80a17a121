"""What is too heavy for one document of MongoDB is divided, and comes back whole."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from fhir_server.store.commit_log import Append, Step
from fhir_server.store.mongodb.carrier import Carrier
from fhir_server.store.mongodb.store import MongoStore
from fhir_server.store.protocol import Change, Request, Scope
from tests.contracts.resources import change
from tests.mongodb import database_of

MEGABYTE = 1_000_000


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 120))


def heavy(resource_id: str, size: int) -> Change:
    return change("Patient", resource_id, text=resource_id[0] * size)


@pytest.mark.parametrize(
    "sizes", [(4, 5, 6), (0.001, 14), (20, 0.5, 20)], ids=["many", "one in a file", "two over a document"]
)
def test_a_heavy_request_is_stored_and_read_whole(mongodb, tmp_path, sizes):
    async def story() -> None:
        url = database_of(tmp_path, mongodb)
        store = await MongoStore.open(url, is_single=True)
        changes = [
            heavy(f"{name}{n}", int(size * MEGABYTE)) for n, (name, size) in enumerate(zip("abc", sizes, strict=False))
        ]
        made = await store.commit(Request(tuple(changes)))
        other = await MongoStore.open(url, is_single=True)
        for outcome in made.outcomes:
            assert outcome.version
            assert await other.read("Patient", outcome.version.id) == outcome.version
        assert await other.history(Scope(), 9) == [outcome.version for outcome in made.outcomes]
        again = await store.commit(Request((Change("PUT", "Patient", "a0", changes[0].content, skip_equal=True),)))
        assert again.outcomes[0].effect == "unchanged"
        assert await store.backup(tmp_path / "copy.db") == 1
        await store.close()
        await other.close()

    run(story())


class Dying(Carrier):
    """Ends when an entry is appended, before it is applied."""

    async def carry_out(self, step: Step, until: float) -> Any:
        reply = await super().carry_out(step, until)
        if isinstance(step, Append):
            raise RuntimeError("the process ends here")  # noqa: TRY004 -- the step is as it should be
        return reply


def test_a_heavy_request_of_a_dead_process_is_applied_by_another(mongodb, tmp_path):
    async def story() -> None:
        url = database_of(tmp_path, mongodb)
        dying = await MongoStore.open(url, is_single=True, carrier=Dying)
        with pytest.raises(RuntimeError):
            await dying.commit(Request((heavy("a", 17 * MEGABYTE), heavy("b", 3 * MEGABYTE))))
        other = await MongoStore.open(url, is_single=True)
        found = await other.history(Scope(("Patient",)), 9)
        assert [version.id for version in found] == ["a", "b"]
        assert [len(version.body or b"") // MEGABYTE for version in found] == [17, 3]
        await dying.close()
        await other.close()

    run(story())
