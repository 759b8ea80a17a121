"""The assertions that the Inferno test kit for Bulk Data makes, twelve at each of three levels, under its words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from tests.auth.node import Node, WrittenByHospital, asking

LEVELS = {"Group": "Group/all/$export", "Patient": "Patient/$export", "System": "$export"}
DEFINITIONS = {"Group": "group-export", "Patient": "patient-export", "System": "export"}
MANIFEST = ("transactionTime", "request", "requiresAccessToken", "output", "error")
FORMATS = ("application/fhir+ndjson", "application/ndjson", "ndjson")
PROXY = "TLS is spoken by the proxy before the server (docs/how-to/run-authentication.md)"
GROUP = {"resourceType": "Group", "id": "all", "type": "person", "actual": True,
         "member": [{"entity": {"reference": f"Patient/{name}"}} for name in ("may", "hoa")]}  # fmt: skip


@dataclass
class Session:
    """One level, asked by a backend service; what was exported is kept for the assertions that look at it."""

    node: Node
    level: str
    token: str
    kicked_off: httpx.Response
    manifest: dict[str, Any] = field(default_factory=dict)
    files: list[tuple[str, bytes]] = field(default_factory=list)

    def begin(self, query: str = "") -> httpx.Response:
        """A kick-off, by GET as Inferno does."""
        path = f"/fhir/{LEVELS[self.level]}{query}"
        return self.node.get(path, self.token, prefer="respond-async", accept="application/fhir+json")


def ended(node: Node, url: str, token: str) -> httpx.Response:
    """The answer of a status that is no 202 any more."""
    until = time.monotonic() + 60
    while (answer := node.get(url, token)).status_code == 202:
        assert int(answer.headers["retry-after"]) > 0
        assert time.monotonic() < until
        time.sleep(0.02)
    return answer


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with asking(works=True) as found:
        service = found.served.service.fhir
        kept, service.authenticator = service.authenticator, WrittenByHospital()
        assert found.served.put(GROUP).status_code == 201
        service.authenticator = kept
        yield found


@pytest.fixture(scope="module", params=LEVELS)
def session(node: Node, request: pytest.FixtureRequest) -> Session:
    token = node.own_token()
    path = f"/fhir/{LEVELS[request.param]}"
    begun = node.get(path, token, prefer="respond-async", accept="application/fhir+json")
    made = Session(node, request.param, token, begun)
    made.manifest = ended(node, begun.headers["content-location"], token).json()
    for entry in made.manifest["output"]:
        made.files.append((entry["type"], node.get(entry["url"], token, accept="application/fhir+ndjson").content))
    return made


def declares_the_operation(session: Session) -> None:
    rest = session.node.get("/fhir/metadata").json()["rest"][0]
    listed = [*rest.get("operation", ()), *(each for kind in rest["resource"] for each in kind.get("operation", ()))]
    assert any(each["definition"].endswith(f"/{DEFINITIONS[session.level]}") for each in listed)


def rejects_a_kick_off_without_a_token(session: Session) -> None:
    answer = session.node.get(f"/fhir/{LEVELS[session.level]}", prefer="respond-async")
    assert answer.status_code in (400, 401)


def answers_a_kick_off_with_202_and_content_location(session: Session) -> None:
    assert session.kicked_off.status_code == 202
    assert session.kicked_off.headers["content-location"].startswith("http")


def tells_the_status_until_there_is_a_manifest(session: Session) -> None:
    assert all(name in session.manifest for name in MANIFEST)


def names_files_by_type_and_absolute_url(session: Session) -> None:
    assert session.manifest["output"]
    assert all(each["type"] and each["url"].startswith("http") for each in session.manifest["output"])


def sends_files_by_tls(session: Session) -> None:
    pytest.skip(PROXY)


def rejects_a_file_request_without_a_token(session: Session) -> None:
    assert session.manifest["requiresAccessToken"] is True
    for entry in session.manifest["output"]:
        assert session.node.get(entry["url"], accept="application/fhir+ndjson").status_code in (400, 401)


def sends_valid_resources_of_the_type_declared(session: Session) -> None:
    for kind, content in session.files:
        for line in content.splitlines():
            body = orjson.loads(line)
            assert body["resourceType"] == kind
            said = session.node.served.node.validator.validate(body).issues
            assert not [issue for issue in said if issue.is_error], (kind, body["id"])


def has_two_patients(session: Session) -> None:
    lines = [line for kind, content in session.files if kind == "Patient" for line in content.splitlines()]
    assert len(lines) >= 2


def cancels_by_delete(session: Session) -> None:
    status = session.begin().headers["content-location"]
    headers = {"authorization": f"Bearer {session.token}"}
    assert session.node.send("DELETE", status, headers=headers).status_code == 202
    answer = session.node.get(status, session.token)
    assert answer.status_code == 404
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    assert not [issue for issue in session.node.served.node.validator.validate(body).issues if issue.is_error]


def takes_three_names_of_the_format(session: Session) -> None:
    for name in FORMATS:
        answer = session.begin(f"?_outputFormat={name.replace('+', '%2B')}")
        assert answer.status_code == 202, answer.text
        drop(session, answer)


def takes_since(session: Session) -> None:
    answer = session.begin("?_since=2020-01-01T00:00:00%2B07:00")
    assert answer.status_code == 202, answer.text
    drop(session, answer)


def drop(session: Session, begun: httpx.Response) -> None:
    """Forget an export that nobody waits for."""
    headers = {"authorization": f"Bearer {session.token}"}
    session.node.send("DELETE", begun.headers["content-location"], headers=headers)


ASSERTIONS = (
    declares_the_operation,
    rejects_a_kick_off_without_a_token,
    answers_a_kick_off_with_202_and_content_location,
    tells_the_status_until_there_is_a_manifest,
    names_files_by_type_and_absolute_url,
    sends_files_by_tls,
    rejects_a_file_request_without_a_token,
    sends_valid_resources_of_the_type_declared,
    has_two_patients,
    cancels_by_delete,
    takes_three_names_of_the_format,
    takes_since,
)


@pytest.mark.parametrize("assertion", ASSERTIONS, ids=lambda each: each.__name__)
def test_inferno(session: Session, assertion: Any) -> None:
    assertion(session)
