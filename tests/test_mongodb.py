"""The server that tests of the store on MongoDB stand on."""

from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError

from tests import mongodb as server


def test_it_speaks_to_the_driver_and_keeps_keys_unique(mongodb):
    with MongoClient[dict[str, int]](mongodb) as client:
        database = client[f"test_{uuid4().hex}"]
        database["log"].insert_one({"_id": 1})
        with pytest.raises(DuplicateKeyError):
            database["log"].insert_one({"_id": 1})
        client.drop_database(database)


def test_without_java_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("MONGODB_URL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(server.Unavailable, match="apt-get install default-jdk-headless maven"), server.started():
        pass


def test_a_server_that_is_named_is_the_one_used(monkeypatch):
    monkeypatch.setenv("MONGODB_URL", "mongodb://somewhere")
    with server.started() as url:
        assert url == "mongodb://somewhere"
