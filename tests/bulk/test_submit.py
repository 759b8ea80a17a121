import asyncio
import gzip
import time
from concurrent.futures import CancelledError
from itertools import count
from typing import Any

import orjson
import pytest

from fhir_server.app import LAKE
from fhir_server.definitions.registry import r4
from fhir_server.national.catalogue import own_view
from fhir_server.national.definition import read_view
from fhir_server.national.lake import Lake, connected, duck_source
from fhir_server.national.view import view_engine
from tests.bulk.files import Files, hosting
from tests.serving import BASE, outcome, serving

NUMBERS = count()
ROWS = "urn:nhipcau:view:encounters"


@pytest.fixture(scope="module")
def host():
    with hosting() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ministry")


@pytest.fixture(scope="module")
def node(host, folder):
    with serving(folder, works=True, outbound_hosts=(host,), import_bytes=1_000_000) as served:
        yield served


def lines(*bodies):
    return b"".join(orjson.dumps(body) + b"\n" for body in bodies)


def facility(name, **more):
    return {"resourceType": "Organization", "id": name, "name": name, **more}


def row(number, **more):
    return {"id": f"Encounter/{number}", "status": "finished", "class": "VR", "period_start": "2026-03-05", **more}


class Province:
    """Submits one submission under a name of its own."""

    def __init__(self, node, host, submitter="p01"):
        self.node, self.host, self.submitter, self.name = node, host, submitter, f"s{next(NUMBERS)}"

    def files(self, **files):
        """Put files there and their manifest; return its URL. A name is that of a type, or `rows` or `gone` of them."""
        number = next(NUMBERS)
        kinds = {"rows": (ROWS, "output"), "gone": (ROWS, "deleted"), "Bundle": ("Bundle", "deleted")}
        manifest: dict[str, Any] = {
            "transactionTime": "2026-11-23T00:00:00Z",
            "requiresAccessToken": False,
            "output": [],
            "deleted": [],
        }
        for name, content in files.items():
            path = f"/{name}.{number}{'.gz' if content[:2] == gzip.compress(b'')[:2] else ''}"
            kind, where = kinds.get(name, (name, "output"))
            Files.held[path] = content
            manifest[where].append({"type": kind, "url": f"http://{self.host}{path}"})
        return self.hold(number, manifest)

    def hold(self, number, *manifests):
        Files.held[f"/manifest.{number}"] = [orjson.dumps(each) for each in manifests]
        return f"http://{self.host}/manifest.{number}"

    def ask(self, operation="bulk-submit", url=None, replaces=None, status=None, **more):
        given = {
            "submitter": {"valueIdentifier": {"value": self.submitter}},
            "submissionId": {"valueString": self.name},
            **({"manifestUrl": {"valueUrl": url}, "fhirBaseUrl": {"valueUrl": f"http://{self.host}"}} if url else {}),
            **({"replacesManifestUrl": {"valueUrl": replaces}} if replaces else {}),
            **({"submissionStatus": {"valueCoding": {"code": status}}} if status else {}),
            **more,
        }
        body = {"resourceType": "Parameters", "parameter": [{"name": name, **each} for name, each in given.items()]}
        return self.node.ask("POST", f"${operation}", body)

    def told(self):
        answer = self.ask("bulk-submit-status")
        assert answer.status_code == 202, answer.text
        path = answer.headers["content-location"].removeprefix(f"{BASE}/")
        until = time.monotonic() + 30
        while (answer := self.node.get(path)).status_code == 202:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sends(self, url=None, **more):
        """Submit; return the status of the last manifest, and the issues told of it."""
        answer = self.ask(url=url, **more)
        assert answer.status_code == 200, answer.text
        entry = next(
            (each for each in self.told()["outcome"] if each["manifestUrl"] == url), self.told()["outcome"][-1]
        )
        content = self.node.get(entry["url"].removeprefix(f"{BASE}/")).content
        issues = [issue for line in content.splitlines() for issue in orjson.loads(line)["issue"]]
        return entry["extension"]["status"], issues


