"""What every store promises of labels and of its ledger."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from fhir_server.store.protocol import FIRST_DIGEST, MARK_BYTES, Request, Scope, VersionUnmet, chained
from fhir_server.store.sqlite.store import SqliteStore
from tests.contracts.resources import change, deletion


def texts(store: Any, run: Any) -> list[bytes]:
    """All entries, each chained to the one before."""
    found: list[bytes] = []
    digest, number = FIRST_DIGEST, 0
    while True:
        stretch = run(store.ledger(number, 3))
        assert stretch.before == digest
        if not stretch.entries:
            return found
        for entry in stretch.entries:
            digest = chained(digest, entry.text)
            assert (entry.number, entry.mark) == (number + 1, digest[:MARK_BYTES])
            number += 1
            found.append(entry.text)
        assert stretch.after == digest


def test_a_label_is_kept_with_each_version_and_never_part_of_it(opened, store, run):
    run(store.commit(Request((replace(change("Patient", "a", method="POST"), label="one"),))))
    second = run(store.commit(Request((replace(change("Patient", "a", text="new"), label="two"),))))
    run(store.commit(Request((replace(deletion("Patient", "a"), label="three"), change("Patient", "b")))))
    assert second.outcomes[0].version.label == "two"
    for each in (store, opened()):
        history = run(each.history(Scope(("Patient",)), 9))
        assert [version.label for version in history] == ["one", "two", "three", ""]
        assert run(each.read("Patient", "a")).label == "three"
        assert run(each.read("Patient", "a", version=2)).label == "two"
        assert run(each.read("Patient", "a", t=1)).label == "one"
        assert not any(b"two" in (version.body or b"") for version in history)


def test_what_is_recorded_stays_in_one_order_for_all_processes(opened, store, run):
    other = opened()

    async def together() -> None:
        ledgers = (store, other)
        await asyncio.gather(*(ledgers[n % 2].record([b"%d a" % n, b"%d b" % n]) for n in range(20)))

    run(together())
    texts(other, run)
    found = texts(store, run)
    assert sorted(found) == sorted(b"%d %b" % (n, word) for n in range(20) for word in (b"a", b"b"))
    places = {text: place for place, text in enumerate(found)}
    assert all(places[b"%d b" % n] == places[b"%d a" % n] + 1 for n in range(20))
    assert texts(other, run) == found


def test_records_of_a_request_are_entered_if_its_changes_are_made(store, run):
    run(store.commit(Request((change("Patient", "a"),), records=(b"made",))))
    with pytest.raises(VersionUnmet):
        run(store.commit(Request((replace(change("Patient", "a"), if_match=7),), records=(b"refused",))))
    run(store.commit(Request((), records=(b"alone",))))
    assert texts(store, run) == [b"made", b"alone"]


def test_the_ledger_outlives_the_process(opened, store, run):
    run(store.record([b"before"]))
    assert texts(store, run) == [b"before"]
    later = opened()
    run(later.record([b"after"]))
    assert texts(later, run) == [b"before", b"after"]


def test_the_beginning_of_the_ledger_can_be_removed(opened, store, run):
    for n in range(6):
        run(store.commit(Request((change("Patient", f"p{n}"),), records=(b"%d a" % n, b"%d b" % n))))
    whole = run(store.ledger(0, 100))
    assert run(store.forget(0)) == 0
    assert run(store.forget(5)) == 4
    assert run(store.forget(3)) == 0
    for each in (store, opened()):
        rest = run(each.ledger(0, 100))
        assert rest.entries == whole.entries[4:]
        assert rest.after == whole.after
        assert chained(rest.before, rest.entries[0].text)[:MARK_BYTES] == rest.entries[0].mark
        assert run(each.ledger(6, 100)).entries == whole.entries[6:]
    run(store.record([b"later"]))
    assert run(store.ledger(12, 9)).entries[0].number == 13
    assert run(store.forget(99)) == 12
    (last,) = run(opened().ledger(0, 100)).entries
    assert (last.number, last.text) == (13, b"later")


def test_a_backup_of_a_ledger_goes_on_where_it_was_cut(opened, store, run, tmp_path):
    for n in range(4):
        run(store.commit(Request((change("Patient", f"p{n}"),), records=(b"%d" % n,))))
    assert run(store.forget(2)) == 2
    left = run(store.ledger(0, 100))
    run(store.backup(tmp_path / "backup.sqlite"))

    async def copied() -> Any:
        copy = SqliteStore(tmp_path / "backup.sqlite")
        found = await copy.ledger(0, 100)
        await copy.close()
        return found

    assert run(copied()) == left
