import time

import pytest

from tests.bulk.exports import content, keys
from tests.serving import outcome, serving

SYSTEM = {"resourceType": "CodeSystem", "id": "wards", "url": "urn:wards", "status": "active", "content": "complete"}


@pytest.fixture(scope="module")
def node():
    with serving(works=True) as served:
        assert served.put({"resourceType": "Organization", "id": "hub", "name": "Hub"}).status_code == 201
        assert served.put({"resourceType": "Location", "id": "room", "name": "Room"}).status_code == 201
        assert served.put(SYSTEM).status_code == 201
        assert served.put({"resourceType": "Patient", "id": "an"}).status_code == 201
        yield served


def published(node, **headers):
    answer = node.get("$bulk-publish", **headers)
    assert answer.status_code == 200, answer.text
    return answer


def test_facilities_and_code_lists_are_published_and_nothing_else(node):
    manifest = published(node).json()
    assert keys(node.ask, manifest) == {"Organization/hub", "Location/room", "CodeSystem/wards"}
    assert manifest["outputFormat"] == "application/fhir+ndjson"


def test_who_has_it_is_told_so_until_something_changes(node):
    first = published(node)
    tag = first.headers["etag"]
    assert node.get("$bulk-publish", if_none_match=tag).status_code == 304
    assert node.put({"resourceType": "Patient", "id": "binh"}).status_code == 201
    assert node.get("$bulk-publish", if_none_match=tag).status_code == 304
    assert node.put({"resourceType": "Organization", "id": "hub", "name": "Other"}).status_code == 200
    second = published(node, if_none_match=tag)
    assert second.headers["etag"] != tag
    urls = [{each["url"] for each in answer.json()["output"]} for answer in (first, second)]
    assert not urls[0] & urls[1]
    former, later = (
        content(node.ask, next(each for each in answer.json()["output"] if each["type"] == "Organization"))
        for answer in (first, second)
    )
    assert [former[0]["name"], later[0]["name"]] == ["Hub", "Other"]


def test_the_same_is_made_once(node):
    answers = node.ask_together([("GET", "$bulk-publish", None, {})] * 5)
    assert len({answer.content for answer in answers}) == 1


def test_nothing_is_published_as_nothing():
    with serving(works=True) as empty:
        assert published(empty).json()["output"] == []


def test_where_nobody_works_it_is_said_to_come(monkeypatch):
    monkeypatch.setattr("fhir_server.bulk.publish.SECONDS_TO_WAIT", 0.05)
    with serving() as idle:
        begun = time.monotonic()
        outcome(idle.get("$bulk-publish"), 503, "transient")
        assert time.monotonic() - begun < 5


def test_one_that_failed_is_tried_again(monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with serving(works=True) as served:
        with monkeypatch.context() as patched:
            patched.setattr("fhir_server.bulk.export_work.Export._append", full)
            assert served.put({"resourceType": "Organization", "id": "hub", "name": "Hub"}).status_code == 201
            assert served.get("$bulk-publish").status_code == 507
        assert len(published(served).json()["output"]) == 1