@pytest.fixture
def province(node, host):
    return Province(node, host, f"p{next(NUMBERS)}")


def rows_of(folder, submitter):
    lake = Lake(folder / LAKE)
    source = lake.current("encounters", duck_source(lake.paths("encounters")))
    with connected() as connection:
        asked = f"SELECT id, class FROM ({source}) WHERE node = ? ORDER BY ALL"
        found = connection.execute(asked, [submitter]).fetchall()
    return [(name.removeprefix("Encounter/"), kind) for name, kind in found]


def test_resources_and_rows_of_a_manifest_are_stored(node, folder, province):
    url = province.files(Organization=gzip.compress(lines(facility("a1"), facility("a2"))), rows=lines(row(1), row(2)))
    assert province.sends(url)[0] == 200
    assert node.get("Organization/a1").json()["name"] == "a1"
    assert rows_of(folder, province.submitter) == [("1", "VR"), ("2", "VR")]
    (told,) = province.told()["outcome"]
    counts = {"stored": 2, "unchanged": 0, "deleted": 0, "rows": 2, "removed": 0}
    assert (told["extension"]["counts"], told["manifestUrl"]) == (counts, url)


def test_a_manifest_that_comes_twice_counts_once(node, folder, province):
    url = province.files(Organization=lines(facility("b1")), rows=lines(row(1)))
    assert province.sends(url)[0] == 200
    before = len(Files.asked)
    assert province.sends(url)[0] == 200
    assert len(Files.asked) == before
    assert node.versions("Organization/b1") == 1
    assert len(province.told()["outcome"]) == 1
    assert rows_of(folder, province.submitter) == [("1", "VR")]


def test_one_that_replaces_another_takes_back_what_that_had_and_this_has_not(node, folder, province):
    node.put(facility("c1", active=True))
    first = province.files(Organization=lines(facility("c1"), facility("c2")), rows=lines(row(1), row(2)))
    second = province.files(
        Organization=lines(facility("c2", active=False), facility("c3")), rows=lines(row(2, **{"class": "AMB"}), row(3))
    )
    assert province.sends(first)[0] == 200
    assert province.sends(second, replaces=first)[0] == 200
    assert node.get("Organization/c1").json()["active"] is True
    assert node.get("Organization/c2").json()["active"] is False
    assert rows_of(folder, province.submitter) == [("2", "AMB"), ("3", "VR")]
    assert [each["extension"]["withdrawn"] for each in province.told()["outcome"]] == [True, False]
    assert province.sends(status="stopped")[0] == 200
    assert node.get("Organization/c1").json()["active"] is True
    assert [node.get(f"Organization/{name}").status_code for name in ("c2", "c3")] == [410, 410]
    assert rows_of(folder, province.submitter) == []


def test_a_broken_one_that_replaces_another_leaves_it(node, folder, province):
    first = province.files(rows=lines(row(1)))
    second = province.files(rows=lines(row(2)) + b"{")
    assert province.sends(first)[0] == 200
    assert province.sends(second, replaces=first)[0] == 422
    assert rows_of(folder, province.submitter) == [("1", "VR")]


def test_what_is_compacted_is_taken_back_too(folder, province):
    first, second = province.files(rows=lines(row(1), row(2))), province.files(rows=lines(row(2)))
    assert province.sends(first)[0] == 200
    Lake(folder / LAKE).compact(read_view(view_engine(r4()), own_view("encounters")))
    assert province.sends(second, replaces=first)[0] == 200
    assert rows_of(folder, province.submitter) == [("2", "VR")]


def test_a_submission_that_is_stopped_takes_back_all_and_takes_no_more(node, folder, province):
    url = province.files(Organization=lines(facility("d1")), rows=lines(row(1)))
    assert province.sends(url)[0] == 200
    province.sends(status="stopped")
    assert node.get("Organization/d1").status_code == 410
    assert rows_of(folder, province.submitter) == []
    outcome(province.ask(url=url), 409, "conflict")


