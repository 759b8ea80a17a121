"""The commands for operators, on a node that keeps its resources in MongoDB."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from fhir_server.store.opening import MongoDatabase, opened
from tests.commands.stored import ndjson, patient, resources
from tests.mongodb import database_of


@pytest.fixture
def place(mongodb, tmp_path) -> tuple[str, ...]:
    return ("--store", database_of(tmp_path, mongodb), "--store-single")


@pytest.fixture
def filled(nhipcau, place, data, tmp_path):
    status, _, told = nhipcau(
        "import", ndjson(tmp_path / "all.ndjson", patient("an"), patient("binh")), "--data", data, *place
    )
    assert status == 0, told
    return data


def examined(nhipcau, data, *place):
    status, printed, _ = nhipcau("doctor", "--data", data, "--json", *place)
    return status, {(each["check"], each["state"]): each["text"] for each in json.loads(printed)}


def test_what_was_imported_can_be_exported_and_searched(nhipcau, place, filled, tmp_path):
    status, printed, _ = nhipcau("export", tmp_path / "out", "--data", filled, *place)
    assert status == 0
    assert "resources: 2" in printed
    assert len((tmp_path / "out" / "Patient.ndjson").read_text().splitlines()) == 2
    assert json.loads(nhipcau("explain", "Patient?_id=an", "--data", filled, "--json", *place)[1])["matches"] == 1
    assert nhipcau("reindex", "--type", "Patient", "--data", filled, *place)[:2] == (0, "indexed: 2\n")


def test_a_backup_is_restored_as_a_node_on_sqlite(nhipcau, place, filled, tmp_path):
    assert nhipcau("backup", tmp_path / "copy", "--data", filled, *place)[0] == 0
    assert nhipcau("restore", tmp_path / "copy", "--data", tmp_path / "again")[0] == 0
    assert [each["id"] for each in resources(tmp_path / "again", "Patient")] == ["an", "binh"]


def test_a_ledger_is_sealed_and_verified(nhipcau, place, filled):
    async def read() -> None:
        store = await opened(MongoDatabase(place[1], is_single=True), time.time)
        await store.record([b'{"t":1,"k":"R","i":"read"}'])
        await store.close()

    asyncio.run(read())
    assert nhipcau("audit", "seal", "--data", filled, *place)[:2] == (0, "entries sealed: 1\n")
    status, printed, _ = nhipcau("audit", "verify", "--data", filled, *place)
    assert status == 0, printed
    assert "checkpoints: 1" in printed
    assert nhipcau("audit", "forget", "--data", filled, *place)[:2] == (0, "entries removed: 0\n")


def test_a_single_server_is_refused_unless_that_is_accepted(nhipcau, mongodb, place, data):
    url = place[1]
    status, findings = examined(nhipcau, data, "--store", url)
    assert status == 1
    assert "--store-single" in findings["store", "bad"]
    status, _, told = nhipcau("serve", "--data", data, "--store", url)
    assert status == 2
    assert "--store-single" in told


def test_the_doctor_says_what_the_store_stands_on(nhipcau, place, filled):
    status, findings = examined(nhipcau, filled, *place)
    assert status == 0
    assert "single" in findings["store", "good"]
    assert "2 versions of 1 types" in findings["store", "good"]
    assert "no replica set" in findings["store", "warning"]


def test_a_server_that_does_not_answer_is_told(nhipcau, data):
    place = ("--store", "mongodb://127.0.0.1:1/none", "--store-single")
    status, findings = examined(nhipcau, data, *place)
    assert status == 1
    assert "does not answer" in findings["store", "bad"]
