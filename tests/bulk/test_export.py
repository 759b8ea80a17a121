import asyncio
import gzip
import time
from typing import Any

import orjson
import pytest

from fhir_server.bulk.journal import kept_in
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from tests.bulk.exports import begun, content, exported, finished, keys
from tests.operations.calling import parameters_of
from tests.serving import BASE, outcome, serving

RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "an", "gender": "female", "active": True},
    {"resourceType": "Patient", "id": "binh", "gender": "male"},
    {"resourceType": "Practitioner", "id": "doctor"},
    *(
        {
            "resourceType": "Observation", "id": f"o{n}", "status": "final", "code": {"text": "x"},
            "subject": {"reference": f"Patient/{'an' if n < 3 else 'binh'}"},
            "valueQuantity": {"value": n, "unit": "kg"},
        }
        for n in range(5)
    ),
    {"resourceType": "Provenance", "id": "of-o1", "target": [{"reference": "Observation/o1"}],
     "recorded": "2026-01-01T00:00:00Z", "agent": [{"who": {"reference": "Practitioner/doctor"}}]},
    {"resourceType": "Group", "id": "g", "type": "person", "actual": True,
     "member": [{"entity": {"reference": "Patient/an"}}]},
]  # fmt: skip
OF_AN = {"Patient/an", "Observation/o0", "Observation/o1", "Observation/o2", "Provenance/of-o1"}
EVERYTHING = {f"{each['resourceType']}/{each['id']}" for each in RESOURCES}


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def store(request):
    """What makes a server on each kind of store."""
    return {"mongodb": request.getfixturevalue("mongodb")} if request.param == "mongodb" else {}


@pytest.fixture(scope="module")
def node(store):
    with serving(works=True, **store) as served:
        for body in RESOURCES:
            assert served.put(body).status_code == 201
        yield served


def test_a_system_export_has_everything_once(node):
    manifest = finished(node.ask, begun(node.ask))
    assert keys(node.ask, manifest) == EVERYTHING
    assert manifest["request"] == f"{BASE}/$export"
    assert manifest["requiresAccessToken"] is False
    assert (manifest["deleted"], manifest["error"], manifest["outcome"]) == ([], [], [])
    assert all(entry["url"].startswith(BASE) for entry in manifest["output"])