def test_what_others_changed_since_stays(node, province):
    assert province.sends(province.files(Organization=lines(facility("e1"))))[0] == 200
    node.put(facility("e1", active=True))
    province.sends(status="stopped")
    assert node.get("Organization/e1").json()["active"] is True


def test_deletions_and_rows_that_are_gone(node, folder, province):
    assert province.sends(province.files(Organization=lines(facility("f1")), rows=lines(row(1), row(2))))[0] == 200
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "DELETE", "url": "Organization/f1"}}]}  # fmt: skip
    url = province.files(Bundle=lines(bundle), gone=lines({"id": "Encounter/1"}))
    assert province.sends(url)[0] == 200
    assert node.get("Organization/f1").status_code == 410
    assert rows_of(folder, province.submitter) == [("2", "VR")]
    province.sends(status="stopped")
    assert node.get("Organization/f1").status_code == 410


def test_a_submission_that_is_complete_takes_no_other_manifest(province):
    url = province.files(rows=lines(row(1)))
    assert province.sends(url, status="completed")[0] == 200
    assert province.sends(url)[0] == 200
    outcome(province.ask(url=province.files(rows=lines(row(2)))), 409, "conflict")


def test_a_manifest_that_changes_while_it_is_read_is_refused_whole(node, folder, province):
    number = next(NUMBERS)
    Files.held[f"/one.{number}"] = lines(facility("g1"))
    one = {"output": [{"type": "Organization", "url": f"http://{province.host}/one.{number}"}]}
    status, issues = province.sends(province.hold(number, one, {**one, "transactionTime": "later"}))
    assert (status, issues[0]["code"]) == (422, "conflict")
    assert node.get("Organization/g1").status_code == 404


def wrong(name, *bodies):
    return lines(facility(name), *bodies)


