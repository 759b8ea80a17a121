import asyncio
import json
import tarfile

import orjson
import pytest

from fhir_server.app import Origin, Service
from fhir_server.definitions.registry import r4
from fhir_server.operations.table import OPERATIONS
from fhir_server.rest.exchange import Exchange
from fhir_server.settings import Settings
from tests.operations.calling import parameters_of

GENDER = "http://hl7.org/fhir/administrative-gender"


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    """Sends requests to a service that runs as long as the tests of this file."""
    folder = tmp_path_factory.mktemp("data")

    def sent(*requests):
        async def answered():
            service = Service(r4(), Settings(), Origin(folder))
            async with service.running() as node:
                return [await node.dispatch(request) for request in requests]

        return asyncio.run(answered())

    return sent


def request(method, path, query="", body=None):
    raw = b"" if body is None else orjson.dumps(body)
    headers = {b"content-type": b"application/fhir+json"}
    return Exchange(method, path.strip("/").split("/"), query=query, headers=headers, body=raw, base="http://x/fhir")


OWN = "urn:nhipcau:"
STANDARD = [each for each in OPERATIONS if not each.definition.startswith(OWN)]


def test_few_operations_are_of_this_server_alone():
    assert {each.name for each in OPERATIONS if each not in STANDARD} == {"break-glass"}


@pytest.mark.parametrize("operation", STANDARD, ids=lambda each: f"{'-'.join(each.types)}-{each.name}")
def test_an_operation_is_one_of_the_standard(operation, r4_core_operations):
    definition = r4_core_operations[operation.definition]
    assert definition["code"] == operation.name
    assert all(definition[level] for level in operation.levels if level != "system")
    if definition["resource"] != ["Resource"]:
        assert set(operation.types) <= set(definition["resource"])
    stated = {each["name"] for each in definition["parameter"] if each["use"] == "in"}
    assert stated - {"resource", "id"} <= {each.name for each in operation.inputs}


@pytest.fixture(scope="module")
def r4_core_operations(r4_core):
    with tarfile.open(r4_core) as package:
        members = (m for m in package if m.name.startswith("package/OperationDefinition-"))
        found = [json.loads(content.read()) for m in members if (content := package.extractfile(m))]
    return {each["url"]: each for each in found}


def test_operations_stand_in_the_capabilities_of_their_types(call):
    (reply,) = call(request("GET", "metadata"))
    resources = {each["type"]: each for each in orjson.loads(reply.body)["rest"][0]["resource"]}
    assert {"expand", "validate-code", "validate", "meta"} <= {o["name"] for o in resources["ValueSet"]["operation"]}
    assert "expand" not in {o["name"] for o in resources["Patient"]["operation"]}


def test_parameters_stand_in_the_url_or_in_the_body(call):
    sent = parameters_of({"name": "coding", "valueCoding": {"system": GENDER, "code": "male"}})
    replies = call(
        request("GET", "CodeSystem/$lookup", f"system={GENDER}&code=male"),
        request("POST", "CodeSystem/$lookup", "", sent),
        request("POST", "CodeSystem/$lookup", f"system={GENDER}&code=male"),
    )
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert len({reply.body for reply in replies}) == 1


def test_operations_are_for_their_types_and_methods(call):
    replies = call(
        request("GET", "Patient/$expand"),
        request("GET", "Patient/an/$meta-add"),
        request("GET", "Patient/an/$everythin"),
        request("GET", "CodeSystem/$lookup", "system=urn:none&code=a"),
        request("GET", "CodeSystem/$lookup", "system=urn:none"),
    )
    assert [reply.status for reply in replies] == [404, 405, 404, 404, 400]
    assert all(orjson.loads(reply.body)["resourceType"] == "OperationOutcome" for reply in replies)


def test_operations_can_be_entries_of_a_batch(call):
    urls = [f"CodeSystem/$lookup?system={GENDER}&code=male", "ValueSet/administrative-gender/$expand"]
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    body = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    exchange = Exchange("POST", (), headers={b"content-type": b"application/fhir+json"}, body=orjson.dumps(body))
    (reply,) = call(exchange)
    answers = orjson.loads(reply.body)["entry"]
    assert [each["response"]["status"][:3] for each in answers] == ["200", "200"]
    assert answers[1]["resource"]["expansion"]["total"] == 4


def test_members_that_repeat_are_refused(call):
    exchange = request("POST", "CodeSystem/$lookup")
    exchange.body = b'{"resourceType":"Parameters","parameter":[],"parameter":[]}'
    assert call(exchange)[0].status == 400
