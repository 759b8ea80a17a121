import asyncio
from pathlib import Path

import orjson
import pytest

from fhir_server.app import Origin, Service
from fhir_server.definitions.registry import r4
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.settings import Settings

URL = "http://example.org/CodeSystem/colours"


def code_system(*codes, **more):
    concepts = [{"code": code, "display": code.upper()} for code in codes]
    return {
        "resourceType": "CodeSystem", "id": "colours", "url": URL, "status": "active", "content": "complete",
        "concept": concepts,
    } | more  # fmt: skip


def put(body):
    return Write("PUT", body["resourceType"], body["id"], sent=Sent(body, orjson.dumps(body)))


def service(folder):
    return Service(r4(), Settings(), Origin(Path(folder)))


async def found(node, code):
    return node.knowledge.terminology.validate_code(URL, code).found


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_stored_is_known_at_once_everywhere_and_after_a_restart(tmp_path, workers):
    async def written():
        async with service(tmp_path).running() as node:
            assert await found(node, "red") is None
            await node.repository.write([put(code_system("red"))])
            assert await found(node, "red") is True
            await node.repository.write([put(code_system("blue", version="2"))])
            assert (await found(node, "red"), await found(node, "blue")) == (False, True)

    async def read_again():
        async with service(tmp_path).running() as node:
            assert await found(node, "blue") is True
            await node.repository.write([Write("DELETE", "CodeSystem", "colours")])
            assert await found(node, "blue") is None

    async def beside():
        async with service(tmp_path).running() as first, service(tmp_path).running() as second:
            await first.repository.write([put(code_system("red"))])
            for _ in range(50):
                if await found(second, "red"):
                    return
                await asyncio.sleep(0.1)
            pytest.fail("the other process has not learnt of it")

    if workers == 2:
        asyncio.run(beside())
    else:
        asyncio.run(written())
        asyncio.run(read_again())


def test_stored_definitions_stay_with_their_service(tmp_path):
    async def written():
        async with service(tmp_path).running() as node:
            await node.repository.write([put(code_system("red"))])

    asyncio.run(written())
    assert r4().code_system(URL) is None


def test_a_definition_that_cannot_be_read_stops_nothing(tmp_path):
    broken = code_system() | {"concept": [{"display": "no code"}]}

    async def written():
        async with Service(r4(), Settings(validation="off"), Origin(tmp_path)).running() as node:
            await node.repository.write([put(broken)])
            await node.repository.write([put(code_system("red"))])
            assert await found(node, "red") is True

    asyncio.run(written())


def test_a_stored_profile_is_a_profile(tmp_path):
    profile = {
        "resourceType": "StructureDefinition", "id": "named", "url": "http://example.org/named", "name": "Named",
        "status": "active", "kind": "resource", "abstract": False, "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": 1}]},
    }  # fmt: skip

    async def written():
        async with service(tmp_path).running() as node:
            await node.repository.write([put(profile)])
            verdict = node.validator.validate({"resourceType": "Patient"}, profiles=["http://example.org/named"])
            assert not verdict.is_valid

    asyncio.run(written())
