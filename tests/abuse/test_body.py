"""Bodies that are broken, too large, or dangerous (rows 1 to 16, 37, 48, 49 of the catalogue)."""

import gzip
import time

import pytest

from tests.abuse.attack import CPU_SECONDS, XML, Abuse, Keeper, bomb, patient, raw, refused
from tests.serving import Served

GZIP = {"content_encoding": "gzip"}
IN_XML = {"content_type": XML}
DIV = '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">%s</div>"}'
PATIENT = {"resourceType": "Patient"}
OBSERVATION = '{"resourceType":"Observation","status":"final","code":{"text":"a"},"valueQuantity":{"value":%s}}'
IN_FHIR = 'xmlns="http://hl7.org/fhir"'
LAUGHS = '<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {after} "{f"&{before};" * 10}">' for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
XXE = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><Patient {IN_FHIR}><language value="&x;"/></Patient>'
PARAMETER = f'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x">%x;]><Patient {IN_FHIR}/>'


def questionnaire(levels: int) -> bytes:
    items = "".join(f',"item":[{{"linkId":"{level}","type":"group"' for level in range(levels)) + "}]" * levels
    return f'{{"resourceType":"Questionnaire","status":"draft"{items}}}'.encode()


def contained(*resources: object) -> dict[str, object]:
    return {**PATIENT, "contained": list(resources)}


def organization(number: int, part_of: int) -> dict[str, object]:
    reference = {"reference": f"#{part_of}"}
    return {"resourceType": "Organization", "id": str(number), "name": "a", "partOf": reference}


