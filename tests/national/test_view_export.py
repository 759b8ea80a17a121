import csv
import io
import time

import orjson
import pyarrow.parquet as pq
import pytest

from tests.national.conftest import OBSERVATIONS, PATIENTS
from tests.national.test_run import WEIGHTS
from tests.operations.calling import parameters_of
from tests.serving import BASE, outcome, serving


@pytest.fixture(scope="module")
def node():
    with serving(works=True) as served:
        for body in (*PATIENTS, *OBSERVATIONS):
            assert served.put(body).status_code == 201
        yield served


def below(url):
    return url.removeprefix(f"{BASE}/")


def begun(node, path, body=None):
    answer = node.ask("GET" if body is None else "POST", path, body, prefer="respond-async")
    assert answer.status_code == 202, answer.text
    return below(answer.headers["content-location"])


def finished(node, status):
    until = time.monotonic() + 30
    while (answer := node.get(status)).status_code == 202:
        assert int(answer.headers["retry-after"]) > 0
        assert time.monotonic() < until
    return answer


def files(node, path, body=None):
    """The bytes of the files of an export, by the names of their views."""
    answer = finished(node, begun(node, path, body))
    assert answer.status_code == 200, answer.text
    found = {}
    for each in answer.json()["parameter"]:
        if each["name"] == "output":
            parts = {part["name"]: next(v for k, v in part.items() if k != "name") for part in each["part"]}
            sent = node.get(below(parts["location"]))
            assert sent.status_code == 200
            found[parts["name"]] = sent.content
    return found


FORMS = {
    "json": orjson.loads,
    "ndjson": lambda raw: [orjson.loads(line) for line in raw.splitlines()],
    "csv": lambda raw: list(csv.DictReader(io.StringIO(raw.decode()))),
    "parquet": lambda raw: pq.read_table(io.BytesIO(raw)).to_pylist(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_has_the_rows_of_the_run(node, form):
    path = "ViewDefinition/patients"
    made = FORMS[form](files(node, f"{path}/$viewdefinition-export?_format={form}")["patients"])
    assert made == FORMS[form](node.get(f"{path}/$viewdefinition-run?_format={form}").content)
    assert len(made) == 2


def test_several_views_are_files_of_one_export(node):
    body = parameters_of(
        {"name": "view", "part": [
            {"name": "name", "valueString": "mine"}, {"name": "viewResource", "resource": WEIGHTS}]},
        {"name": "view", "part": [
            {"name": "viewReference", "valueReference": {"reference": "ViewDefinition/patients"}}]},
        {"name": "clientTrackingId", "valueString": "mine-1"},
    )  # fmt: skip
    made = files(node, "$viewdefinition-export", body)
    assert {name: len(raw.splitlines()) for name, raw in made.items()} == {"mine": 3, "patients": 2}


def test_no_rows_are_a_file_too(node):
    for form, empty in (("json", b"[]"), ("ndjson", b"")):
        assert files(node, f"ViewDefinition/tasks/$viewdefinition-export?_format={form}")["tasks"] == empty
    made = files(node, "ViewDefinition/patients/$viewdefinition-export?_format=csv&patient=Patient/an&header=false")
    assert len(made["patients"].splitlines()) == 1


def test_a_view_that_cannot_be_run_is_told_by_its_status(node):
    column = {"name": "v", "path": "name.family"}
    view = {"resourceType": "ViewDefinition", "resource": "Patient", "name": "bad", "select": [{"column": [column]}]}
    body = parameters_of({"name": "view", "part": [{"name": "viewResource", "resource": view}]})
    answer = finished(node, begun(node, "$viewdefinition-export", body))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "invalid")


def test_a_cancelled_export_is_gone(node):
    status = begun(node, "ViewDefinition/patients/$viewdefinition-export")
    assert finished(node, status).status_code == 200
    assert node.ask("DELETE", status).status_code == 202
    outcome(node.get(status), 404, "not-found")
    outcome(node.get(status.replace("-status", "-file") + "/patients.1.ndjson"), 404, "not-found")


def test_other_files_of_the_folder_are_not_sent(node):
    status = begun(node, "ViewDefinition/patients/$viewdefinition-export")
    finished(node, status)
    for name in ("request.json", "done.json", "lock", "patients.2.ndjson", ".."):
        outcome(node.get(status.replace("-status", "-file") + f"/{name}"), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("$viewdefinition-export", 400, "required"),
        ("$viewdefinition-export?viewReference=ViewDefinition/none", 404, "not-found"),
        ("ViewDefinition/patients/$viewdefinition-export?_format=xlsx", 406, "not-supported"),
        ("ViewDefinition/patients/$viewdefinition-export?viewReference=ViewDefinition/patients", 400, "value"),
    ],
)
def test_what_cannot_be_exported_is_refused(node, path, status, code):
    outcome(node.get(path), status, code)


def test_so_many_are_open_at_once():
    with serving(export_jobs=1) as idle:
        begun(idle, "ViewDefinition/patients/$viewdefinition-export")
        outcome(idle.get("ViewDefinition/patients/$viewdefinition-export"), 429, "throttled")


def test_an_export_is_worked_on_after_the_server_has_ended(tmp_path):
    with serving(tmp_path) as first:
        assert first.put(PATIENTS[0]).status_code == 201
        status = begun(first, "ViewDefinition/patients/$viewdefinition-export")
    with serving(tmp_path, works=True) as second:
        assert finished(second, status).status_code == 200
