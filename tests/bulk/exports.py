"""Bulk exports as a client makes them: kick-off, polling, files."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import orjson

from tests.serving import BASE

Ask = Callable[..., httpx.Response]
SECONDS = 60.0


def begun(ask: Ask, path: str = "$export", body: Any = None, **headers: str) -> str:
    """The status URL, below the base, of an export that is accepted."""
    answer = ask("GET" if body is None else "POST", path, body, **{"prefer": "respond-async", **headers})
    assert answer.status_code == 202, answer.text
    return answer.headers["content-location"].removeprefix(f"{BASE}/")


def finished(ask: Ask, status: str) -> dict[str, Any]:
    """The manifest, asked for until it is there."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        answer = ask("GET", status)
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            return dict(answer.json())
        assert len(answer.headers["x-progress"]) < 100
        assert int(answer.headers["retry-after"]) > 0
        time.sleep(0.02)
    raise AssertionError("the export does not end")


def content(ask: Ask, entry: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    """What is in a file of a manifest."""
    answer = ask("GET", entry["url"].removeprefix(f"{BASE}/"), accept="application/fhir+ndjson", **headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/fhir+ndjson"
    found = [orjson.loads(line) for line in answer.content.splitlines()]
    assert all(each["resourceType"] == entry["type"] for each in found)
    return found


def keys(ask: Ask, manifest: dict[str, Any]) -> set[str]:
    """`Type/id` of all that is exported, each once."""
    files = [content(ask, entry) for entry in manifest["output"]]
    listed = [f"{each['resourceType']}/{each['id']}" for file in files for each in file]
    assert len(set(listed)) == len(listed)
    assert [entry["count"] for entry in manifest["output"]] == [len(each) for each in files]
    return set(listed)


def exported(ask: Ask, path: str = "$export", body: Any = None, **headers: str) -> set[str]:
    """`Type/id` of all that an export of this has."""
    return keys(ask, finished(ask, begun(ask, path, body, **headers)))
