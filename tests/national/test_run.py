import base64
import csv
import io

import orjson
import pyarrow.parquet as pq
import pytest

from tests.operations.calling import parameters_of
from tests.serving import outcome

WEIGHTS = {
    "resourceType": "ViewDefinition",
    "resource": "Observation",
    "select": [
        {
            "column": [
                {"name": "id", "path": "id"},
                {"name": "patient", "path": "subject.getReferenceKey(Patient)"},
                {"name": "kg", "path": "value.ofType(Quantity).value", "type": "decimal"},
            ]
        }
    ],
}
NAMES = {
    "resourceType": "ViewDefinition",
    "resource": "Patient",
    "select": [
        {"column": [{"name": "id", "path": "id"}, {"name": "born", "path": "birthDate"}]},
        {"forEachOrNull": "name", "column": [{"name": "family", "path": "family"}]},
    ],
}


def call(node, view, *more, query="", **headers):
    body = parameters_of({"name": "viewResource", "resource": view}, *more)
    return node.ask("POST", f"$viewdefinition-run{query}", body, **headers)


def test_rows_come_as_json(node):
    answer = call(node, WEIGHTS)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [
        {"id": "o0", "patient": "Patient/an", "kg": 50.5},
        {"id": "o1", "patient": "Patient/an", "kg": 51},
        {"id": "o2", "patient": "Patient/binh", "kg": 70.25},
    ]


def test_rows_come_as_lines(node):
    answer = call(node, WEIGHTS, query="?_format=ndjson")
    assert [orjson.loads(line)["id"] for line in answer.content.splitlines()] == ["o0", "o1", "o2"]
    assert call(node, WEIGHTS, accept="application/x-ndjson").content == answer.content


def test_rows_come_as_csv_that_any_reader_reads(node):
    answer = call(node, NAMES, query="?_format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(answer.text))) == [
        ["id", "born", "family"], ["an", "1990", "Nguyễn"], ["an", "1990", 'Lê, "bé"'], ["binh", "", ""],
    ]  # fmt: skip
    assert call(node, NAMES, query="?_format=csv&header=false").text.startswith("an,1990")


def test_rows_come_as_parquet_with_types(node):
    answer = call(node, WEIGHTS, query="?_format=parquet")
    table = pq.read_table(io.BytesIO(answer.content))
    assert [str(kind) for kind in table.schema.types] == ["string", "string", "decimal128(38, 12)"]
    assert [float(row["kg"]) for row in table.to_pylist()] == [50.5, 51, 70.25]


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()]


def test_a_patient_a_group_a_time_and_a_limit_narrow_it(node):
    assert ids(call(node, WEIGHTS, {"name": "patient", "valueReference": {"reference": "Patient/binh"}})) == ["o2"]
    assert ids(call(node, WEIGHTS, query="?patient=an")) == ["o0", "o1"]
    assert ids(call(node, WEIGHTS, query="?group=Group/g")) == ["o0", "o1"]
    assert ids(call(node, WEIGHTS, query="?_limit=2")) == ["o0", "o1"]
    assert ids(call(node, WEIGHTS, query="?_since=2100-01-01T00:00:00Z")) == []


def test_resources_can_be_brought_along(node):
    patient = {"resourceType": "Patient", "id": "new", "birthDate": "2001-02-03"}
    answer = call(node, NAMES, {"name": "resource", "resource": patient})
    assert answer.json() == [{"id": "new", "born": "2001-02-03", "family": None}]


def test_a_view_can_be_stored_in_a_library_and_be_named(node):
    data = base64.b64encode(orjson.dumps(WEIGHTS)).decode()
    library = {
        "resourceType": "Library", "id": "weights", "status": "active", "url": "urn:views:weights",
        "type": {"text": "view"}, "content": [{"contentType": "application/json", "data": data}],
    }  # fmt: skip
    assert node.put(library).status_code == 201
    for reference in ("Library/weights", "urn:views:weights"):
        assert ids(node.get(f"$viewdefinition-run?viewReference={reference}")) == ["o0", "o1", "o2"]


def test_views_of_this_server_are_listed_read_and_run(node):
    listed = {body["id"] for body in node.get("ViewDefinition").json()}
    assert "patients" in listed
    assert node.get("ViewDefinition/patients").json()["resource"] == "Patient"
    assert ids(node.get("ViewDefinition/patients/$viewdefinition-run")) == ["Patient/an", "Patient/binh"]
    for name in sorted(listed):
        assert node.get(f"ViewDefinition/{name}/$viewdefinition-run?_format=parquet").status_code == 200, name


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("$viewdefinition-run", 400, "required"),
        ("$viewdefinition-run?viewReference=ViewDefinition/pazients", 404, "not-found"),
        ("$viewdefinition-run?viewReference=urn:views:none", 404, "not-found"),
        ("$viewdefinition-run?viewReference=ViewDefinition/patients&_format=xls", 406, "not-supported"),
        ("$viewdefinition-run?viewReference=ViewDefinition/patients&source=s3://x", 400, "not-supported"),
        ("$viewdefinition-run?viewReference=ViewDefinition/patients&colour=red", 400, "invalid"),
        ("$viewdefinition-run?viewReference=ViewDefinition/patients&patient=Device/1", 400, "value"),
    ],
)
def test_what_cannot_be_run_is_refused(node, path, status, code):
    outcome(node.get(path), status, code)


def test_a_view_that_is_wrong_is_refused_with_its_place(node):
    issue = outcome(call(node, {"resourceType": "ViewDefinition", "resource": "Patient"}), 422, "invalid")
    assert issue["expression"] == ["ViewDefinition.select"]


def test_a_type_that_a_decimal_column_cannot_hold_is_said(node):
    view = {**NAMES, "select": [{"column": [{"name": "n", "path": "gender", "type": "integer"}]}]}
    assert "Column n" in outcome(call(node, view, query="?_format=parquet"), 422, "value")["details"]["text"]
