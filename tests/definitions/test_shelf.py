from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions.shelf import Shelf, version_order


@dataclass(frozen=True)
class Record:
    url: str
    version: str | None
    place: int = 0


URLS = ("http://a", "http://b")
VERSIONS = ("1.0.0", "1.9.0", "1.10.0", "2.0.0-ballot", "2.0.0", "2020-12-30", None)
records = st.lists(st.builds(Record, st.sampled_from(URLS), st.sampled_from(VERSIONS), st.integers(0, 99)))


def shelf(added, below=None):
    made = Shelf[Record](below)
    for record in added:
        made.add(record)
    return made


@given(records)
def test_a_canonical_with_version_finds_the_record_last_added_under_it(added):
    made = shelf(added)
    last = {(record.url, record.version): record for record in added}
    for (url, version), record in last.items():
        if version is not None:
            assert made.find(f"{url}|{version}") is record


@given(records)
def test_a_canonical_alone_finds_the_highest_version(added):
    made = shelf(added)
    for url in URLS:
        versions = [record.version for record in added if record.url == url]
        found = made.find(url)
        if found is None:
            assert not versions
        else:
            assert version_order(found.version) == max(map(version_order, versions))


@given(records, records)
def test_what_is_added_comes_before_what_lies_below(added, below):
    made = shelf(added, shelf(below))
    for record in added:
        assert made.find(record.url) in added
    for record in below:
        if record.version is not None:
            found = made.find(f"{record.url}|{record.version}")
            assert found is not None
            assert (found.url, found.version) == (record.url, record.version)
    assert set(made.urls()) == {record.url for record in (*added, *below)}
    assert len(list(made.urls())) == len(set(made.urls()))


@given(records)
def test_a_version_that_is_not_there_finds_nothing(added):
    assert shelf(added).find("http://a|9.9.9") is None


def test_versions_are_ordered_as_their_authors_mean():
    ordered = ["0.9", "1.0.0-ballot", "1.0.0-ballot2", "1.0.0", "1.0.1", "1.9.0", "1.10.0", "2.0.0-snapshot1", "2.0.0"]
    assert sorted(set(ordered), key=version_order) == ordered


def test_a_fragment_is_no_part_of_the_canonical():
    record = Record("http://a", "1")
    assert shelf([record]).find("http://a#part") is record
    assert shelf([record]).find("http://a|1#part") is record


def test_a_canonical_may_hold_a_bar_itself():
    record = Record("http://a|2.1", "2.1")
    assert shelf([record]).find("http://a|2.1") is record


def test_what_is_not_known_is_asked_for_each_time_and_not_kept():
    asked: list[str] = []

    def load(url: str) -> Record | None:
        asked.append(url)
        return None

    made = Shelf[Record](load=load)
    assert [made.find("http://c"), made.find("http://c")] == [None, None]
    assert asked == ["http://c", "http://c"]
