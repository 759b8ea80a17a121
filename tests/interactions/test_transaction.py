import pytest

from tests.serving import Ask, outcome, serving

SYSTEM = "https://example.org/id"
URN = "urn:uuid:00000000-0000-4000-8000-00000000000"


def patient(value="p", **more):
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}], **more}


def observation(reference, **more):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "a"},
        "subject": {"reference": reference},
        **more,
    }


def entry(method, url, resource=None, full_url=None, **request):
    made = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url is not None:
        made["fullUrl"] = full_url
    return made


def bundle(*entries, kind="transaction"):
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def done(answer):
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["type"].endswith("-response")
    return body["entry"]


def statuses(answer):
    return [each["response"]["status"][:3] for each in done(answer)]


def located(each):
    return each["response"]["location"].split("/_history")[0]


def test_entries_refer_to_each_other(server):
    sent = bundle(
        entry("POST", "Observation", observation(f"{URN}1", focus=[{"reference": f"{URN}2"}]), f"{URN}3"),
        entry("POST", "Patient", patient("links"), f"{URN}1"),
        entry("PUT", "Patient/chosen", {"resourceType": "Patient", "id": "chosen"}, f"{URN}2"),
    )
    entries = done(server.ask("POST", "", sent))
    stored = server.get(located(entries[0])).json()
    assert stored["subject"]["reference"] == located(entries[1])
    assert stored["focus"][0]["reference"] == "Patient/chosen"
    assert entries[0]["response"]["etag"] == 'W/"1"'
    assert "resource" not in entries[0]


def test_links_are_put_where_they_belong_and_nowhere_else(server):
    narrative = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{URN}1">who</a> {URN}1</div>'
    body = observation(
        f"{URN}1#part",
        identifier=[{"system": "urn:ietf:rfc:3986", "value": f"{URN}1"}],
        extension=[{"url": "https://example.org/x", "valueUri": f"{URN}1"}],
        text={"status": "generated", "div": narrative},
    )
    sent = bundle(entry("POST", "Patient", patient("where"), f"{URN}1"), entry("POST", "Observation", body))
    entries = done(server.ask("POST", "", sent))
    path, stored = located(entries[0]), server.get(located(entries[1])).json()
    assert stored["subject"]["reference"] == f"{path}#part"
    assert stored["identifier"][0]["value"] == f"{URN}1"
    assert stored["extension"][0]["valueUri"] == path
    assert stored["text"]["div"] == narrative.replace(f'href="{URN}1"', f'href="{path}"')


