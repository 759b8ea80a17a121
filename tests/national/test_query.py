import base64
import io
import json
import socket
import time

import pyarrow.parquet as pq
import pytest

from tests.national.sandboxes import sandboxes
from tests.national.test_run import WEIGHTS
from tests.operations.calling import parameters_of
from tests.serving import outcome, serving


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def library(sql, *parameters, views=(("patients", "ViewDefinition/patients"),), **more):
    artifacts = [{"type": "depends-on", "label": label, "resource": view} for label, view in views]
    return {
        "resourceType": "Library", "status": "active", "type": {"text": "sql-query"}, "relatedArtifact": artifacts,
        "parameter": [{"name": name, "use": "in", "type": kind} for name, kind in parameters],
        "content": [{"contentType": "application/sql", "data": encoded(sql)}], **more,
    }  # fmt: skip


def rows(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask(node, sql, *more, query="", **arguments):
    body = parameters_of({"name": "queryResource", "resource": library(sql, **arguments)}, *more)
    return node.ask("POST", f"$sqlquery-run{query}", body)


def test_a_query_answers_over_views(node):
    content = [{"contentType": "application/json", "data": encoded(json.dumps(WEIGHTS))}]
    stored = {"resourceType": "Library", "status": "active", "type": {"text": "view"}, "content": content}
    assert node.put({**stored, "id": "weights-again", "url": "urn:views:again"}).status_code == 201
    views = (("p", "ViewDefinition/patients"), ("w", "urn:views:again"))
    sql = (
        "SELECT gender, sum(kg) AS kg, count(*) AS n FROM w JOIN p ON w.patient = p.id GROUP BY gender ORDER BY gender"
    )
    assert rows(ask(node, sql, views=views)) == [
        {"gender": "female", "kg": 101.5, "n": 2}, {"gender": "male", "kg": 70.25, "n": 1},
    ]  # fmt: skip
    assert ask(node, sql, views=views, query="?_format=csv").text.splitlines()[0] == "gender,kg,n"
    answer = ask(node, sql, views=views, query="?_format=parquet")
    assert pq.read_table(io.BytesIO(answer.content)).num_rows == 2


def test_parameters_are_values_and_never_sql(node):
    sql = "SELECT id FROM patients WHERE gender = :gender AND ':gender' <> 'x' -- :gender"
    for value, found in (("male", ["Patient/binh"]), ("x' OR 'a'='a", [])):
        given = {"resourceType": "Parameters", "parameter": [{"name": "gender", "valueString": value}]}
        body = parameters_of(
            {"name": "queryResource", "resource": library(sql, ("gender", "string"))},
            {"name": "parameters", "resource": given},
        )
        assert [row["id"] for row in rows(node.ask("POST", "$sqlquery-run", body))] == found
    outcome(ask(node, "SELECT 1", {"name": "parameters", "resource": parameters_of({"name": "x", "valueString": "y"})}),
            400, "invalid")  # fmt: skip


OUTWARDS = (
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM read_parquet('http://127.0.0.1:{port}/x.parquet')",
    "SELECT * FROM read_csv('https://example.org/x.csv')",
    "SELECT getenv('PATH')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM duckdb_secrets(), read_blob('/proc/self/environ')",
    "COPY (SELECT 1) TO '{folder}/escaped.csv'",
    "COPY patients TO '{folder}/escaped.csv'",
    "EXPORT DATABASE '{folder}/escaped'",
    "ATTACH '{folder}/escaped.db' AS escaped",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "PRAGMA database_list",
    "CREATE TABLE x AS SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO '{folder}/escaped.csv'",
    "",
    "SELEC 1",
    "SELECT * FROM nobody",
)


THROUGH_THE_SERVER = (0, 10, 20)
"""Of the queries above, those that are asked of the operation; the sandboxes of the others are forked."""


@pytest.fixture(scope="module")
def boxes():
    with sandboxes() as made:
        yield made


@pytest.mark.parametrize("number", range(len(OUTWARDS)))
def test_a_query_reads_and_writes_nothing_outside(boxes, number, port_of_nobody, tmp_path):
    answer = boxes.answer(OUTWARDS[number].replace("{port}", str(port_of_nobody)).replace("{folder}", str(tmp_path)))
    assert answer.startswith(b"no\n"), answer
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", THROUGH_THE_SERVER)
def test_a_query_that_would_is_refused(node, number, tmp_path):
    outcome(ask(node, OUTWARDS[number].replace("{folder}", str(tmp_path))), 422, "processing")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def port_of_nobody():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0)
        yield listening.getsockname()[1]
        with pytest.raises(BlockingIOError):
            listening.accept()


TOO_MUCH = (
    "SELECT count(*) FROM range(1000000000000) a, range(1000000) b WHERE a.range % 7 = b.range % 11",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "SELECT length(repeat('x', 4000000000))",
    "SELECT list(a.range::VARCHAR || repeat('x', 1000)) FROM range(100000000) a",
    "SELECT * FROM range(10000000) ORDER BY hash(range)",
    "SELECT * FROM range(1001)",
)


@pytest.mark.parametrize("sql", TOO_MUCH[1:-1])
def test_a_query_has_so_much_time_memory_and_rows_and_no_more(boxes, sql):
    begun = time.monotonic()
    answer = boxes.answer(sql, memory=64_000_000, seconds=1, rows=1000)
    assert answer[:3] in (b"", b"no\n")
    assert time.monotonic() - begun < 30


def test_what_takes_too_much_is_refused_and_the_server_goes_on():
    with serving(query_seconds=1, query_bytes=64_000_000, view_rows=1000) as narrow:
        outcome(ask(narrow, TOO_MUCH[0]), 422, "too-costly")
        outcome(ask(narrow, TOO_MUCH[-1]), 422, "processing")
        assert narrow.get("metadata").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "required"),
        ({"content": []}, 422, "not-found"),
        ({"relatedArtifact": [{"type": "depends-on", "resource": "ViewDefinition/none"}]}, 404, "not-found"),
        ({"relatedArtifact": [{"type": "depends-on", "label": 'a"b', "resource": "ViewDefinition/patients"}]}, 422,
         "value"),
    ],
)  # fmt: skip
def test_what_is_no_query_is_refused(node, body, status, code):
    sent = parameters_of(*([{"name": "queryResource", "resource": {**library("SELECT 1"), **body}}] if body else []))
    outcome(node.ask("POST", "$sqlquery-run", sent), status, code)
