import time

import pytest

from tests.serving import outcome, serving


@pytest.fixture(scope="module")
def server():
    with serving() as served:
        for gender in ("female", "male", "other"):
            served.put({"resourceType": "Patient", "id": "p", "gender": gender})
            time.sleep(0.002)
        served.put({"resourceType": "Patient", "id": "q"})
        served.put({"resourceType": "Organization", "id": "o", "name": "a"})
        served.ask("DELETE", "Patient/q")
        yield served


def pages(server, path):
    """All entries of a history, a page at a time."""
    entries, url = [], path
    while url:
        body = server.get(url).json()
        entries += body.get("entry", [])
        following = [link["url"] for link in body["link"] if link["relation"] == "next"]
        url = following[0].removeprefix("http://node/fhir/") if following else None
    return entries


def told(entries):
    return [(each["request"]["method"], each["response"]["etag"][3:-1]) for each in entries]


def test_the_latest_version_comes_first(server):
    body = server.get("Patient/p/_history").json()
    assert (body["type"], body["total"]) == ("history", 3)
    assert told(body["entry"]) == [("PUT", "3"), ("PUT", "2"), ("PUT", "1")]
    assert [each["resource"]["gender"] for each in body["entry"]] == ["other", "male", "female"]
    assert [each["response"]["status"] for each in body["entry"]] == ["200", "200", "201"]


def test_a_deletion_is_a_version_without_a_resource(server):
    first = server.get("Patient/q/_history").json()["entry"][0]
    assert first["request"] == {"method": "DELETE", "url": "Patient/q"}
    assert "resource" not in first


@pytest.mark.parametrize(("path", "count"), [("Patient/p/_history", 3), ("Patient/_history", 5), ("_history", 6)])
def test_pages_hold_every_version_once(server, path, count):
    whole = pages(server, path)
    assert len(whole) == count
    assert pages(server, f"{path}?_count=1") == whole
    assert pages(server, f"{path}?_count=4") == whole


def test_pages_do_not_change_while_others_write(server):
    first = server.get("Patient/p/_history?_count=2").json()
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    server.put({"resourceType": "Patient", "id": "p", "gender": "unknown"})
    rest = server.get(following.removeprefix("http://node/fhir/")).json()
    assert told(rest["entry"]) == [("PUT", "1")]


def test_a_time_selects_versions(server):
    second = server.get("Patient/p/_history/2").json()["meta"]["lastUpdated"]
    since = pages(server, f"Patient/p/_history?_since={second}")
    assert ("PUT", "2") in told(since)
    assert ("PUT", "1") not in told(since)
    assert told(pages(server, f"Patient/p/_history?_at={second}")) == [("PUT", "2")]
    assert told(pages(server, "Patient/p/_history?_at=2020")) == []
    assert len(pages(server, "_history?_since=2026-01-01")) >= 6
    assert pages(server, "_history?_since=2999-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("Patient/nobody/_history", 404, "not-found"),
        ("Patient/p/_history?_since=soon", 400, "value"),
        ("Patient/p/_history?_count=-1", 400, "value"),
        ("Patient/p/_history?_count=0x10", 400, "value"),
        ("Patient/p/_history?_sinse=2020", 400, "invalid"),
        ("Patient/p/_history?_cursor=AAAA", 400, "invalid"),
        ("Patient/p/_history?_cursor=%C3%A9", 400, "invalid"),
    ],
)
def test_what_cannot_be_asked_is_refused(server, path, status, code):
    outcome(server.get(path), status, code)


def test_a_cursor_is_good_for_its_own_history_only(server):
    first = server.get("Patient/p/_history?_count=1").json()
    cursor = next(link["url"] for link in first["link"] if link["relation"] == "next").partition("_cursor=")[2]
    outcome(server.get(f"Patient/_history?_count=1&_cursor={cursor}"), 400, "invalid")
    outcome(server.get(f"Patient/p/_history?_count=2&_cursor={cursor}"), 400, "invalid")


def test_a_list_names_the_versions_that_come(server):
    for gender in ("male", "female"):
        server.put({"resourceType": "Patient", "id": "listed", "gender": gender})
    server.put({"resourceType": "Patient", "id": "other", "gender": "other"})
    items = (
        "Patient/listed/_history/1",
        "Patient/other",
        "http://elsewhere/fhir/Patient/other",
        "Patient/other/_history/9",
    )
    body = {"resourceType": "List", "id": "l", "status": "current", "mode": "working"}
    texts = [{"item": {"reference": text}} for text in items]
    assert server.put({**body, "entry": texts}).status_code == 201

    def seen(path: str) -> list[tuple[str, str]]:
        body = server.get(path).json()
        return [(e["resource"]["id"], e["resource"]["meta"]["versionId"]) for e in body.get("entry", [])]

    assert seen("_history?_list=l") == [("other", "1"), ("listed", "1")]
    assert seen("Patient/listed/_history?_list=l") == [("listed", "1")]
    assert seen("Observation/_history?_list=l") == []
    first = server.get("Patient/_history?_list=List/l&_count=1").json()
    assert first["total"] == 2
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    assert seen(following.removeprefix("http://node/fhir/")) == [("listed", "1")]
    outcome(server.get("_history?_list=none"), 404, "not-found")
    outcome(server.get("_history?_list=$current-problems"), 400, "not-supported")
    outcome(server.get("_history?_list=l&_at=2026"), 400, "not-supported")