def test_decimals_and_escapes_survive(server):
    raw = (
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"%b1","resource":{"resourceType":"Patient",'
        b'"birthDate":"2000-01-01"},"request":{"method":"POST","url":"Patient"}},{"resource":{"resourceType":'
        b'"Observation","status":"final","code":{"text":"a\\/b"},"subject":{"reference":"%b1"},'
        b'"valueQuantity":{"value":1.10}},"request":{"method":"POST","url":"Observation"}}]}'
    ) % (URN.encode(), URN.encode())
    entries = done(server.ask("POST", "", raw))
    stored = server.get(located(entries[1])).content
    assert b'"value":1.10}' in stored
    assert b'"a\\/b"' in stored
    assert f'"reference":"{located(entries[0])}"'.encode() in stored


def test_conditional_references_find_what_is_stored_and_what_is_sent(server):
    stored = server.create(patient("kept"))
    sent = bundle(
        entry("POST", "Observation", observation(f"Patient?identifier={SYSTEM}|kept")),
        entry("POST", "Observation", observation(f"Patient?identifier={SYSTEM}|fresh")),
        entry("POST", "Patient", patient("fresh")),
    )
    entries = done(server.ask("POST", "", sent))
    subjects = [server.get(located(each)).json()["subject"]["reference"] for each in entries[:2]]
    assert subjects == [f"Patient/{stored['id']}", located(entries[2])]
    for name, code in (("nobody", "not-found"), ("twice", "multiple-matches")):
        if name == "twice":
            server.create(patient("twice"))
            server.create(patient("twice"))
        refused = server.ask(
            "POST", "", bundle(entry("POST", "Observation", observation(f"Patient?identifier={SYSTEM}|{name}")))
        )
        assert outcome(refused, 412, code)["expression"][0].startswith("Bundle.entry[0]")


def test_a_conditional_create_twice_in_a_bundle_makes_one(server):
    create = {"ifNoneExist": f"identifier={SYSTEM}|twin"}
    sent = bundle(
        entry("POST", "Patient", patient("twin"), f"{URN}1", **create),
        entry("POST", "Patient", patient("twin"), f"{URN}2", **create),
        entry("POST", "Observation", observation(f"{URN}2")),
    )
    entries = done(server.ask("POST", "", sent))
    assert [each["response"]["status"][:3] for each in entries] == ["201", "200", "201"]
    assert located(entries[0]) == located(entries[1])
    assert server.get(located(entries[2])).json()["subject"]["reference"] == located(entries[0])
    again = done(server.ask("POST", "", sent))
    assert located(again[0]) == located(entries[0])
    assert len(server.found(f"Patient?identifier={SYSTEM}|twin")) == 1


def test_32_transactions_with_the_same_conditional_create_make_one(server):
    sent = bundle(
        entry("POST", "Patient", patient("raced"), f"{URN}1", ifNoneExist=f"identifier={SYSTEM}|raced"),
        entry("POST", "Observation", observation(f"{URN}1")),
    )
    asks: list[Ask] = [("POST", "", sent, {})] * 32
    answers = server.ask_together(asks)
    assert {answer.status_code for answer in answers} == {200}
    (only,) = server.found(f"Patient?identifier={SYSTEM}|raced")
    subjects = {server.get(located(done(answer)[1])).json()["subject"]["reference"] for answer in answers}
    assert subjects == {f"Patient/{only}"}


def test_deletes_come_first_and_reads_last(server):
    old = server.create(patient("order"))
    sent = bundle(
        entry("GET", f"Patient?identifier={SYSTEM}|order"),
        entry("PUT", "Patient/order", patient("order", id="order")),
        entry("POST", "Patient", patient("order"), ifNoneExist=f"identifier={SYSTEM}|order"),
        entry("DELETE", f"Patient/{old['id']}"),
        entry("GET", "Patient/order"),
        entry("GET", "Patient/nobody"),
    )
    entries = done(server.ask("POST", "", sent))
    assert [each["response"]["status"][:3] for each in entries] == ["200", "201", "201", "204", "200", "404"]
    assert entries[0]["resource"]["total"] == 2
    assert entries[4]["resource"]["id"] == "order"
    assert entries[5]["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_everything_can_change_in_one_transaction(server):
    kept, gone = server.create(patient("c1")), server.create(patient("c2"))
    parts = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "gender"},
        {"name": "value", "valueCode": "male"},
    ]
    change = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    sent = bundle(
        entry("PATCH", f"Patient/{kept['id']}", change),
        entry("DELETE", f"Patient?identifier={SYSTEM}|c2"),
        entry("PUT", f"Patient?identifier={SYSTEM}|c3", patient("c3")),
    )
    assert statuses(server.ask("POST", "", sent, prefer="return=representation")) == ["200", "204", "201"]
    assert server.get(f"Patient/{kept['id']}").json()["gender"] == "male"
    outcome(server.get(f"Patient/{gone['id']}"), 410, "deleted")


def test_what_refers_and_what_is_referred_to_go_together(server):
    person = server.create(patient("both"))
    finding = server.create(observation(f"Patient/{person['id']}"))
    deletes = (entry("DELETE", f"Patient/{person['id']}"), entry("DELETE", f"Observation/{finding['id']}"))
    issue = outcome(server.ask("POST", "", bundle(deletes[0])), 409, "conflict")
    assert issue["expression"] == ["Bundle.entry[0]"]
    assert statuses(server.ask("POST", "", bundle(*deletes))) == ["204", "204"]