ABUSES = (
    Abuse(1, "truncated", 400, "structure", body=b'{"resourceType":"Patient",', says="ends before"),
    Abuse(1, "empty", 400, "structure", body=b"", says="empty"),
    Abuse(1, "an-array", 400, "structure", body=b"[]", says="one JSON object"),
    Abuse(1, "a-number", 400, "structure", body=b"1"),
    Abuse(1, "no-type", 400, "structure", body=b"{}", says="resourceType"),
    Abuse(1, "type-is-a-list", 400, "structure", body=b'{"resourceType":["Patient"]}', says="resourceType"),
    Abuse(1, "truncated-xml", 400, "structure", body=b"<Patient xmlns='http://hl7.org/fhir'>", headers=IN_XML),
    Abuse(2, "another-type", 400, "invalid", path="Observation", body=PATIENT, where="Patient", says="Observation"),
    Abuse(2, "abstract-type", 404, "not-found", path="DomainResource", body={"resourceType": "DomainResource"}),
    Abuse(2, "unknown-type", 404, "not-found", path="Patent", body={"resourceType": "Patent"}, says="Patient"),
    Abuse(3, "nested-100000-arrays", 400, "structure", body=patient(f'"name":{"[" * 100_000}')),
    Abuse(3, "nested-closed", 400, "structure|too-long", body=patient(f'"name":{"[" * 2000}{"]" * 2000}')),
    Abuse(3, "nested-500", 400, "too-long", body=patient(f'"name":{"[" * 500}{"]" * 500}'), says="deep"),
    Abuse(
        3,
        "nested-xml",
        400,
        "structure|too-long",
        body=f"<Patient {IN_FHIR}>{'<contact>' * 100_000}".encode(),
        headers=IN_XML,
    ),
    *(
        Abuse(4, name, 400, "structure|value", path="Observation", body=(OBSERVATION % text).encode())
        for name, text in (
            ("nan", "NaN"),
            ("infinity", "-Infinity"),
            ("1e400", "1e400"),
            ("5000-digits", "9" * 5000),
            ("leading-zero", "01"),
            ("a-string", '"1"'),
        )
    ),
    Abuse(5, "two-ids", 400, "structure", body=patient('"id":"a","id":"b"'), where="Patient.id", says="more than once"),
    Abuse(
        5,
        "two-in-depth",
        400,
        "structure",
        body=patient('"name":[{"text":"a","text":"b"}]'),
        where="Patient.name[0].text",
    ),
    Abuse(5, "two-types", 400, "structure", body=patient('"resourceType":"Patient"'), where="Patient.resourceType"),
    Abuse(6, "nul-escaped", 400, "invalid|value", body=patient('"language":"a\\u0000b"'), says="control character"),
    Abuse(6, "bell-escaped", 400, "invalid|value", body=patient('"language":"a\\u0007b"'), says="control character"),
    Abuse(6, "nul-bare", 400, "structure|value", body=patient('"language":"a\0b"')),
    Abuse(6, "escape-bare", 400, "structure|value", body=patient('"language":"a\x1bb"')),
    Abuse(6, "nul-in-a-name", 400, "invalid|structure|value", body=patient('"a\\u0000":1')),
    Abuse(7, "lone-surrogate", 400, "structure", body=patient('"language":"\\ud800"')),
    Abuse(
        7, "latin-1", 400, "structure", body='{"resourceType":"Patient","language":"é"}'.encode("latin-1"), says="UTF-8"
    ),
    Abuse(7, "utf-16", 400, "structure", body='{"resourceType":"Patient"}'.encode("utf-16")),
    Abuse(
        7,
        "utf-16-announced",
        415,
        "not-supported",
        body=b"{}",
        headers={"content_type": "application/fhir+json; charset=utf-16"},
    ),
    Abuse(7, "byte-order-mark", 400, "structure", body=b"\xef\xbb\xbf" + raw(PATIENT), says="byte order mark"),
    Abuse(8, "20-mb-narrative", 413, "too-long", body=lambda: patient(DIV % ("a" * 20_000_000)), says="10,000,000"),
    Abuse(
        8,
        "2-mb-string",
        400,
        "too-long",
        body=lambda: patient(f'"name":[{{"text":"{"a" * 2_000_000}"}}]'),
        where="Patient.name[0].text",
    ),
    Abuse(8, "a-million-members", 400, "too-long", body=lambda: patient(",".join(f'"a{n}":1' for n in range(500_000)))),
    Abuse(9, "gzip-bomb", 413, "too-long", body=lambda: bomb(100), headers=GZIP, says="unpacks"),
    Abuse(9, "gzip-bomb-to-all", 413, "too-long", path="", body=lambda: bomb(200), headers=GZIP, says="unpacks"),
    Abuse(9, "gzip-cut", 400, "structure", body=gzip.compress(raw(PATIENT))[:-9], headers=GZIP),
    Abuse(9, "gzip-not", 400, "structure", body=raw(PATIENT), headers=GZIP),
    Abuse(9, "gzip-and-more", 400, "structure", body=gzip.compress(raw(PATIENT)) + b"{}", headers=GZIP),
    Abuse(10, "gzip-of-gzip", 415, "not-supported", body=gzip.compress(gzip.compress(raw(PATIENT))), headers=GZIP),
    Abuse(10, "gzip-gzip", 415, "not-supported", body=b"", headers={"content_encoding": "gzip, gzip"}),
    Abuse(10, "brotli", 415, "not-supported", body=b"a", headers={"content_encoding": "br"}, says="gzip"),
    Abuse(
        11,
        "base64-backtracking",
        400,
        "value",
        path="Binary",
        body={"resourceType": "Binary", "contentType": "text/plain", "data": "AAAA " * 24 + "!"},
        where="Binary.data",
    ),
    Abuse(
        12,
        "laughs",
        400,
        "structure",
        body=f"<!DOCTYPE a [{LAUGHS}]><Patient {IN_FHIR}><language value='&i;'/></Patient>".encode(),
        headers=IN_XML,
    ),
    Abuse(12, "external-entity", 400, "structure", body=XXE.encode(), headers=IN_XML),
    Abuse(12, "parameter-entity", 400, "structure", body=PARAMETER.encode(), headers=IN_XML),
    Abuse(
        12, "bare-doctype", 400, "structure", body=f"<!DOCTYPE Patient><Patient {IN_FHIR}/>".encode(), headers=IN_XML
    ),
    *(
        Abuse(13, name, 400, "invariant|structure|value|invalid", body=patient(DIV % text.replace('"', '\\"')))
        for name, text in (
            ("script", "<script>alert(1)</script>"),
            ("javascript", '<a href="javascript:alert(1)">a</a>'),
            ("javascript-hidden", '<a href=" JaVa&#10;Script:alert(1)">a</a>'),
            ("handler", '<p onclick="alert(1)">a</p>'),
            ("frame", '<iframe src="http://example.org"/>'),
            ("form", '<form action="http://example.org"><input/></form>'),
            ("entities", "<p>&xxe;</p>"),
        )
    ),
    Abuse(
        14,
        "another-id",
        400,
        "invalid",
        "PUT",
        "Patient/1",
        {**PATIENT, "id": "2"},
        where="Patient.id",
        says="Patient/1",
    ),
    Abuse(14, "no-id", 400, "invalid", "PUT", "Patient/1", PATIENT, where="Patient.id"),
    Abuse(15, "id-of-65", 400, "value", "PUT", f"Patient/{'a' * 65}", {**PATIENT, "id": "a" * 65}),
    Abuse(15, "id-up-and-out", 400, "value", "GET", "Patient/..%2f..%2fetc%2fpasswd"),
    Abuse(15, "id-nul", 400, "value", "GET", "Patient/a%00b"),
    Abuse(15, "id-proto", 400, "value", "PUT", "Patient/__proto__", {**PATIENT, "id": "__proto__"}),
    Abuse(15, "id-where", 404, "not-found", "GET", "Patient/$where"),
    Abuse(15, "id-not-utf-8", 400, "value|invalid", "GET", "Patient/%ff"),
    Abuse(15, "version-nul", 404, "not-found", "GET", "Patient/1/_history/1%00"),
    Abuse(
        15,
        "id-in-body-only",
        400,
        "value",
        "POST",
        "Patient",
        contained({**PATIENT, "id": "../x"}),
        where="Patient.contained[0].id",
    ),
    Abuse(
        37,
        "contained-orphan",
        400,
        "invariant",
        body=contained({"resourceType": "Organization", "id": "1", "name": "a"}),
    ),
    Abuse(
        37,
        "contained-10000",
        400,
        "invariant|too-costly",
        body=lambda: raw(contained(*(organization(n, n + 1) for n in range(10_000)))),
    ),
    Abuse(
        37,
        "contained-in-contained",
        400,
        "invariant|structure",
        body=contained({"resourceType": "Organization", "id": "1", "name": "a", "contained": [{**PATIENT, "id": "2"}]}),
    ),
    Abuse(49, "questionnaire-200-levels", 400, "too-long", path="Questionnaire", body=questionnaire(200)),
)


