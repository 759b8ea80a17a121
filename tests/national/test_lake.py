import chdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fhir_server.definitions.registry import r4
from fhir_server.errors import Invalid, NotFound
from fhir_server.national.catalogue import own_view
from fhir_server.national.definition import read_view
from fhir_server.national.lake import Lake, click_source, connected, duck_source, month_in
from fhir_server.national.view import view_engine


@pytest.fixture(scope="module")
def view():
    return read_view(view_engine(r4()), own_view("encounters"))


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def row(number, day="2026-03-05", **more):
    nothing = dict.fromkeys(("type", "period_end", "service_type", "priority", "reason", "request", "appointment"))
    return {
        "id": f"Encounter/{number}", "last_updated": "2026-04-01T00:00:00Z", "status": "finished", "class": "VR",
        "patient": f"Patient/{number}", "facility": "Organization/a", "period_start": day, **nothing, **more,
    }  # fmt: skip


def add(lake, view, node, rows, place, submission):
    return lake.append(view, node, rows, place, submission, "period_start")


def rows_of(lake, what="node, id, class"):
    with connected() as connection:
        source = lake.current("encounters", duck_source(lake.paths("encounters")))
        return connection.execute(f"SELECT {what} FROM ({source}) ORDER BY ALL").fetchall()


def test_rows_lie_by_node_and_month(lake, view, tmp_path):
    add(lake, view, "p01", [row(1), row(2, "2026-04-01T08:00:00+07:00"), row(3, None), row(4, "2026")], 1, "s1")
    found = {str(path.relative_to(tmp_path).parent) for path in tmp_path.rglob("*.parquet")}
    assert found == {f"encounters/node=p01/month={month}" for month in ("2026-03", "2026-04", "0000-00")}
    assert len(rows_of(lake)) == 4


def test_the_last_of_a_resource_counts_and_a_deleted_one_not(lake, view):
    add(lake, view, "p01", [row(1), row(2)], 1, "s1")
    add(lake, view, "p02", [row(1)], 1, "s1")
    add(lake, view, "p01", [row(1, "2026-05-01", **{"class": "AMB"})], 2, "s2")
    lake.remove(view, "p01", ["Encounter/2"], 3, "s3")
    assert rows_of(lake) == [("p01", "Encounter/1", "AMB"), ("p02", "Encounter/1", "VR")]


def test_a_submission_that_is_repeated_counts_once_and_one_that_is_dropped_not_at_all(lake, view):
    add(lake, view, "p01", [row(1), row(2)], 1, "s1")
    add(lake, view, "p01", [row(1), row(2)], 1, "s1")
    assert len(rows_of(lake)) == 2
    add(lake, view, "p01", [row(3)], 2, "s2")
    assert lake.drop("encounters", "s2") == 1
    assert len(rows_of(lake)) == 2


def test_several_rows_of_a_resource_all_count(lake, view):
    add(lake, view, "p01", [row(1, reason="A"), row(1, reason="B")], 1, "s1")
    assert len(rows_of(lake)) == 2
    lake.compact(view)
    assert rows_of(lake, "reason") == [("A",), ("B",)]


def test_compaction_changes_no_answer_and_leaves_one_file_of_each_month(lake, view, tmp_path):
    for place in range(1, 6):
        add(lake, view, "p01", [row(n, f"2026-0{place}-01") for n in range(place, place + 3)], place, f"s{place}")
    lake.remove(view, "p01", ["Encounter/5"], 6, "s6")
    everything = "node, id, class, month, status, _place, _row"
    before = rows_of(lake, everything)
    made = lake.compact(view)
    assert rows_of(lake, everything) == before
    assert sum(piece.rows for piece in made) == len(before)
    assert len({piece.month for piece in made}) == len(made)
    lake.compact(view)
    lake.compact(view)
    assert rows_of(lake, everything) == before
    assert len(list(tmp_path.rglob("*.parquet"))) <= 2 * len(made)


def test_a_file_never_changes(lake, view, tmp_path):
    add(lake, view, "p01", [row(1)], 1, "s1")
    (path,) = tmp_path.rglob("*.parquet")
    before = path.read_bytes()
    add(lake, view, "p01", [row(1, "2026-03-06")], 2, "s2")
    lake.compact(view)
    assert path.read_bytes() == before


QUERIES = (
    "SELECT month, class, count(*) AS n FROM ({current}) AS e GROUP BY month, class ORDER BY month, class",
    "SELECT facility, count(DISTINCT patient) AS n FROM ({current}) AS e GROUP BY facility ORDER BY facility",
    "SELECT id, period_start FROM ({current}) AS e WHERE reason IS NULL ORDER BY node, id LIMIT 5",
    "SELECT substr(period_start, 1, 10) AS day, count(*) AS n FROM ({current}) AS e GROUP BY day ORDER BY day",
)


@pytest.mark.parametrize("query", QUERIES)
def test_the_same_sql_gives_the_same_rows_on_duckdb_and_on_clickhouse(lake, view, query, tmp_path):
    for node, place in (("p01", 1), ("p02", 1), ("p01", 2)):
        rows = [
            row(n, f"2026-0{1 + n % 3}-{1 + n % 28:02}", reason=None if n % 2 else "J18")
            for n in range(place, 40, place)
        ]
        add(lake, view, node, rows, place, f"s{place}")
    lake.remove(view, "p02", ["Encounter/7"], 2, "s2")
    paths = lake.paths("encounters")
    with connected() as connection:
        duck = connection.execute(query.format(current=lake.current("encounters", duck_source(paths)))).fetchall()
    answer = chdb.query(query.format(current=lake.current("encounters", click_source(paths))), "Arrow")
    (tmp_path / "answer.arrow").write_bytes(answer.bytes())
    click = [tuple(each.values()) for each in pa.ipc.open_file(tmp_path / "answer.arrow").read_all().to_pylist()]
    texts = [tuple(each.decode() if isinstance(each, bytes) else each for each in line) for line in click]
    assert texts == duck
    assert duck


def test_a_cube_counts_by_day_and_dimensions(lake, view):
    rows = [row(n, "2026-03-05" if n < 3 else "2026-03-06T10:00:00+07:00") for n in range(5)]
    add(lake, view, "p01", [*rows, row(9, None)], 1, "s1")
    lake.build_cube("encounters-by-day", "encounters", "period_start", ["class", "facility"])
    found = pq.read_table(lake.cube("encounters-by-day")).to_pylist()
    assert {(each["day"], each["class"], each["count"]) for each in found} == {
        ("2026-03-05", "VR", 3), ("2026-03-06", "VR", 2), (None, "VR", 1),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "x" * 65, "it's"])
def test_names_cannot_lead_out_of_the_folder(lake, view, name):
    with pytest.raises(Invalid):
        add(lake, view, name, [row(1)], 1, "s1")
    with pytest.raises(Invalid):
        add(lake, view, "p01", [row(1)], 1, name)


def test_what_is_not_there_is_said(lake):
    with pytest.raises(NotFound):
        lake.paths("encounters")
    with pytest.raises(NotFound):
        lake.cube("none")


def test_months_are_those_that_dates_tell():
    assert [month_in(each) for each in ("2026-03-05", "2026-03", "2026", None, "2026-13")] == [
        "2026-03", "2026-03", "0000-00", "0000-00", "0000-00",
    ]  # fmt: skip
