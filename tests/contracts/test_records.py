"""What every store of authentication's records promises."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fhir_server.auth.records import KINDS, LIVE, copy_kept, records_at
from fhir_server.store.mongodb import records as mongodb_records
from fhir_server.store.opening import MongoDatabase, Place
from fhir_server.store.records import Records
from fhir_server.store.sqlite.records import SqliteRecords
from tests.mongodb import database_of

Open = Callable[[], Records]


@pytest.fixture(params=["sqlite", "mongodb"])
def opened(request, tmp_path: Path) -> Iterator[Open]:
    """Opens the same records again and again, as several processes do."""
    found: list[Records] = []
    place: Place | None = None
    if request.param == "mongodb":
        place = MongoDatabase(database_of(tmp_path, request.getfixturevalue("mongodb")), is_single=True)

    def another() -> Records:
        found.append(records_at(tmp_path, place))
        return found[-1]

    yield another
    for records in found:
        records.close()


def test_what_was_added_is_read_by_every_process(opened: Open):
    one, other = opened(), opened()
    assert one.add("client", "his", {"name": "Bệnh viện"}, 100)
    found = other.read("client", "his")
    assert found is not None
    assert (found.body, found.revision, found.expires) == ({"name": "Bệnh viện"}, 1, 100)
    assert other.read("client", "HIS") is None
    assert other.read("person", "his") is None


def test_a_record_is_added_once(opened: Open):
    one, other = opened(), opened()
    assert one.add("jti", "a", {})
    assert not other.add("jti", "a", {"later": True})
    found = one.read("jti", "a")
    assert found is not None
    assert found.body == {}


def test_a_change_is_of_the_revision_that_was_read(opened: Open):
    one, other = opened(), opened()
    one.add("person", "lan", {"n": 1}, 50)
    assert other.change("person", "lan", {"n": 2}, 1)
    assert not one.change("person", "lan", {"n": 3}, 1)
    assert one.read("person", "lan") == ({"n": 2}, 2, 50)
    assert one.change("person", "lan", {"n": 3}, 2, 90)
    assert other.read("person", "lan") == ({"n": 3}, 3, 90)
    assert not other.change("person", "lan", None, 2)
    assert other.change("person", "lan", None, 3)
    assert one.read("person", "lan") is None
    assert not one.change("person", "lan", {"n": 4}, 3)


def test_of_many_who_want_the_same_one_succeeds(opened: Open):
    many = [opened() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda each: each.add("code", "c", {}), many)) == 1
        assert sum(pool.map(lambda each: each.change("code", "c", {"used": True}, 1), many)) == 1
        assert sum(pool.map(lambda each: each.change("code", "c", None, 2), many)) == 1


def test_the_records_of_a_kind_are_listed_by_name(opened: Open):
    found = opened()
    for name in ("b", "c", "a"):
        found.add("client", name, {"of": name})
    found.add("person", "a", {})
    assert [(name, record.body) for name, record in found.listed("client")] == [
        ("a", {"of": "a"}),
        ("b", {"of": "b"}),
        ("c", {"of": "c"}),
    ]


def test_what_expired_is_swept(opened: Open):
    found = opened()
    for name, expires in (("for-ever", 0), ("past", 10), ("future", 30)):
        found.add("jti", name, {}, expires)
    assert found.sweep(20) == 1
    assert [name for name, _ in found.listed("jti")] == ["for-ever", "future"]


@pytest.mark.parametrize("kind", sorted(LIVE))
def test_the_stamp_changes_with_what_decides_about_tokens(opened: Open, kind):
    one, other = opened(), opened()
    one.add(kind, "a", {})
    before = one.stamp(), other.stamp()
    assert other.change(kind, "a", {"disabled": True}, 1)
    time.sleep(one.LAG)
    after = one.stamp(), other.stamp()
    assert after[0] != before[0]
    assert after[1] != before[1]
    assert one.change(kind, "a", None, 2)
    assert one.stamp() != after[0]


def test_the_stamp_stays_for_what_takes_nothing_away(opened: Open, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mongodb_records, "SECONDS_OF_TRUST", 10**9)
    one, other = opened(), opened()
    before = one.stamp()
    other.add("token", "a", {})
    other.add("code", "a", {})
    other.change("code", "a", {"used": True}, 1)
    assert one.stamp() == before


def test_a_backup_holds_people_and_programs_and_no_tokens(opened: Open, tmp_path: Path):
    source, target = opened(), SqliteRecords(tmp_path / "copy.sqlite", LIVE)
    for kind in KINDS:
        source.add(kind, "a", {"of": kind})
    copy_kept(source, target)
    assert [kind for kind in KINDS if target.read(kind, "a")] == ["client", "key", "person"]
    target.close()


def test_nobody_else_reads_the_file(tmp_path: Path):
    SqliteRecords(tmp_path / "auth.sqlite", LIVE).close()
    assert (tmp_path / "auth.sqlite").stat().st_mode & 0o077 == 0