@pytest.mark.parametrize("abuse", ABUSES, ids=str)
def test_it_is_refused_and_leaves_nothing(server: Served, keeper: Keeper, abuse: Abuse):
    refused(abuse.commit(server), abuse)
    keeper.check()


def test_11_base64_that_makes_a_regular_expression_explode_is_seen_through_at_once(server):
    body = {"resourceType": "Binary", "contentType": "text/plain", "data": "AAAA " * 200_000 + "!"}
    started = time.process_time()
    assert server.ask("POST", "Binary", body).status_code == 400
    assert time.process_time() - started < CPU_SECONDS


def test_12_an_entity_is_never_looked_up(server):
    answer = server.ask("POST", "Patient", XXE.encode(), content_type=XML)
    assert "DOCTYPE" in answer.json()["issue"][0]["details"]["text"]


@pytest.mark.parametrize(
    "text", ['<img src="http://example.org/a.png" alt="a"/>', '<p style="background:url(http://example.org/a)">a</p>']
)
def test_13_an_image_from_elsewhere_is_legal_and_never_fetched_by_our_pages(server, keeper, text):
    answer = server.ask("POST", "Patient", patient(DIV % text.replace('"', '\\"')))
    assert answer.status_code == 201
    policy = server.ask("GET", "../").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "img-src 'self' data: blob:;" in policy
    keeper.accept()


def test_37_contained_resources_that_refer_to_each_other_are_read_and_searched(server, keeper):
    body = contained(organization(1, 2), organization(2, 1)) | {"managingOrganization": {"reference": "#1"}}
    made = server.create(body)
    assert server.found(f"Patient?_id={made['id']}&_include=*") == [made["id"]]
    assert server.get(f"Patient/{made['id']}/$everything").status_code == 200
    keeper.accept()


def test_16_the_server_decides_on_version_and_time(server, keeper):
    meta = {"versionId": "77", "lastUpdated": "1999-01-01T00:00:00Z"}
    made = server.create({"resourceType": "Patient", "meta": meta})
    assert made["meta"]["versionId"] == "1"
    assert made["meta"]["lastUpdated"] > "2020"
    again = server.put({**made, "meta": meta, "active": True}).json()
    assert again["meta"]["versionId"] == "2"
    keeper.accept()


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "identity"])
def test_10_one_known_encoding_is_read(server, keeper, encoding):
    body = raw(PATIENT) if encoding == "identity" else gzip.compress(raw(PATIENT))
    assert server.ask("POST", "Patient", body, content_encoding=encoding).status_code == 201
    keeper.accept()
