"""Acknowledged means durable, and a crash at any point leaves nothing half done."""

from tests.store.killing import kill_and_check

KILLS = 10


def test_writers_that_are_killed_lose_nothing_and_leave_nothing_half_done(tmp_path):
    killing, faults = kill_and_check(tmp_path / "store.db", KILLS)
    assert faults == []
    assert len(killing.acknowledged) > 100 * KILLS