def test_what_is_turned_away_may_be_deleted(server):
    old, new = server.create(patient("old")), server.create(patient("new"))
    finding = server.create(observation(f"Patient/{old['id']}"))
    sent = bundle(
        entry("DELETE", f"Patient/{old['id']}"),
        entry("PUT", f"Observation/{finding['id']}", observation(f"Patient/{new['id']}", id=finding["id"])),
    )
    assert statuses(server.ask("POST", "", sent)) == ["204", "200"]


@pytest.mark.parametrize(
    ("bad", "status", "code", "where"),
    [
        (entry("POST", "Patient", patient(gender="wrong")), 400, "code-invalid", "Bundle.entry[1].resource.gender"),
        (entry("POST", "Observation", observation("Patient/nobody")), 422, "not-found", "Bundle.entry[1].resource"),
        (entry("POST", "Observation", observation(f"{URN}9")), 422, "not-found", "Bundle.entry[1]"),
        (entry("PUT", "Patient/x", {"resourceType": "Patient", "id": "y"}), 400, "invalid", "Bundle.entry[1]"),
        (entry("PUT", "Patient/x", patient(id="x"), ifMatch='W/"5"'), 412, "conflict", "Bundle.entry[1]"),
        (entry("POST", "Patinet", patient()), 404, "not-found", "Bundle.entry[1]"),
        (entry("POST", "Patient/$validate", patient()), 400, "not-supported", "Bundle.entry[1]"),
        (entry("POST", "http://169.254.169.254/latest", patient()), 400, "invalid", "Bundle.entry[1]"),
        (entry("PUT", "../../admin", patient()), 400, "invalid", "Bundle.entry[1]"),
        (entry("POST", "", bundle()), 400, "not-supported", "Bundle.entry[1]"),
        (entry("OPTIONS", "Patient"), 400, "value", "Bundle.entry[1]"),
        ({"resource": patient()}, 400, "required", "Bundle.entry[1]"),
        (entry("POST", "Patient", patient(), f"{URN}1"), 400, "invariant", "Bundle.entry[1].fullUrl"),
        (entry("PUT", "Patient/first", patient(id="first")), 400, "invariant", "Bundle.entry[1]"),
        (entry("POST", "Patient"), 400, "required", "Bundle.entry[1].resource"),
    ],
)
def test_one_bad_entry_undoes_all(server, bad, status, code, where):
    good = entry("PUT", "Patient/first", patient("undone", id="first"), f"{URN}1")
    issue = outcome(server.ask("POST", "", bundle(good, bad)), status, code)
    assert issue["expression"][0].startswith(where)
    assert server.get("Patient/first").status_code == 404


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (patient(), "invalid"),
        (bundle(kind="collection"), "value"),
        ({"resourceType": "Bundle", "type": "transaction", "entry": {}}, "invalid"),
        ({"resourceType": "Bundle", "type": "transaction", "entry": [1]}, "invalid"),
        ({"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": 1}]}, "invalid"),
    ],
)
def test_the_base_takes_batches_and_transactions_only(server, sent, code):
    outcome(server.ask("POST", "", sent), 400, code)


def test_there_are_only_so_many_entries():
    with serving(transaction_entries=3, batch_entries=2) as server:
        entries = [entry("POST", "Patient", patient()) for _ in range(4)]
        outcome(server.ask("POST", "", bundle(*entries)), 413, "too-costly")
        outcome(server.ask("POST", "", bundle(*entries[:3], kind="batch")), 413, "too-costly")
        assert server.found("Patient") == []
        assert statuses(server.ask("POST", "", bundle(*entries[:3]))) == ["201"] * 3