def test_files_are_packed_for_who_takes_that_and_hold_what_is_stored(node):
    (entry,) = finished(node.ask, begun(node.ask, "$export?_type=Practitioner"))["output"]
    path = entry["url"].removeprefix(f"{BASE}/")
    plain = node.get(path, accept_encoding="identity").content
    assert plain == node.get("Practitioner/doctor").content + b"\n"
    packed = node.get(path, accept_encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain


def test_patients_come_with_their_compartments_and_the_provenance_of_these(node):
    expected = EVERYTHING - {"Practitioner/doctor"}
    assert exported(node.ask, "Patient/$export") == expected


def test_a_group_is_its_patients_with_their_compartments(node):
    assert exported(node.ask, "Group/g/$export") == OF_AN | {"Group/g"}


def test_patients_are_named_by_post(node):
    body = parameters_of({"name": "patient", "valueReference": {"reference": "Patient/binh"}})
    assert exported(node.ask, "Patient/$export", body) == {"Patient/binh", "Observation/o3", "Observation/o4"}
    outcome(node.get("Patient/$export?patient=Patient/binh"), 400, "value")
    outcome(node.ask("POST", "Group/g/$export", body), 404, "not-found")
    outcome(node.ask("POST", "$export", body), 400, "not-supported")


def test_types_are_one_list_or_several(node):
    expected = {"Patient/an", "Patient/binh", "Practitioner/doctor"}
    assert exported(node.ask, "$export?_type=Patient,Practitioner") == expected
    body = parameters_of({"name": "_type", "valueString": "Patient"}, {"name": "_type", "valueString": "Practitioner"})
    assert exported(node.ask, "$export", body) == expected


def test_filters_narrow_their_type_and_several_of_one_type_are_either(node):
    one = "_typeFilter=Observation%3Fvalue-quantity%3Dlt1"
    other = "_typeFilter=Observation%3Fvalue-quantity%3Dgt3,Patient%3Fgender%3Dmale"
    assert exported(node.ask, f"$export?_type=Observation,Patient&{one}&{other}") == {
        "Observation/o0", "Observation/o4", "Patient/binh",
    }  # fmt: skip


def test_elements_leave_the_rest_out_and_say_so(node):
    (entry,) = finished(node.ask, begun(node.ask, "$export?_type=Patient&_elements=Patient.gender,id"))["output"]
    for body in content(node.ask, entry):
        assert set(body) == {"resourceType", "id", "meta", "gender"} | ({"active"} if body["id"] == "an" else set())
        assert body["meta"]["tag"][0]["code"] == "SUBSETTED"


@pytest.mark.parametrize("name", ["application/fhir%2Bndjson", "application/ndjson", "ndjson"])
def test_three_names_of_ndjson_are_taken(node, name):
    begun(node.ask, f"$export?_type=Practitioner&_outputFormat={name}")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("$export?_outputFormat=csv", "value"),
        ("$export?_type=Pazient", "value"),
        ("Patient/$export?_type=Practitioner", "value"),
        ("$export?_since=yesterday", "value"),
        ("$export?colour=red", "invalid"),
        ("$export?_typeFilter=Observation", "value"),
        ("$export?_type=Patient&_typeFilter=Observation%3Fstatus%3Dfinal", "value"),
        ("$export?_typeFilter=Observation%3F_include%3D*", "value"),
        ("$export?_typeFilter=Observation%3Fsubject.gender%3Dmale", "not-supported"),
        ("$export?organizeOutputBy=Patient", "not-supported"),
        ("$export?includeAssociatedData=Everything", "not-supported"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_and_told_to_the_lenient(node, path, code):
    answer = node.get(path)
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["code"] == code
    if not any(name in path for name in ("Format=csv", "Pazient", "Practitioner", "_since", "_until")):
        manifest = finished(node.ask, begun(node.ask, path + "&_elements=id", prefer="handling=lenient"))
        (entry,) = manifest["error"]
        assert manifest["outcome"] == manifest["error"]
        assert content(node.ask, entry)[0]["issue"][0]["severity"] == "warning"


def test_a_group_that_is_not_there_is_not_exported(node):
    outcome(node.get("Group/none/$export"), 404, "not-found")


def test_the_status_can_be_told_in_headers(node):
    answer = node.get("$export?_type=Patient", prefer="respond-async, separate-export-status")
    assert answer.headers["preference-applied"] == "respond-async, separate-export-status"
    status = answer.headers["content-location"].removeprefix(f"{BASE}/")
    seen = set()
    while "200 OK" not in seen:
        answer = node.get(status)
        assert answer.status_code == 200
        seen.add(answer.headers["x-export-status"])
    assert seen <= {"202 Accepted", "200 OK"}
    assert answer.json()["output"]


def test_what_is_cancelled_is_gone(node):
    status = begun(node.ask)
    finished(node.ask, status)
    assert node.ask("DELETE", status).status_code == 202
    outcome(node.get(status), 404, "not-found")
    outcome(node.ask("DELETE", status), 404, "not-found")


@pytest.mark.parametrize("path", ["$export-status/../x", "$export-status/x", "$export-file/x/Patient.1.ndjson"])
def test_nothing_else_can_be_read(node, path):
    assert node.get(path).status_code == 404
    status = begun(node.ask, "$export?_type=Patient")
    finished(node.ask, status)
    for name in ("request.json", "..%2Frequest.json", "journal", "Patient.1.ndjson.gz"):
        assert node.get(f"{status.replace('status', 'file')}/{name}").status_code == 404


def test_the_capabilities_name_the_three_levels(node):
    rest = node.get("metadata").json()["rest"][0]
    guide = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
    assert f"{guide}/export" in {each["definition"] for each in rest["operation"]}
    of_types = {each["type"]: {o["definition"] for o in each["operation"]} for each in rest["resource"]}
    assert f"{guide}/patient-export" in of_types["Patient"]
    assert f"{guide}/group-export" in of_types["Group"]


class Follower:
    """A client that keeps what it was told, and asks for what came since."""

    def __init__(self, node):
        self._ask = node.ask
        self.known = {}
        self.since = None

    def catch_up(self):
        query = "" if self.since is None else f"?_since={self.since}"
        manifest = finished(self._ask, begun(self._ask, f"$export{query}"))
        for body in (each for entry in manifest["output"] for each in content(self._ask, entry)):
            assert self.known.get(body["id"]) != body["meta"]["versionId"], "repeated"
            self.known[body["id"]] = body["meta"]["versionId"]
        for bundle in (each for entry in manifest["deleted"] for each in content(self._ask, entry)):
            for each in bundle["entry"]:
                self.known.pop(each["request"]["url"].removeprefix("Basic/"), None)
        self.since = manifest["transactionTime"]


def test_a_client_that_asks_again_from_the_time_it_was_given_misses_and_repeats_nothing(store):
    with serving(works=True, **store) as node:

        async def write(n):
            name = f"b{n % 40}"
            body = {"resourceType": "Basic", "id": name, "code": {"text": str(n)}}
            if n % 7 == 6:
                await node.node.repository.write([Write("DELETE", "Basic", name)])
            else:
                await node.node.repository.write([Write("PUT", "Basic", name, sent=Sent(body, orjson.dumps(body)))])

        async def writing():
            for n in range(400):
                await asyncio.gather(write(n), write(n * 13 + 5))

        follower, task = Follower(node), node._portal.start_task_soon(writing)
        while not task.done():
            follower.catch_up()
        task.result()
        follower.catch_up()
        entries = node.get("Basic?_count=100").json().get("entry", [])
        assert follower.known == {e["resource"]["id"]: e["resource"]["meta"]["versionId"] for e in entries}


def test_until_leaves_out_what_was_changed_later(node):
    moment = node.get("Patient/an").json()["meta"]["lastUpdated"]
    assert "Patient/an" not in exported(node.ask, f"$export?_type=Patient&_until={moment}")
    assert exported(node.ask, "$export?_type=Patient&_until=2100-01-01T00:00:00Z") == {"Patient/an", "Patient/binh"}


def basic(number):
    body = {"resourceType": "Basic", "id": f"b{number}", "code": {"text": "x" * 50}}
    return Write("PUT", "Basic", f"b{number}", sent=Sent(body, orjson.dumps(body)))


def stored(node, count):
    async def write():
        for first in range(0, count, 200):
            await node.node.repository.write([basic(n) for n in range(first, min(first + 200, count))])

    node.call(write)


def test_an_export_goes_on_after_a_restart_where_it_was(tmp_path):
    with serving(tmp_path) as node:  # nobody works
        stored(node, 1600)
        status = begun(node.ask)
        assert node.get(status).headers["x-progress"] == "accepted"
        job = node.service.exports._jobs.all()[0]

        async def interrupted():
            task = asyncio.create_task(node.service.exports._do(node.node, job))
            async with asyncio.timeout(30):
                while "files" not in kept_in(job.folder / "journal"):  # noqa: ASYNC110 -- nobody tells of it
                    await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        node.call(interrupted)
        assert job.done() is None
        (file,) = job.folder.glob("*.gz")
        before = file.read_bytes()
        assert before
        file.write_bytes(before + b"torn")
    with serving(tmp_path, works=True) as node:
        assert keys(node.ask, finished(node.ask, status)) == {f"Basic/b{n}" for n in range(1600)}
        assert file.read_bytes().startswith(before[:100])


def test_files_are_of_a_size_and_named_apart(tmp_path):
    with serving(tmp_path, works=True, export_file_entries=500) as node:
        stored(node, 1600)
        manifest = finished(node.ask, begun(node.ask))
        assert [entry["count"] for entry in manifest["output"]] == [500, 500, 500, 100]
        assert len(keys(node.ask, manifest)) == 1600


def test_only_so_many_are_open_for_one_caller(tmp_path):
    with serving(tmp_path, export_jobs=2) as node:  # nobody works
        statuses = [begun(node.ask), begun(node.ask)]
        refused = node.get("$export")
        outcome(refused, 429, "throttled")
        assert int(refused.headers["retry-after"]) > 0
        node.ask("DELETE", statuses[0])
        begun(node.ask)


def test_files_are_kept_for_so_long(tmp_path):
    later = 0.0
    with serving(tmp_path, works=True, export_hours=1, clock=lambda: time.time() + later) as node:
        status = begun(node.ask)
        answer = node.get(status)
        while answer.status_code == 202:
            answer = node.get(status)
        assert "expires" in answer.headers
        later = 3601.0
        while node.get(status).status_code != 404:
            pass
        until = time.monotonic() + 10
        while list((tmp_path / "exports").iterdir()):  # what nobody sees any more is removed in its turn
            assert time.monotonic() < until


def test_a_disk_that_fills_up_fails_the_export_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self, file, packed):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fhir_server.bulk.export_work.Export._append", full)
    with serving(tmp_path, works=True) as node:
        stored(node, 10)
        status = begun(node.ask)
        answer = node.get(status)
        while answer.status_code == 202:
            answer = node.get(status)
        outcome_body = answer.json()
        assert answer.status_code == 507
        assert outcome_body["issue"][0]["code"] == "no-store"
        assert list((tmp_path / "exports").glob("*/*.gz")) == []


def test_every_line_is_the_stored_resource_byte_for_byte(tmp_path, synthea_resources):
    lines = [line for line in synthea_resources if b'"Patient"' in line[:40]][:50]
    with serving(tmp_path, works=True, referential_integrity=False) as node:
        for line in lines:
            identity = orjson.loads(line)["id"]
            assert node.ask("PUT", f"Patient/{identity}", line).status_code == 201
        (entry,) = finished(node.ask, begun(node.ask))["output"]
        path = entry["url"].removeprefix(f"{BASE}/")
        told = {orjson.loads(line)["id"]: line for line in node.get(path).content.splitlines()}
        for identity, line in told.items():
            assert node.get(f"Patient/{identity}").content == line
        assert len(told) == len(lines)
        (packed,) = (tmp_path / "exports").glob("*/*.gz")
        assert gzip.decompress(packed.read_bytes()) == node.get(path).content


def test_nobody_without_a_token_gets_anything_where_callers_are_asked(tmp_path):
    with serving(tmp_path, works=True, auth="on") as node:
        for method, path in (
            ("GET", "$export"),
            ("GET", "Patient/$export"),
            ("GET", "Group/g/$export"),
            ("POST", "$import"),
            ("GET", "$export-status/00000000-0000-4000-8000-000000000000"),
            ("DELETE", "$export-status/00000000-0000-4000-8000-000000000000"),
            ("GET", "$export-file/00000000-0000-4000-8000-000000000000/Patient.1.ndjson"),
            ("GET", "ViewDefinition/patients/$viewdefinition-run"),
            ("GET", "$sqlquery-run"),
        ):
            outcome(node.ask(method, path), 401, "login")
        for path in ("$export?access_token=x", "$export-file/x/y?access_token=x"):
            assert node.get(path).status_code == 400


def test_what_is_exported_is_valid(node):
    manifest = finished(node.ask, begun(node.ask, "Patient/$export"))
    assert sum(entry["count"] for entry in manifest["output"] if entry["type"] == "Patient") >= 2
    for entry in manifest["output"]:
        for body in content(node.ask, entry):
            assert not [issue for issue in node.node.validator.validate(body).issues if issue.is_error]
