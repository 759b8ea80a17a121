"""Plans become questions that a database can answer with what it has: conditions, few ids, joins of its own."""

from __future__ import annotations

import math
import re
from typing import Any

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_server.errors import TooCostly
from fhir_server.search.folding import fold
from fhir_server.search.plan import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Near,
    Not,
    Or,
    Plan,
    Predicate,
    Referrer,
    Row,
    Sort,
    Test,
    Updated,
)
from fhir_server.store.aggregation import canonical, join, search
from fhir_server.store.aggregation.condition import ALWAYS, NEVER, literally
from fhir_server.store.aggregation.document import WORD, indexes, prose, refs, rows, unit_vector
from fhir_server.store.aggregation.inclusion import condition_of

LETTERS = "".join(
    chr(code)
    for first, last in (
        (0x20, 0x24F),
        (0x300, 0x304),
        (0x391, 0x3C9),
        (0x400, 0x44F),
        (0x1E00, 0x1EFF),
        (0x2010, 0x2044),
    )
    for code in range(first, last)
)
"""Those of Viet Nam and its neighbours in Europe: SQLite does not know what Unicode has added since."""

TYPES = ("Observation", "Patient")
SUBJECT, NAME, CODE = 160, 88, 168


def asked(asking: Any, *answers: list[list[dict[str, Any]]]) -> tuple[list[Any], Any]:
    """All queries, each answered in its turn, and the result."""
    queries: list[Any] = []
    waiting: Any = None
    given_ = iter(answers)
    while True:
        try:
            some = asking.send(waiting)
        except StopIteration as done:
            return queries, done.value
        queries += some
        waiting = next(given_)


def test_rows_keep_their_columns_and_refuse_what_cannot_be_compared():
    assert rows([(8, "a", ""), (16, 1, 2.5, 0, "mg")]) == [
        {"p": 8, "v": "a", "x": ""},
        {"p": 16, "v": 1, "x": 2.5, "y": 0, "n": "mg"},
    ]
    with pytest.raises(TypeError):
        rows([(8, object(), "")])  # type: ignore[list-item]


def test_literal_references_are_texts_that_joins_look_for():
    held = [(SUBJECT, "a", "Patient"), (SUBJECT, "urn:uuid:1", ""), (SUBJECT + 3, "Patient/a/_history/1", "")]
    assert refs(held) == ["160/Patient/a"]


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
def test_the_chord_between_positions_tells_their_distance(a, b, c, d):
    chord = sum((p - q) ** 2 for p, q in zip(unit_vector(a, b), unit_vector(c, d), strict=True))
    half = math.sin(math.radians(c - a) / 2) ** 2
    half += math.cos(math.radians(a)) * math.cos(math.radians(c)) * math.sin(math.radians(d - b) / 2) ** 2
    assert math.isclose(chord, 4 * half, rel_tol=1e-6, abs_tol=1e-15)


@pytest.fixture(scope="module")
def index_of_words():
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE VIRTUAL TABLE prose USING fts5(told, tokenize='unicode61')")
    connection.execute("CREATE VIRTUAL TABLE terms USING fts5vocab(prose, row)")
    return connection


@given(st.text(LETTERS, max_size=60))
@example("Đặng Thị Ánh, 12,5 mg/dl; x_y-z+1 ²ⅷ½")
def test_words_are_parted_as_the_index_of_sqlite_parts_them(index_of_words, text):
    folded = fold(text)
    index_of_words.execute("DELETE FROM prose")
    index_of_words.execute("INSERT INTO prose VALUES(?)", (folded,))
    terms = {term for (term,) in index_of_words.execute("SELECT term FROM terms")}
    assert {fold(term) for term in terms} == {fold(word) for word in WORD.findall(folded)}


def test_the_words_of_a_resource_are_kept_once_and_in_order():
    told = prose('{"text":{"div":"<p>Rất gầy, rất yếu</p>"},"name":[{"text":"An"}]}'.encode())
    assert told["narrative"] == ["gay", "rat", "yeu"]
    assert told["phrases"]["narrative"] == " rat gay rat yeu "
    assert "an" in told["content"]


@given(st.text(max_size=8), st.text(max_size=8))
def test_a_pattern_for_a_text_matches_that_text_alone(text, other):
    pattern = re.sub(r"\\x\{([0-9a-f]+)\}", lambda found: re.escape(chr(int(found[1], 16))), literally(text))
    assert re.fullmatch(pattern, text)
    assert bool(re.search(pattern, other)) == (text in other)


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        (EVERYTHING, ALWAYS),
        (NOTHING, NEVER),
        (Not(NOTHING), ALWAYS),
        (And((NOTHING, Row(8))), NEVER),
        (Or((EVERYTHING, Row(8))), ALWAYS),
        (Or((NOTHING, Updated(5))), {"at": {"$gte": 5}}),
        (Updated(), ALWAYS),
    ],
)
def test_what_is_always_or_never_so_is_not_asked(predicate, expected):
    assert condition_of(predicate) == expected


