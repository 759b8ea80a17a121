"""Writes that break a rule between requests (rows 17 to 24, 34 to 36, 43 and 44 of the catalogue)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
import pytest

from tests.abuse.attack import Abuse, Keeper, bundle, posting, refused
from tests.serving import Served, serving

PATIENT = {"resourceType": "Patient"}
JSON_PATCH = {"content_type": "application/json-patch+json"}
URN = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"
OTHER_URN = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0b"


def asking(method: str, url: str, resource: Any = None) -> dict[str, Any]:
    """An entry that asks for anything."""
    entry: dict[str, Any] = {"request": {"method": method, "url": url}}
    return entry if resource is None else {**entry, "resource": resource}


def of_bundle(
    row: int, name: str, status: int, codes: str, *entries: Any, kind: str = "transaction", **more: Any
) -> Abuse:
    """A Bundle that must be refused as a whole."""
    return Abuse(row, name, status, codes, path="", body=bundle(kind, *entries), **more)


def many(count: int, kind: str) -> bytes:
    entry = orjson.dumps(posting(PATIENT))
    return b'{"resourceType":"Bundle","type":"%s","entry":[%s]}' % (kind.encode(), b",".join([entry] * count))


def value(name: str, kind: str, text: Any) -> dict[str, Any]:
    return {"name": name, kind: text}


def fhirpath_patch(path: str) -> dict[str, Any]:
    parts = [value("type", "valueCode", "delete"), value("path", "valueString", path)]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


UPDATED = {**PATIENT, "id": "a"}
ABUSES = (
    of_bundle(
        20,
        "one-of-500",
        400,
        "structure",
        *[posting(PATIENT)] * 499,
        posting({**PATIENT, "gendre": "male"}),
        where="Bundle.entry[499].resource.gendre",
    ),
    of_bundle(
        20,
        "dangling",
        422,
        "not-found|business-rule|invalid|processing",
        posting(PATIENT),
        posting({**PATIENT, "managingOrganization": {"reference": "Organization/none"}}),
    ),
    Abuse(
        21,
        "transaction-of-5001",
        413,
        "too-costly",
        path="",
        body=lambda: many(5001, "transaction"),
        where="Bundle.entry",
        says="5,000",
    ),
    Abuse(
        21,
        "batch-of-1001",
        413,
        "too-costly",
        path="",
        body=lambda: many(1001, "batch"),
        where="Bundle.entry",
        says="1,000",
    ),
    Abuse(21, "transaction-of-200000", 413, "too-costly", path="", body=lambda: many(200_000, "transaction")),
    of_bundle(
        22,
        "one-full-url-twice",
        400,
        "invariant",
        posting(PATIENT, fullUrl=URN),
        posting(PATIENT, fullUrl=URN),
        where="Bundle.entry[1].fullUrl",
    ),
    of_bundle(
        22,
        "two-updates-of-one",
        400,
        "invariant|duplicate|conflict|invalid",
        asking("PUT", "Patient/a", UPDATED),
        asking("PUT", "Patient/a", UPDATED),
    ),
    of_bundle(
        22,
        "update-and-delete-of-one",
        400,
        "invariant|duplicate|conflict|invalid",
        asking("PUT", "Patient/a", UPDATED),
        asking("DELETE", "Patient/a"),
    ),
    of_bundle(
        22,
        "urn-that-nobody-has",
        422,
        "not-found|invalid|invariant",
        posting({**PATIENT, "managingOrganization": {"reference": URN}}),
    ),
    of_bundle(
        23,
        "elsewhere",
        400,
        "invalid",
        asking("GET", "http://169.254.169.254/latest/meta-data"),
        where="Bundle.entry[0].request.url",
    ),
    of_bundle(
        23, "elsewhere-in-a-batch", 400, "invalid", asking("POST", "http://169.254.169.254/", PATIENT), kind="batch"
    ),
    of_bundle(23, "up-and-out", 400, "invalid", asking("PUT", "../../admin", PATIENT)),
    of_bundle(23, "up-and-out-hidden", 400, "invalid|value", asking("GET", "Patient/%2e%2e/%2e%2e/admin")),
    of_bundle(
        23,
        "no-method",
        400,
        "value",
        {"resource": PATIENT, "request": {"url": "Patient"}},
        where="Bundle.entry[0].request.method",
    ),
    of_bundle(23, "method-trace", 400, "value", asking("TRACE", "Patient")),
    of_bundle(
        23, "url-is-a-number", 400, "required|structure", {"resource": PATIENT, "request": {"method": "POST", "url": 1}}
    ),
    of_bundle(
        23,
        "condition-is-an-object",
        400,
        "structure",
        {"resource": PATIENT, "request": {"method": "POST", "url": "Patient", "ifNoneExist": {"a": 1}}},
    ),
    Abuse(
        23,
        "entry-is-a-string",
        400,
        "invalid|structure",
        path="",
        body={"resourceType": "Bundle", "type": "batch", "entry": ["a"]},
    ),
    Abuse(
        23,
        "entry-is-an-object",
        400,
        "invalid|structure",
        path="",
        body={"resourceType": "Bundle", "type": "batch", "entry": {}},
    ),
    of_bundle(24, "batch-in-a-batch", 400, "not-supported", asking("POST", "", bundle("batch")), kind="batch"),
    of_bundle(24, "transaction-in-a-transaction", 400, "not-supported", asking("POST", "/", bundle("transaction"))),
    of_bundle(24, "history-sent-back", 400, "value", kind="history", where="Bundle.type"),
    Abuse(24, "no-bundle", 400, "invalid", path="", body=PATIENT, says="Bundle"),
)


@pytest.mark.parametrize("abuse", ABUSES, ids=str)
def test_it_is_refused_and_leaves_nothing(server: Served, keeper: Keeper, abuse: Abuse):
    refused(abuse.commit(server), abuse)
    keeper.check()


def test_17_a_stale_version_is_not_written_over(server, keeper):
    made = server.create(PATIENT)
    path = f"Patient/{made['id']}"
    server.put({**made, "active": True})
    keeper.accept()
    for method, body in (
        ("PUT", made),
        ("DELETE", None),
        ("PATCH", [{"op": "add", "path": "/active", "value": False}]),
    ):
        headers = JSON_PATCH if method == "PATCH" else {}
        answer = server.ask(method, path, body, if_match='W/"1"', **headers)
        refused(answer, Abuse(17, method, 412, "conflict", says="2"))
        keeper.check()
    assert server.put(made, if_match='"0x2"').status_code == 412
    assert server.put(made, if_match="W/2,,").status_code == 400
    keeper.check()


def test_19_a_condition_that_matches_two_creates_nothing(server, keeper):
    twin = {**PATIENT, "identifier": [{"system": "http://example.org", "value": "twin"}]}
    server.create(twin)
    server.create(twin)
    keeper.accept()
    query = "identifier=http://example.org|twin"
    for answer in (
        server.ask("POST", "Patient", twin, if_none_exist=query),
        server.ask("PUT", f"Patient?{query}", twin),
        server.ask("DELETE", f"Patient?{query}"),
        server.ask("PATCH", f"Patient?{query}", [], **JSON_PATCH),
    ):
        refused(answer, Abuse(19, "two", 412, "multiple-matches"))
    keeper.check()


NOTHING = (
    "",
    "?",
    "_count=1",
    "_sort=name",
    "_include=*",
    "nickname=a",
    "name:fuzzy=a",
    "_id",
    "identifier=",
    "identifier=&active=true",
)


@pytest.mark.parametrize("query", NOTHING)
def test_19_a_condition_that_says_nothing_finds_nothing(query):
    with serving() as server:
        only = server.create({**PATIENT, "active": True})
        for answer in (
            server.ask("POST", "Patient", PATIENT, if_none_exist=query),
            server.ask("PUT", f"Patient?{query}", PATIENT),
            server.ask("PATCH", f"Patient?{query}", [{"op": "remove", "path": "/active"}], **JSON_PATCH),
            server.ask("DELETE", f"Patient?{query}"),
        ):
            assert answer.status_code == 400, answer.text
            assert answer.json()["issue"][0]["code"] in ("invalid", "value", "not-supported")
        assert server.get(f"Patient/{only['id']}").json() == only


def test_22_resources_that_refer_to_each_other_are_made_together(server, keeper):
    one = {"resourceType": "Organization", "name": "one", "partOf": {"reference": OTHER_URN}}
    other = {"resourceType": "Organization", "name": "other", "partOf": {"reference": URN}}
    answer = server.ask("POST", "", bundle("transaction", posting(one, fullUrl=URN), posting(other, fullUrl=OTHER_URN)))
    assert answer.status_code == 200
    first, second = (entry["response"]["location"].split("/")[-3] for entry in answer.json()["entry"])
    assert server.get(f"Organization/{first}").json()["partOf"]["reference"] == f"Organization/{second}"
    assert server.get(f"Organization/{second}").json()["partOf"]["reference"] == f"Organization/{first}"
    keeper.accept()


@pytest.mark.parametrize(
    "path",
    [
        "Patient.name.where(family.matches('(a+)+$'))",
        "Patient.repeat(children()).repeat(children()).repeat(children())",
        "Patient.descendants().descendants().descendants()",
        "Patient.name.select(" * 40 + "family" + ")" * 40,
        "(" * 3000 + "Patient" + ")" * 3000,
        "Patient.name.where("
        + "family.replaceMatches('(a|a)*', '$0$0').".replace("family.", "family.")
        + "length() > 0)",
        "Patient" + ".name" * 3000,
        "resolve()",
        "%resource.trace('a')",
    ],
)
def test_34_an_expression_that_costs_much_ends_soon(server, keeper, path):
    made = server.create({**PATIENT, "name": [{"family": "a" * 5000 + "!"}] * 20})
    keeper.accept()
    abuse = Abuse(34, "patch", 0, "", "PATCH", f"Patient/{made['id']}", fhirpath_patch(path))
    answer = abuse.commit(server)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text[:300]
    if answer.status_code == 200:
        assert answer.json() == made
    else:
        assert answer.json()["issue"][0]["details"]["text"]
    keeper.check()


def patched(server: Served, operations: Any, **members: Any) -> tuple[int, dict[str, Any]]:
    made = server.create({**PATIENT, **members})
    abuse = Abuse(35, "patch", 0, "", "PATCH", f"Patient/{made['id']}", operations, JSON_PATCH)
    answer = abuse.commit(server)
    return answer.status_code, answer.json()


def test_35_ten_thousand_operations_are_refused(server):
    status, body = patched(server, [{"op": "add", "path": "/active", "value": True}] * 10_000)
    assert status in (400, 413, 422)
    assert body["issue"][0]["code"] in ("too-costly", "too-long")


def test_35_a_patch_that_doubles_again_and_again_is_refused(server):
    operations: list[dict[str, Any]] = [{"op": "copy", "from": "/name", "path": "/name/-"}] * 60
    status, body = patched(server, operations, name=[{"family": "a" * 1000}])
    assert 400 <= status < 500
    assert body["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "operations",
    [
        {},
        [1],
        [{"op": "add"}],
        [{"op": "take", "path": "/a"}],
        [{"op": "add", "path": "active", "value": True}],
        [{"op": "remove", "path": "/name/99999999999999999999"}],
        [{"op": "remove", "path": "/name/-1"}],
        [{"op": "add", "path": "/name/1e3", "value": {}}],
        [{"op": "add", "path": "/__proto__/a", "value": 1}],
        [{"op": "move", "from": "/name", "path": "/name/0"}],
        [{"op": "remove", "path": ""}],
        [{"op": "replace", "path": "", "value": {"resourceType": "Observation"}}],
        [{"op": "replace", "path": "/id", "value": "other"}],
        [{"op": "replace", "path": "/resourceType", "value": "Observation"}],
        [{"op": "test", "path": "/active", "value": False}],
    ],
    ids=str,
)
def test_35_what_is_no_patch_changes_nothing(server, operations):
    status, body = patched(server, operations, name=[{"family": "a"}])
    assert status in (400, 422), body
    assert body["issue"][0]["details"]["text"]


def test_36_what_is_mandatory_cannot_be_taken_away(server, keeper):
    made = server.create({"resourceType": "Observation", "status": "final", "code": {"text": "a"}})
    keeper.accept()
    answer = server.ask("PATCH", f"Observation/{made['id']}", [{"op": "remove", "path": "/status"}], **JSON_PATCH)
    assert answer.status_code in (400, 422)
    assert answer.json()["issue"][0]["code"] == "required"
    assert answer.json()["issue"][0]["expression"] == ["Observation"]
    keeper.check()


def test_43_what_was_deleted_is_gone_and_what_never_was_is_not_found(server, keeper):
    made = server.create(PATIENT)
    path = f"Patient/{made['id']}"
    assert server.ask("DELETE", path).status_code == 204
    keeper.accept()
    refused(server.get(path), Abuse(43, "read", 410, "deleted"))
    refused(server.get(f"{path}/_history/2"), Abuse(43, "vread", 410, "deleted"))
    assert server.get(f"{path}/_history/1").status_code == 200
    refused(server.get(f"{path}/_history/3"), Abuse(43, "later", 404, "not-found"))
    refused(server.get("Patient/never"), Abuse(43, "never", 404, "not-found"))
    refused(server.get("Patient/never/_history"), Abuse(43, "never", 404, "not-found"))
    assert server.found(f"Patient?_id={made['id']}") == []
    keeper.check()


@pytest.mark.parametrize("kind", ["Device", "Patient", "Group"])
def test_44_no_id_of_another_type_is_betrayed(server, kind):
    made = server.create(PATIENT)
    used, unused = made["id"], "0" * len(made["id"])
    if kind != "Patient":
        one, other = server.get(f"{kind}/{used}"), server.get(f"{kind}/{unused}")
        assert one.status_code == other.status_code == 404
        assert (
            one.json()["issue"][0]["details"]["text"].replace(used, unused)
            == other.json()["issue"][0]["details"]["text"]
        )


def test_20_nothing_of_a_transaction_is_found_after_it_failed(server, keeper):
    keeper.accept()
    marked = {**PATIENT, "identifier": [{"system": "http://example.org", "value": "half"}]}
    wrong = asking("PUT", "Patient/x", {**PATIENT, "id": "y"})
    assert server.ask("POST", "", bundle("transaction", *[posting(marked)] * 5, wrong)).status_code == 400
    assert server.found(f"Patient?identifier={quote('http://example.org|half')}") == []
    keeper.check()


def test_38_stored_pages_are_never_run_by_a_browser(server):
    page = b"<script>alert(1)</script>"
    made = server.ask("POST", "Binary", page, content_type="text/html")
    assert made.status_code == 201
    identity = made.headers["location"].split("/")[-3]
    answer = server.get(f"Binary/{identity}", accept="text/html")
    assert answer.content == page
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    for media_type in ("text/html\r\nSet-Cookie: a=b", "text/html; charset=\u00e9"):
        stored = server.create({"resourceType": "Binary", "contentType": "text/plain", "data": "YQ=="})
        odd = server.put({**stored, "contentType": media_type})
        assert odd.status_code in (200, 400)
        assert "set-cookie" not in server.get(f"Binary/{stored['id']}").headers


NOT_ACCEPTABLE = (
    "text/html,../../",
    "application/fhir+json; fhirVersion=3.0",
    "image/png",
    "a" * 5000,
    "*/*;q=0",
)


@pytest.mark.parametrize("accept", NOT_ACCEPTABLE, ids=lambda text: text[:20])
def test_39_a_format_that_is_not_written_is_refused(server, accept):
    refused(server.get("Patient", accept=accept), Abuse(39, "accept", 406, "not-supported"))


@pytest.mark.parametrize("name", ["exe", "../../etc/passwd", "html", "application/pdf", "\0"])
def test_39_a_format_parameter_that_is_not_known_is_refused(server, name):
    refused(server.get(f"Patient?_format={quote(name)}"), Abuse(39, "format", 406, "not-supported"))
