"""What every store promises of labels and of its ledger."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
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


def test_entries_are_found_by_what_they_mention(opened, store, run, tmp_path):
    def entry(**told: Any) -> bytes:
        return orjson.dumps(told)

    day = 86_400_000
    run(store.record([entry(t=day, l=["may"]), entry(t=day, w={"f": "Practitioner/lan"})]))
    assert len(texts(store, run)) == 2
    run(store.commit(Request((change("Patient", "may"),), records=(entry(t=3 * day, e=["Patient/may/_history/1"]),))))
    run(store.record([entry(t=3 * day, l=["hoa"], e=["Observation/may"])]))
    run(store.record([b"no JSON at all", b'["Patient/may"]']))

    def numbers(each: Any, *names: str, before: int = 100) -> list[int]:
        return [found.number for found in run(each.mentioning(names, before, 50))]

    for each in (store, opened()):
        assert run(each.ledger(0, 100)).entries[-1].number == 6
        named = numbers(each, "Patient/may")
        assert set(named) >= {1, 3}
        assert named == sorted(named, reverse=True)
        assert numbers(each, "Patient/hoa", "Practitioner/lan")[-1] in {1, 2}
        assert 1 in numbers(each, "day/1")
        assert 3 in numbers(each, "day/3")
        assert numbers(each, "day/3", before=3) in ([], [2, 1])
        assert numbers(each, "Patient/may", before=3) == [2, 1]
        assert numbers(each, "Patient/nobody") == []
        assert run(each.mentioning(["Patient/may"], 100, 1))[0].number == named[0]
    whole = {found.number: found for found in run(store.ledger(0, 100)).entries}
    assert all(found == whole[found.number] for found in run(store.mentioning(["Patient/may"], 100, 50)))
    run(store.backup(tmp_path / "backup.sqlite"))

    async def copied() -> Any:
        copy = SqliteStore(tmp_path / "backup.sqlite")
        found = await copy.mentioning(["Patient/hoa"], 100, 50)
        await copy.close()
        return found

    assert 4 in [found.number for found in run(copied())]
    assert run(store.forget(3)) in {2, 3}
    assert 1 not in numbers(opened(), "Patient/may")