BROKEN = {
    "cut": ({"Organization": lines(facility("never"))[:-1] + b'\n{"resourceType":"Organi'}, 2),
    "type": ({"Organization": wrong("never", {"resourceType": "Patient", "id": "x"})}, 2),
    "id": ({"Organization": wrong("never", {"resourceType": "Organization", "name": "x"})}, 2),
    "twice": ({"Organization": wrong("never", facility("never"))}, 2),
    "rule": ({"Organization": wrong("never", facility("x", active="yes"))}, 2),
    "column": ({"rows": lines(row(1), row(2, name="Nguyen Van A")), "Organization": wrong("never")}, 2),
    "value": ({"rows": lines(row(1), row(2), row(3, status=True)), "Organization": wrong("never")}, None),
    "row": ({"rows": lines(row(1), ["x"]), "Organization": wrong("never")}, 2),
    "gone": ({"Organization": wrong("never"), "gone": lines({"id": "x"}, {})}, 2),
    "delete": ({"Organization": wrong("never"), "Bundle": lines({"resourceType": "Bundle"})}, 1),
    "bomb": ({"Organization": gzip.compress(b" " * 50_000_000 + b"\n")}, None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_manifest_is_refused_whole_with_file_and_line(node, folder, province, name):
    files, line = BROKEN[name]
    status, issues = province.sends(province.files(**files))
    if name == "value":  # a boolean in a text column is its JSON
        assert status == 200
        province.sends(status="stopped")
    else:
        assert status == 422
        assert "http://" in issues[0]["details"]["text"] or "http://" in issues[0]["extension"][0]["valueString"]
    if line is not None:
        extensions = {each["url"].rpartition("/")[2]: each for each in issues[0]["extension"]}
        assert extensions["operationoutcome-issue-line"]["valueInteger"] == line
    assert node.get("Organization/never").status_code in (404, 410)
    assert province.node.found("Organization?_id=never") == []


def test_a_count_that_is_wrong_is_refused(province):
    number = next(NUMBERS)
    Files.held[f"/few.{number}"] = lines(facility("h1"))
    entry = {"type": "Organization", "url": f"http://{province.host}/few.{number}", "count": 2}
    assert province.sends(province.hold(number, {"output": [entry]}))[0] == 422


def test_a_manifest_that_was_refused_is_tried_again(node, province):
    url = province.files(Organization=b"{")
    assert province.sends(url)[0] == 422
    Files.held[f"/Organization.{url.rpartition('.')[2]}"] = lines(facility("i1"))
    assert province.sends(url)[0] == 200
    assert node.get("Organization/i1").status_code == 200


def test_headers_go_to_the_senders_host_alone(host, province):
    url = province.files(rows=lines(row(1)))
    header = {"part": [{"name": "headerName", "valueString": "Authorization"},
                       {"name": "headerValue", "valueString": "Bearer of-mine"}]}  # fmt: skip
    assert province.sends(url, fileRequestHeader=header)[0] == 200
    number = url.rpartition(".")[2]
    assert {token for path, token in Files.asked if path.endswith(f".{number}")} == {"Bearer of-mine"}


def test_a_page_that_follows_belongs_to_it(node, province):
    number, other = next(NUMBERS), next(NUMBERS)
    Files.held[f"/x.{number}"] = lines(facility("j1"))
    Files.held[f"/x.{other}"] = lines(facility("j2"))
    second = province.hold(other, {"output": [{"type": "Organization", "url": f"http://{province.host}/x.{other}"}]})
    first = {"output": [{"type": "Organization", "url": f"http://{province.host}/x.{number}"}],
             "link": [{"relation": "next", "url": second}]}  # fmt: skip
    assert province.sends(province.hold(number, first))[0] == 200
    assert [node.get(f"Organization/{name}").status_code for name in ("j1", "j2")] == [200, 200]


def test_what_an_interruption_left_is_taken_back_and_done_again(host, tmp_path, monkeypatch):
    def die(self, keys):
        raise asyncio.CancelledError

    with serving(tmp_path, outbound_hosts=(host,)) as first:
        province = Province(first, host)
        assert (
            province.ask(url=province.files(Organization=lines(facility("k1")), rows=lines(row(1)))).status_code == 200
        )
        with monkeypatch.context() as patched:
            patched.setattr("fhir_server.bulk.receiving.Receipt._deleted", die)
            with pytest.raises(CancelledError):
                first.call(lambda: first.service.submits.follow(first.node))
        assert first.versions("Organization/k1") == 1
    with serving(tmp_path, works=True, outbound_hosts=(host,)) as second:
        province.node = second
        assert [each["extension"]["status"] for each in province.told()["outcome"]] == [200]
        assert second.get("Organization/k1").status_code == 200
        assert rows_of(tmp_path, "p01") == [("1", "VR")]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"url": "http://169.254.169.254/latest"}, "value"),
        ({"url": "https://10.0.0.1/manifest"}, "value"),
        ({"status": "gone"}, "code-invalid"),
        ({"replaces": "https://example.org/m"}, "required"),
        ({"outputFormat": {"valueString": "text/csv"}}, "value"),
        ({"submitter": {"valueIdentifier": {"system": "x"}}}, "required"),
        ({"submitter": {"valueIdentifier": {"value": "../x"}}}, "value"),
        ({"fileRequestHeader": {"part": [{"name": "headerName", "valueString": "Host"}]}}, "value"),
        ({"oauthMetadataUrl": {"valueUrl": "https://example.org"}}, "not-supported"),
    ],
)
def test_what_cannot_be_submitted_is_refused(province, given, code):
    outcome(province.ask(**given), 400, code)


def test_another_submission_is_not_there(province):
    outcome(province.ask("bulk-submit-status"), 404, "not-found")
    outcome(province.node.get("$bulk-submit-status/00000000-0000-0000-0000-000000000000"), 404, "not-found")
