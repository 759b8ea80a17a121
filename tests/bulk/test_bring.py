import gzip

import orjson
import pytest

from tests.bulk.exports import begun, finished
from tests.bulk.files import Files, hosting
from tests.serving import BASE, outcome, serving


@pytest.fixture(scope="module")
def host():
    with hosting() as found:
        yield found


@pytest.fixture(scope="module")
def node(host):
    with serving(works=True, outbound_hosts=(host,), import_bytes=1_000_000) as served:
        yield served


def lines(*bodies):
    return b"".join(orjson.dumps(body) + b"\n" for body in bodies)


def patient(name, **more):
    return {"resourceType": "Patient", "id": name, **more}


def manifest(host, *files):
    listed = [{"type": kind, "url": f"http://{host}{path}"} for kind, path in files]
    return {"inputFormat": "application/fhir+ndjson", "input": listed}


def ask(node, body):
    return node.ask("POST", "$import", body, prefer="respond-async", content_type="application/json")


def ended(node, body):
    answer = ask(node, body)
    assert answer.status_code == 202, answer.text
    status = answer.headers["content-location"].removeprefix(f"{BASE}/")
    while (answer := node.get(status)).status_code == 202:
        assert "x-progress" in answer.headers
    return answer


def test_files_are_stored_with_what_refers_to_a_later_one(node, host):
    observation = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"},
                   "subject": {"reference": "Patient/a"}}  # fmt: skip
    Files.held |= {
        "/Patient.ndjson": lines(patient("a"), patient("b")),
        "/Observation.gz": gzip.compress(lines(observation)),
    }
    answer = ended(node, manifest(host, ("Patient", "/Patient.ndjson"), ("Observation", "/Observation.gz")))
    told = answer.json()
    assert (told["stored"], told["rejected"], told["error"]) == (3, 0, [])
    assert node.get("Observation/o").status_code == 200


def test_what_breaks_a_rule_is_told_with_file_and_line_and_the_rest_is_stored(node, host):
    Files.held["/rules"] = lines(patient("c"), patient("d", gender="none"), patient("e"))
    told = ended(node, manifest(host, ("Patient", "/rules"))).json()
    assert (told["stored"], told["rejected"]) == (2, 1)
    path = told["error"][0]["url"].removeprefix(f"{BASE}/")
    (line,) = node.get(path).content.splitlines()
    (file, number) = orjson.loads(line)["issue"][0]["extension"]
    assert file["valueString"] == f"http://{host}/rules:2"
    assert number["valueInteger"] == 2


BROKEN = {
    "/cut": lines(patient("never"))[:-1] + b'\n{"resourceType":"Pat',
    "/wrong": lines(patient("never"), {"resourceType": "Observation"}),
    "/nothing": b"\x00\x01\x02\n",
    "/bomb.gz": gzip.compress(b" " * 50_000_000 + b"\n"),
    "/deep": lines(patient("never")) + b"[" * 100_000 + b"\n",
    "/torn.gz": gzip.compress(lines(*(patient(f"never{n}") for n in range(100))))[:-200],
    "/elsewhere": b"",
}


@pytest.mark.parametrize("path", [*BROKEN, "/missing"])
def test_a_broken_file_is_named_with_its_line_and_nothing_is_stored(node, host, path):
    Files.held |= {**BROKEN, "/good": lines(patient("never"))}
    if path == "/elsewhere":
        Files.held.pop(path)
    answer = ended(node, manifest(host, ("Patient", "/good"), ("Patient", path)))
    assert answer.status_code == 422
    assert f"http://{host}{path}" in answer.text
    assert node.get("Patient/never").status_code == 404
    if path in ("/cut", "/wrong", "/deep"):
        assert answer.json()["issue"][0]["extension"][1]["valueInteger"] == 2


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest", "http://127.0.0.1:1/x", "https://localhost/x", "file:///etc/passwd",
     "https://10.0.0.1/x", "https://[::1]/x", "ftp://example.org/x", "https://user@example.org/x", "x"],
)  # fmt: skip
def test_what_is_not_on_the_public_network_is_not_asked(node, url):
    outcome(ask(node, {"input": [{"type": "Patient", "url": url}]}), 400, "value")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "structure"),
        ([], "structure"),
        ({"input": []}, "structure"),
        ({"input": [{"type": "Bundle", "url": "https://example.org/x"}]}, "value"),
        ({"input": [{"type": "Patient"}]}, "required"),
        ({"input": [{"type": "Patient", "url": "https://example.org/x"}], "inputFormat": "text/csv"}, "value"),
    ],
)
def test_a_manifest_that_is_none_is_refused(node, body, code):
    outcome(ask(node, body), 400, code)


def test_a_disk_that_is_full_is_said_and_nothing_is_stored(node, host, monkeypatch):
    def full(self, url, target, most, seconds, headers=None):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fhir_server.auth.outbound.Outbound.save", full)
    Files.held["/full"] = lines(patient("never"))
    answer = ended(node, manifest(host, ("Patient", "/full")))
    outcome_body = answer.json()
    assert (answer.status_code, outcome_body["issue"][0]["code"]) == (507, "no-store")
    assert node.get("Patient/never").status_code == 404


def test_what_is_exported_deleted_and_imported_again_is_the_same_byte_for_byte(host, synthea_resources):
    wanted = [
        line for line in synthea_resources if line.startswith((b'{"resourceType":"Patient"', b'{"resourceType": "P'))
    ]
    with serving(works=True, outbound_hosts=(host,), referential_integrity=False) as first:
        for line in wanted[:40]:
            body = orjson.loads(line)
            assert first.ask("PUT", f"{body['resourceType']}/{body['id']}", line).status_code == 201
        entries = finished(first.ask, begun(first.ask))["output"]
        files = []
        for number, entry in enumerate(entries):
            content = first.get(entry["url"].removeprefix(f"{BASE}/")).content
            Files.held[f"/again{number}"] = content
            files.append((entry["type"], f"/again{number}", content))
        for kind, _, content in files:
            for line in content.splitlines():
                assert first.ask("DELETE", f"{kind}/{orjson.loads(line)['id']}").status_code in (200, 204)
        told = ended(first, manifest(host, *((kind, path) for kind, path, _ in files))).json()
        assert told["rejected"] == 0
        for kind, _, content in files:
            for line in content.splitlines():
                again = first.get(f"{kind}/{orjson.loads(line)['id']}").content
                assert without_meta(again) == without_meta(line)


def without_meta(raw):
    """The bytes of a resource, but for the number and the time of its version, which are new."""
    meta = orjson.loads(raw)["meta"]
    for name in ("versionId", "lastUpdated"):
        raw = raw.replace(orjson.dumps({name: meta[name]})[1:-1], b"")
    return raw
