"""Views as SQL on DuckDB: the rows are those that the runner has, on official tests, real records and made ones."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError
from fhir_server.national.catalogue import own_views
from fhir_server.national.definition import read_view
from fhir_server.national.duck import NotInSql, sql_of
from fhir_server.national.lake import connected
from fhir_server.national.view import Runner, view_engine
from tests.conformance.sql_on_fhir import cases

ENGINE = view_engine(r4())
LEAST_OFFICIAL = 60


def queried(view: Any, resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with connected() as connection:
        connection.execute("CREATE TABLE resources (resource JSON)")
        if resources:
            texts = [[json.dumps(each, default=float)] for each in resources]
            connection.executemany("INSERT INTO resources VALUES (?)", texts)
        result = connection.execute(sql_of(ENGINE.model, view, "resources"))
        names = [each[0] for each in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def compared(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps({name: plain(value) for name, value in row.items()}, sort_keys=True) for row in rows)


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return f"number {Decimal(str(value)).normalize():f}"
    return value


def same(body: Any, resources: list[dict[str, Any]]) -> None:
    view = read_view(ENGINE, body)
    rows = list(Runner(ENGINE, view).all_rows(resources))
    assert compared(queried(view, resources)) == compared(rows)


def test_official_tests_have_the_same_rows(shared):
    held = 0
    for name, resources, case in cases(shared):
        try:
            view = read_view(ENGINE, case["view"])
            sql_of(ENGINE.model, view, "resources")
        except (FhirError, NotInSql):
            continue
        if not case.get("expectError"):
            held += 1
            assert compared(queried(view, resources)) == compared(case["expect"]), name
    assert held >= LEAST_OFFICIAL


@pytest.mark.parametrize("name", sorted(own_views()))
def test_the_views_of_this_server_have_the_same_rows(name, synthea_resources):
    body = own_views()[name]
    mark = f'"resourceType":"{body["resource"]}"'.encode()
    resources = [orjson.loads(each) for each in synthea_resources if mark in each[:80]][:60]
    same(body, resources)


CODES = st.sampled_from(["a", "b", "it's"])
CODING = st.fixed_dictionaries({}, optional={"system": st.just("urn:s"), "code": CODES})
QUANTITY = st.fixed_dictionaries({"value": st.integers(-3, 3) | st.sampled_from([0.5, 1.25])})
VALUES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    QUANTITY.map(lambda value: {"valueQuantity": value}),
    CODES.map(lambda value: {"valueString": value}),
    st.booleans().map(lambda value: {"valueBoolean": value}),
)
COMPONENT = st.tuples(st.fixed_dictionaries({"code": st.fixed_dictionaries({"coding": st.lists(CODING, min_size=1)})}),
                      VALUES).map(lambda parts: {**parts[0], **parts[1]})  # fmt: skip
EXTENSION = CODES.map(lambda text: {"url": "urn:e", "valueString": text})
OBSERVATION = st.tuples(
    st.fixed_dictionaries(
        {"resourceType": st.just("Observation"), "id": CODES, "status": st.sampled_from(["final", "amended"])},
        optional={
            "component": st.lists(COMPONENT, min_size=1, max_size=3),
            "category": st.lists(st.fixed_dictionaries({"coding": st.lists(CODING, min_size=1, max_size=2)}),
                                 min_size=1, max_size=2),
            "subject": st.sampled_from(["Patient/1", "http://x/Patient/2/_history/1", "Device/3", "#a", "x"]).map(
                lambda text: {"reference": text}
            ),
            "extension": st.lists(EXTENSION, min_size=1, max_size=2),
        },
    ),
    VALUES,
).map(lambda parts: {**parts[0], **parts[1]})  # fmt: skip

CONDITIONS = st.sampled_from([
    "status = 'final'", "value.ofType(Quantity).value > 0", "value.ofType(Quantity).value != 1.25", "subject.exists()",
    "category.coding.exists(code = 'a')", "component.empty()", "value.ofType(boolean)", "value.ofType(boolean).not()",
    "status = 'final' and subject.exists()", "value.ofType(string) = 'b' or component.exists()", "category[1].exists()",
    "extension('urn:e').exists()", "value.ofType(string) = 'it''s'".replace("''", "\\'"),
])  # fmt: skip
SINGLE = st.sampled_from(
    [
        ("id", "id"),
        ("status", "code"),
        ("subject.getReferenceKey(Patient)", "string"),
        ("subject.getReferenceKey()", "string"),
        ("getResourceKey()", "string"),
        ("value.ofType(Quantity).value", "decimal"),
        ("value.ofType(boolean)", "boolean"),
        ("category.first().coding.first().code", "code"),
        ("category.coding.where(code = 'a').code.first()", "code"),
        ("component.where(value.ofType(string) = 'a').exists()", "boolean"),
        ("extension('urn:e').value.ofType(string).first()", "string"),
        ("%rowIndex", "integer"),
        ("'x'", "string"),
        ("category[0].coding[1].code", "code"),
        ("component[0].value.ofType(Quantity).value", "decimal"),
        ("value.exists()", "boolean"),
    ]
)
INNER = st.sampled_from(
    [
        ("code.coding.first().code", "code"),
        ("value.ofType(Quantity).value", "decimal"),
        ("%rowIndex", "integer"),
        ("code.coding.exists(code = 'b')", "boolean"),
        ("'y'", "string"),
    ]
)
LOOPS = st.sampled_from(["forEach", "forEachOrNull"])


def columns(paths, prefix):
    return [{"name": f"{prefix}{n}", "path": path, "type": kind} for n, (path, kind) in enumerate(paths)]


@st.composite
def views(draw):
    selects: list[dict[str, Any]] = [{"column": columns(draw(st.lists(SINGLE, min_size=1, max_size=4)), "a")}]
    if draw(st.booleans()):
        inner = columns(draw(st.lists(INNER, min_size=1, max_size=3)), "b")
        deep = {
            draw(LOOPS): "code.coding",
            "column": [{"name": "c", "path": "code"}, {"name": "i", "path": "%rowIndex"}],
        }
        selects.append(
            {draw(LOOPS): "component", "column": inner, **({"select": [deep]} if draw(st.booleans()) else {})}
        )
    if draw(st.booleans()):
        one, other = ({draw(LOOPS): path, "column": [{"name": "u", "path": "code"}]}
                      for path in ("category.coding", "category.first().coding"))  # fmt: skip
        selects.append({"unionAll": [one, other]})
    if draw(st.booleans()):
        selects.append({"column": [{"name": "l", "path": "category.coding.code", "collection": True}]})
    where = [{"path": path} for path in draw(st.lists(CONDITIONS, max_size=2))]
    return {"resource": "Observation", "select": selects, "where": where}


@settings(max_examples=30, deadline=None)
@given(views(), st.lists(OBSERVATION, max_size=4))
def test_made_views_have_the_same_rows_on_made_resources(body, resources):
    same(body, resources)


def test_what_sql_cannot_say_exactly_is_not_said():
    for path in ("birthDate < @2000", "birthDate = '2000-01-01'", "name.given.join(',')", "name.family = name.given",
                 "generalPractitioner.resolve().exists()", "name.given.count() + 1"):  # fmt: skip
        view = read_view(ENGINE, {"resource": "Patient", "select": [{"column": [{"name": "a", "path": path}]}]})
        with pytest.raises(NotInSql):
            sql_of(ENGINE.model, view, "resources")
