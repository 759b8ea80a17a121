"""One process works at a time, and one that died is followed by another."""

import asyncio

from fhir_server.jobs.lease import SECONDS_HELD, Lease
from fhir_server.store.sqlite.store import SqliteStore


def test_a_lease_is_held_by_one_and_given_up_or_lost(tmp_path):
    now = [1000.0]

    async def run():
        store = SqliteStore(tmp_path / "store.db")
        first, second = Lease(store, lambda: now[0]), Lease(store, lambda: now[0])
        assert await first.take("a")
        assert not await second.take("a")
        await first.give_up()
        assert await second.take("a")
        now[0] += SECONDS_HELD - 1
        assert await second.renew("a", 1, 2)
        now[0] += SECONDS_HELD - 1
        assert not await first.take("a")
        now[0] += 2
        assert await first.take("a")
        assert not await second.renew("a", 1, 2)
        await second.give_up()
        assert not await second.take("a")
        await store.close()

    asyncio.run(run())