def test_conditions_of_one_kind_stand_side_by_side_and_deep_ones_are_refused():
    either: Predicate = Row(8)
    mixed: Predicate = Row(8)
    for n in range(100):
        either = Or((either, Row(8 * n)))
        mixed = (Or if n % 2 else And)((mixed, Row(8 * n)))
    assert len(condition_of(either)["$or"]) == 101
    with pytest.raises(TooCostly):
        asked(search.count(Plan({"Patient": mixed}), 1, TYPES))
    assert asked(search.count(Plan({"Patient": either}), 1, TYPES), [[{"found": 1}]])[1] == 1


def test_tests_of_one_row_are_asked_of_one_element():
    between = Row(8, (Test("v", ">=", 1), Test("v", "<", 9), Test("v", "<", 5), Test("x", "in", ("a", "b"))))
    assert condition_of(between) == {
        "rows": {
            "$elemMatch": {
                "p": 8,
                "v": {"$gte": 1, "$lt": 9},
                "x": {"$in": ["a", "b"]},
                "$and": [{"v": {"$lt": 5}}],
            }
        }
    }


def test_a_plan_that_finds_nothing_asks_nothing():
    assert asked(search.count(Plan({"Patient": NOTHING, "Unheard": EVERYTHING}), 1, TYPES)) == ([], 0)
    assert asked(search.find(Plan({}), 9, 1, TYPES)) == ([], frozenset())
    queries, found = asked(search.page(Plan({"Patient": NOTHING}, (Sort("id"),)), 9, None, 7, TYPES))
    assert (queries, found.t, found.matches, found.following) == ([], 7, [], None)


def test_the_other_side_of_a_join_is_named_where_it_is_few():
    plan = Plan({"Observation": Chain(SUBJECT, (("Patient", Row(NAME)),))})
    queries, number = asked(search.count(plan, 1, TYPES), [[]], [[{"id": "a"}, {"id": "b"}]], [[{"found": 3}]])
    assert number == 3
    assert [query.kind for query in queries] == ["Observation", "Patient", "Observation"]
    row = {"$elemMatch": {"p": SUBJECT, "x": {"$eq": "Patient"}, "v": {"$in": ["a", "b"]}}}
    assert {"rows": row} in queries[-1].pipeline[0]["$match"]["$and"]


@pytest.mark.parametrize("concise", [True, False])
def test_the_database_joins_where_the_other_side_is_many(monkeypatch, concise):
    monkeypatch.setattr(join, "MOST_PICKED", 1)
    plan = Plan({"Patient": And((Row(NAME), Referrer(SUBJECT, "Observation", Row(CODE))))})
    many = [{"_id": "a", "times": 1}, {"_id": "b", "times": 1}]
    queries, found = asked(search.page(plan, 5, None, 1, TYPES, concise=concise), [many], [[]])
    assert found.matches == []
    stages = [next(iter(stage)) for stage in queries[-1].pipeline]
    assert stages == ["$match", "$sort", "$addFields", "$lookup", "$match", "$limit", "$project"]
    lookup = queries[-1].pipeline[3]["$lookup"]
    assert lookup["from"] == "versions.Observation"
    assert ("foreignField" in lookup) == concise
    assert {"$limit": 1} in lookup["pipeline"]


def test_more_canonicals_than_can_be_asked_for_are_refused():
    many = [{"_id": {"url": f"urn:{n}", "version": ""}} for n in range(canonical.MOST_NAMES + 1)]
    with pytest.raises(TooCostly):
        canonical.names(many)


def test_no_page_of_a_type_is_longer_than_the_page_that_is_asked_for():
    plan = Plan({"Patient": EVERYTHING, "Observation": Near(96, 10.0, 105.0, 500.0)}, (Sort("updated"),))
    queries, _ = asked(search.page(plan, 10, None, 1, TYPES), [[], []])
    assert [{"$limit": 11} in query.pipeline for query in queries] == [True, True]


def test_a_cursor_brings_its_commit_and_place_along():
    plan = Plan({"Patient": EVERYTHING}, (Sort("id"),))
    found = [{"_id": n, "id": name, "v": 1} for n, name in enumerate("abc")]
    _, first = asked(search.page(plan, 2, None, 5, TYPES), [found])
    assert [one["id"] for one in first.matches] == ["a", "b"]
    queries, _ = asked(search.page(plan, 2, first.following, 9, TYPES), [[]])
    assert queries[0].pipeline[0]["$match"]["to"] == {"$gt": 5}
    assert {"$match": {"$or": [{"$and": [{"id": {"$gt": "b"}}]}]}} in queries[0].pipeline


def test_every_index_has_a_name_of_its_own():
    names = [options["name"] for _, options in indexes()]
    assert len(names) == len(set(names))
