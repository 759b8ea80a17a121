import gzip

import pytest

from tests.serving import outcome, serving

PATIENT = {"resourceType": "Patient", "gender": "female"}
XML = b'<Patient xmlns="http://hl7.org/fhir"><multipleBirthInteger value="2"/></Patient>'


def test_xml_goes_in_and_json_comes_out(server):
    answer = server.ask("POST", "Patient", XML, content_type="application/fhir+xml")
    assert answer.json()["multipleBirthInteger"] == 2


def test_json_goes_in_and_xml_comes_out(server, patient):
    for path, accept in (
        ("", "application/fhir+xml"),
        ("?_format=xml", "*/*"),
        ("?_format=application/fhir+xml", "*/*"),
    ):
        answer = server.get(f"Patient/{patient['id']}{path}", accept=accept)
        assert answer.headers["content-type"] == "application/fhir+xml"
        assert '<gender value="female"/>' in answer.text


def test_a_decimal_is_the_same_in_both(server):
    raw = (
        b'<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="a"/></code>'
        b'<valueQuantity><value value="1.00E-2"/></valueQuantity></Observation>'
    )
    stored = server.ask("POST", "Observation", raw, content_type="application/fhir+xml")
    assert b'"value":1.00E-2' in stored.content
    assert b'value="1.00E-2"' in server.get(f"Observation/{stored.json()['id']}?_format=xml").content


@pytest.mark.parametrize(
    "accept",
    ["application/fhir+json", "application/json", "*/*", "text/html, */*;q=0.1", "application/fhir+xml;q=0, */*", ""],
)
def test_json_is_what_most_get(server, patient, accept):
    headers = {"accept": accept} if accept else {}
    assert server.get(f"Patient/{patient['id']}", **headers).headers["content-type"] == "application/fhir+json"


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("", "text/html"),
        ("", "text/html,../../"),
        ("", "application/fhir+json; fhirVersion=3.0"),
        ("?_format=exe", "*/*"),
        ("?_format=text/turtle", "*/*"),
    ],
)
def test_what_is_not_written_is_refused(server, patient, path, accept):
    outcome(server.get(f"Patient/{patient['id']}{path}", accept=accept), 406, "not-supported")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/fhir+json; charset=utf-16", "json"]
)
def test_what_is_not_read_is_refused(server, content_type):
    outcome(server.ask("POST", "Patient", b"{}", content_type=content_type), 415, "not-supported")


@pytest.mark.parametrize(
    "raw",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + XML,
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + XML,
        b"<Patient>",
    ],
)
def test_dangerous_xml_is_refused(server, raw):
    outcome(server.ask("POST", "Patient", raw, content_type="application/fhir+xml"), 400, "structure")


def test_lines_for_people(server):
    stored = server.ask("POST", "Patient", b'{"resourceType":"Patient","multipleBirthInteger":2}').json()
    text = server.get(f"Patient/{stored['id']}?_pretty=true").text
    assert text.startswith('{\n  "resourceType": "Patient",\n')


def test_packed_bodies_are_read_and_written(server):
    body = b'{"resourceType":"Patient","name":[{"text":"' + 3000 * b"a" + b'"}]}'
    answer = server.ask("POST", "Patient", gzip.compress(body), content_encoding="gzip")
    assert answer.status_code == 201
    stored = server.get(f"Patient/{answer.json()['id']}", accept_encoding="gzip")
    assert stored.headers["content-encoding"] == "gzip"
    assert stored.json()["name"][0]["text"] == 3000 * "a"
    assert "content-encoding" not in server.get(f"Patient/{answer.json()['id']}", accept_encoding="identity").headers


BOMB = gzip.compress(bytes(20_000_000))


@pytest.mark.parametrize(
    ("raw", "encoding", "status", "code"),
    [
        (BOMB, "gzip", 413, "too-long"),
        (gzip.compress(gzip.compress(b"{}")), "gzip", 415, "not-supported"),
        (b"{}", "gzip, gzip", 415, "not-supported"),
        (b"{}", "br", 415, "not-supported"),
        (b"{}", "gzip", 400, "structure"),
        (gzip.compress(b"{}")[:-4], "gzip", 400, "structure"),
        (gzip.compress(b"{}") + b"more", "gzip", 400, "structure"),
    ],
    ids=["bomb", "twice", "twice announced", "unknown", "not packed", "cut off", "more"],
)
def test_badly_packed_bodies_are_refused(server, raw, encoding, status, code):
    outcome(server.ask("POST", "Patient", raw, content_encoding=encoding), status, code)


def test_too_much_is_refused():
    with serving(body_bytes=1000, bundle_bytes=2000, url_bytes=300, header_bytes=2000) as server:
        long = {"resourceType": "Patient", "name": [{"text": 1000 * "a"}]}
        outcome(server.ask("POST", "Patient", long), 413, "too-long")
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": []}
        assert server.ask("POST", "", {**bundle, "identifier": {"value": 1000 * "a"}}).status_code == 200
        outcome(server.ask("POST", "", {**bundle, "identifier": {"value": 2000 * "a"}}), 413, "too-long")
        outcome(server.get("Patient?name=" + 300 * "a"), 414, "too-long")
        outcome(server.get("Patient", x_more=2000 * "a"), 431, "too-long")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "Patient/1", "DELETE, GET, PATCH, PUT"),
        ("DELETE", "metadata", "GET"),
        ("TRACE", "Patient/1", "DELETE, GET, PATCH, PUT"),
        ("PUT", "", "GET, POST"),
    ],
)
def test_a_method_that_is_not_for_this_is_refused(server, method, path, allowed):
    answer = server.ask(method, path)
    outcome(answer, 405, "not-supported")
    assert answer.headers["allow"] == allowed


def test_pages_of_allowed_origins_may_call():
    with serving(cors_origins=("https://app.example.vn", "http://localhost:*")) as server:
        for origin in ("https://app.example.vn", "http://localhost:5173"):
            answer = server.get("metadata", origin=origin)
            assert answer.headers["access-control-allow-origin"] == origin
            asked = server.ask("OPTIONS", "Patient/1", origin=origin, access_control_request_method="PUT")
            assert asked.status_code == 204
            assert "PUT" in asked.headers["access-control-allow-methods"]
            assert "if-match" in asked.headers["access-control-allow-headers"]
        for origin in (
            "https://evil.example",
            "https://app.example.vn.evil.example",
            "http://localhost:1@evil.example",
        ):
            assert "access-control-allow-origin" not in server.get("Patient", origin=origin).headers


def test_any_page_may_read_what_the_server_can():
    with serving(cors_origins=()) as server:
        answer = server.get("metadata", origin="https://app.example.org")
        assert answer.headers["access-control-allow-origin"] == "https://app.example.org"


def test_the_request_has_a_name(server):
    assert server.get("Patient/1", x_request_id="of-the-client.1").headers["x-request-id"] == "of-the-client.1"
    for wrong in ("a b", 65 * "a", "<script>"):
        assert server.get("Patient/1", x_request_id=wrong).headers["x-request-id"] != wrong
