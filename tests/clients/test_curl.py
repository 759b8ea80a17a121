"""What a developer tries first, with curl."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from tests.processes import Program

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

SEND = "Content-Type: application/fhir+json"


def curl(program: Program, path: str, *options: str) -> tuple[int, str]:
    """The status and the body that curl gets."""
    mark = "\n%{http_code}"
    command = ["curl", "--silent", "--globoff", "--max-time", "20", "--write-out", mark, *options, program.base + path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def sent(program: Program, method: str, path: str, body: Any, *headers: str) -> tuple[int, Any]:
    options = [option for header in (SEND, *headers) for option in ("--header", header)]
    status, answer = curl(program, path, "--request", method, "--data-binary", json.dumps(body), *options)
    return status, json.loads(answer) if answer else None


def test_create_read_update_patch_history_and_delete(program):
    status, made = sent(program, "POST", "/Patient", {"resourceType": "Patient", "name": [{"text": "Trần Văn A"}]})
    path = f"/Patient/{made['id']}"
    assert status == 201
    assert json.loads(curl(program, path)[1]) == made
    assert sent(program, "PUT", path, {**made, "active": True}, 'If-Match: W/"1"')[0] == 200
    assert sent(program, "PUT", path, made, 'If-Match: W/"1"')[0] == 412
    patch = [{"op": "replace", "path": "/active", "value": False}]
    assert sent(program, "PATCH", path, patch, "Content-Type: application/json-patch+json")[0] in (200, 415)
    options = ("--request", "PATCH", "--header", "Content-Type: application/json-patch+json")
    assert curl(program, path, *options, "--data-binary", json.dumps(patch))[0] == 200
    status, body = curl(program, f"{path}/_history")
    assert [entry["request"]["method"] for entry in json.loads(body)["entry"]][-1] == "POST"
    assert curl(program, path, "--request", "DELETE") == (204, "")
    assert curl(program, path)[0] == 410


def test_what_is_typed_without_thought_works(program):
    for path in ("", "/"):
        assert curl(program, f"{path}?_type=Patient&_summary=count")[0] == 200
    assert curl(program, "/Patient/?_count=1")[0] == 200
    assert curl(program, "/Patient?name=tr%E1%BA%A7n")[0] == 200
    assert curl(program, "/Patient?name=trần")[0] in (200, 400)
    assert curl(program, "/Patient?_format=json&_pretty=true")[1].count("\n") > 3
    assert curl(program, "/metadata", "--header", "Accept: application/fhir+xml")[1].startswith("<")
    assert curl(program, "/Patient", "--head")[0] == 200
    assert curl(program, "/Patient/_search", "--data", "name=tran")[0] == 200
    assert json.loads(curl(program, "/Patient", "--compressed")[1])["resourceType"] == "Bundle"


def test_a_body_without_its_type_is_refused_with_what_to_send(program):
    status, body = curl(program, "/Patient", "--data", '{"resourceType":"Patient"}')
    assert status == 415
    assert "application/fhir+json" in json.loads(body)["issue"][0]["details"]["text"]


def test_a_large_body_is_waited_for(program, tmp_path):
    content = "QUJD" * 700_000
    binary = tmp_path / "binary.json"
    binary.write_text(json.dumps({"resourceType": "Binary", "contentType": "image/png", "data": content}))
    status, made = curl(program, "/Binary", "--header", SEND, "--data-binary", f"@{binary}")
    assert status == 201
    path = f"/Binary/{json.loads(made)['id']}"
    assert curl(program, path, "--header", "Accept: image/png")[1] == "ABC" * 700_000
