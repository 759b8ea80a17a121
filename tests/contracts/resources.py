"""Resources, rows and plans for the tests of stores: few values, so that much collides."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fhir_server.search.plan import (
    EVERYTHING,
    And,
    Chain,
    Ids,
    Near,
    Not,
    Or,
    Plan,
    Predicate,
    Present,
    Referrer,
    Row,
    Sort,
    Test,
)
from fhir_server.store.protocol import Change, Content, Method, Numbered

IDENTIFIER, NAME, SUBJECT, CODE, DATE, VALUE, POSITION, JOINED = 80, 88, 160, 168, 176, 184, 96, 192
PARAMETERS = (
    Numbered("Patient.identifier", IDENTIFIER, "token"),
    Numbered("Patient.name", NAME, "string"),
    Numbered("Patient.near", POSITION, "special"),
    Numbered("Observation.subject", SUBJECT, "reference"),
    Numbered("Observation.code", CODE, "token"),
    Numbered("Observation.date", DATE, "date"),
    Numbered("Observation.value-quantity", VALUE, "quantity"),
    Numbered("Observation.code-value-quantity", JOINED, "composite"),
)
IDS = ("a", "b", "c", "d", "e", "f")
SYSTEMS = ("", "urn:one", "urn:two")
CODES = ("x", "y", "z")
NAMES = ("an", "anh", "binh", "chi")
NUMBERS = (0, 1, 2.5, 10, 1000)

patient_rows = st.lists(
    st.one_of(
        st.tuples(st.just(IDENTIFIER), st.sampled_from(CODES), st.sampled_from(SYSTEMS)),
        st.tuples(st.just(NAME), st.sampled_from(NAMES), st.sampled_from(("", "An"))),
        st.tuples(st.just(POSITION), st.sampled_from((10.0, 10.1, 21.0)), st.sampled_from((105.0, 106.5))),
    ),
    max_size=4,
    unique=True,
)
observation_rows = st.lists(
    st.one_of(
        st.tuples(st.just(SUBJECT), st.sampled_from(IDS), st.just("Patient")),
        st.tuples(st.just(CODE), st.sampled_from(CODES), st.sampled_from(SYSTEMS)),
        st.tuples(st.just(DATE), st.sampled_from((0, 100, 200)), st.sampled_from((300, 400))),
        st.tuples(st.just(VALUE), st.sampled_from(NUMBERS), st.sampled_from(SYSTEMS)),
        st.tuples(
            st.just(JOINED),
            st.sampled_from(CODES),
            st.sampled_from(NUMBERS),
            st.sampled_from(NUMBERS),
            st.sampled_from(SYSTEMS),
        ),
    ),
    max_size=6,
    unique=True,
)
ROWS: dict[str, st.SearchStrategy[Any]] = {"Patient": patient_rows, "Observation": observation_rows}


def content(kind: str, resource_id: str, text: str = "") -> Content:
    """The JSON of a small resource."""
    before = f'{{"resourceType":"{kind}","id":"{resource_id}","meta":{{'.encode()
    return Content(before, b'},"text":"%b"}' % text.encode())


def change(kind: str, resource_id: str, *rows: tuple[object, ...], method: Method = "PUT", text: str = "") -> Change:
    """A change with these rows."""
    return Change(method, kind, resource_id, content(kind, resource_id, text), rows)  # type: ignore[arg-type]


def deletion(kind: str, resource_id: str) -> Change:
    """The end of a resource."""
    return Change("DELETE", kind, resource_id)


def matching(number: int, **columns: object) -> Row:
    """The predicate that a row has these values."""
    return Row(number, tuple(Test(column, "=", value) for column, value in columns.items()))  # type: ignore[arg-type]


@st.composite
def changes(draw: st.DrawFn) -> Change:
    kind, resource_id = draw(st.sampled_from(tuple(ROWS))), draw(st.sampled_from(IDS))
    if draw(st.integers(0, 3)) == 0:
        return Change("DELETE", kind, resource_id, if_match=draw(st.none() | st.integers(0, 3)))
    return Change(
        draw(st.sampled_from(("POST", "PUT", "PATCH"))),
        kind,
        resource_id,
        content(kind, resource_id, draw(st.sampled_from(("", "other")))),
        tuple(draw(ROWS[kind])),
        if_match=draw(st.none() | st.none() | st.integers(0, 3)),
        skip_equal=draw(st.booleans()),
    )


def tests_of(column: str, values: tuple[Any, ...], operators: tuple[Any, ...]) -> st.SearchStrategy[Test]:
    single = st.builds(Test, st.just(column), st.sampled_from(operators), st.sampled_from(values))
    several = st.builds(
        Test, st.just(column), st.just("in"), st.tuples(st.sampled_from(values), st.sampled_from(values))
    )
    return st.one_of(single, several)


TEXT_OPERATORS = ("=", "starts", "contains", "ends", "<", ">=")
NUMBER_OPERATORS = ("=", "<", "<=", ">", ">=")


def rows_with(number: int, *tests: st.SearchStrategy[Test]) -> st.SearchStrategy[Predicate]:
    return st.builds(Row, st.just(number), st.tuples(*tests) | st.tuples(*tests[:1]) | st.tuples(tests[1]))


patient_rows_predicate = st.one_of(
    rows_with(IDENTIFIER, tests_of("v", CODES, ("=",)), tests_of("x", SYSTEMS, ("=",))),
    rows_with(NAME, tests_of("v", NAMES, TEXT_OPERATORS), tests_of("x", ("", "An"), ("=",))),
    st.builds(Present, st.sampled_from((IDENTIFIER, NAME, 8000))),
    st.builds(Ids, st.lists(st.sampled_from((*IDS, "unknown")), max_size=3).map(tuple)),
    st.builds(Near, st.just(POSITION), st.just(10.0), st.just(105.0), st.sampled_from((1.0, 20_000.0, 200_000.0))),
)
observation_rows_predicate = st.one_of(
    rows_with(SUBJECT, tests_of("v", IDS, ("=",)), tests_of("x", ("Patient",), ("=",))),
    rows_with(CODE, tests_of("v", CODES, ("=",)), tests_of("x", SYSTEMS, ("=",))),
    rows_with(DATE, tests_of("v", (50, 100, 200), NUMBER_OPERATORS), tests_of("x", (300, 350), NUMBER_OPERATORS)),
    rows_with(VALUE, tests_of("v", NUMBERS, NUMBER_OPERATORS), tests_of("x", SYSTEMS, ("=",))),
    rows_with(
        JOINED,
        tests_of("v", CODES, ("=",)),
        tests_of("x", NUMBERS, NUMBER_OPERATORS),
        tests_of("y", NUMBERS, NUMBER_OPERATORS),
        tests_of("n", SYSTEMS, ("=",)),
    ),
    st.builds(Present, st.sampled_from((SUBJECT, DATE))),
    st.builds(Ids, st.lists(st.sampled_from(IDS), max_size=3).map(tuple)),
)


def combined(leaves: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(And, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Not, inner),
        ),
        max_leaves=4,
    )


patient_predicates = combined(
    patient_rows_predicate
    | st.builds(Referrer, st.just(SUBJECT), st.just("Observation"), combined(observation_rows_predicate))
)
observation_predicates = combined(
    observation_rows_predicate
    | st.builds(Chain, st.just(SUBJECT), st.tuples(st.tuples(st.just("Patient"), patient_predicates)))
)
patient_sorts = st.builds(
    Sort,
    st.sampled_from(("row", "row", "updated", "id")),
    st.just({"Patient": NAME, "Observation": CODE}),
    st.booleans(),
)
observation_sorts = st.builds(
    Sort,
    st.sampled_from(("row", "updated", "id")),
    st.sampled_from(({"Observation": DATE}, {"Observation": VALUE})),
    st.booleans(),
)


def plans() -> st.SearchStrategy[Plan]:
    """Plans for one resource type or two."""
    patients = st.builds(
        Plan, patient_predicates.map(lambda p: {"Patient": p}), st.lists(patient_sorts, max_size=2).map(tuple)
    )
    observations = st.builds(
        Plan,
        observation_predicates.map(lambda p: {"Observation": p}),
        st.lists(observation_sorts, max_size=2).map(tuple),
    )
    both = st.builds(
        Plan,
        st.tuples(patient_predicates | st.just(EVERYTHING), observation_predicates).map(
            lambda two: {"Patient": two[0], "Observation": two[1]}
        ),
        st.lists(patient_sorts, max_size=2).map(tuple),
    )
    return st.one_of(patients, observations, both)