def test_an_empty_transaction_is_done_at_once(server):
    assert server.ask("POST", "", bundle()).json() == {"resourceType": "Bundle", "type": "transaction-response"}


def test_each_entry_of_a_batch_is_for_itself(server):
    sent = bundle(
        entry("POST", "Patient", patient("batch", gender="wrong")),
        entry("POST", "Patient", patient("batch")),
        entry("GET", f"Patient?identifier={SYSTEM}|batch"),
        entry("GET", "metadata"),
        entry("POST", "Patient/$validate", patient("batch")),
        entry("DELETE", "Patient/nobody"),
        entry("PUT", "Patient?identifier=%ff", patient()),
        kind="batch",
    )
    entries = done(server.ask("POST", "", sent))
    assert [each["response"]["status"][:3] for each in entries] == ["400", "201", "200", "200", "200", "204", "400"]
    assert entries[0]["response"]["outcome"]["issue"][0]["code"] == "code-invalid"
    assert entries[2]["resource"]["total"] == 1
    assert entries[3]["resource"]["resourceType"] == "CapabilityStatement"


@pytest.mark.shared
def test_synthetic_patients_are_taken_whole(synthea_bundles):
    with serving() as server:
        for raw in synthea_bundles.values():
            assert set(statuses(server.ask("POST", "", raw))) == {"201"}


WRITES = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize(
    ("more", "entries", "code", "where", "says"),
    [
        ({"total": 1}, [], "invariant", "Bundle.total", "bdl-1"),
        ({"entires": []}, [], "structure", "Bundle", "Did you mean entry"),
        ({}, [{**WRITES, "search": {"mode": "match"}}], "invariant", "Bundle.entry[0].search", "bdl-2"),
        ({}, [{**WRITES, "response": {"status": "200"}}], "invariant", "Bundle.entry[0].response", "bdl-4"),
        ({}, [{**WRITES, "fullurl": "urn:a"}], "structure", "Bundle.entry[0]", "Did you mean fullUrl"),
        ({}, [{**WRITES, "fullUrl": 1}], "structure", "Bundle.entry[0].fullUrl", "string"),
        ({}, [{**WRITES, "fullUrl": "http://a/Patient/1/_history/2"}], "invariant", "Bundle.entry[0].fullUrl", "bdl-8"),
        ({}, [{**WRITES, "fullUrl": "urn:x:a"}] * 2, "invariant", "Bundle.entry[1].fullUrl", "bdl-7"),
        ({}, [WRITES, {"request": WRITES["request"]}], "required", "Bundle.entry[1].resource", "POST"),
        (
            {},
            [{**WRITES, "request": {**WRITES["request"], "ifNonExist": "identifier=1"}}],
            "structure",
            "Bundle.entry[0].request",
            "Did you mean ifNoneExist",
        ),
    ],
)
def test_a_bundle_that_is_wrong_itself_is_refused(server, kind, more, entries, code, where, says):
    issue = outcome(server.ask("POST", "", {**bundle(kind=kind), "entry": entries, **more}), 400, code)
    assert issue["expression"] == [where]
    assert says in issue["details"]["text"]


def test_every_fault_of_a_bundle_is_told(server):
    body = {**bundle(), "total": 1, "entry": [{**WRITES, "search": {}, "response": {}}]}
    issues = server.ask("POST", "", body).json()["issue"]
    assert [issue["expression"][0] for issue in issues] == [
        "Bundle.total", "Bundle.entry[0].search", "Bundle.entry[0].response",
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "code", "says"), [("transacton", "value", "transaction"), (None, "required", "type")])
def test_a_bundle_of_no_type_to_work_through_is_refused(server, kind, code, says):
    body = {"resourceType": "Bundle"} | ({} if kind is None else {"type": kind})
    issue = outcome(server.ask("POST", "", body), 400, code)
    assert issue["expression"] == ["Bundle.type"]
    assert says in issue["details"]["text"]
