"""Each hook of an extension, by one that uses them all."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint

import pytest
from starlette.responses import JSONResponse, Response

from fhir_server import extension
from fhir_server.access.caller import Caller
from fhir_server.access.scope import parse_scopes
from fhir_server.errors import NotFound
from fhir_server.extension import Extension, Listener, Row, Surroundings, Visit, installed
from fhir_server.rest.argument import Arguments
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.store.protocol import Version
from tests.serving import outcome, serving

PATIENT = {"resourceType": "Patient", "name": [{"family": "Nguyễn"}]}


@dataclass
class Diary:
    """An extension that writes down what happens to it; what it is told it fails to hear the first time."""

    heard: list[tuple[str, str]] = field(default_factory=list)
    course: list[str] = field(default_factory=list)
    surroundings: Surroundings | None = None
    failures: int = 0

    def make(self, surroundings: Surroundings) -> Extension:
        self.surroundings = surroundings
        return Extension(
            "diary",
            "/diary",
            rows=(
                Row("GET", "/pages/{number:int}", self.page, (("Patient", "r"),)),
                Row("POST", "/pages", self.count, (("Patient", "r"), ("Observation", "cu"))),
            ),
            operations=(Operation("diary", "http://example.org/diary", ("system",), self.told),),
            listeners=(Listener("diary", self.hear),),
            work=(self.work,),
            opened=self.opened,
        )

    async def page(self, visit: Visit) -> Response:
        number = visit.request.path_params["number"]
        if number > 1:
            raise NotFound(f"There is no page {number}.")
        page = visit.node.repository.query(("Patient",), [])
        return JSONResponse({"patients": await visit.node.repository.count(page.plan), "caller": visit.caller.subject})

    async def count(self, visit: Visit) -> Response:
        return JSONResponse({"bytes": sum([len(chunk) async for chunk in visit.request.stream()])})

    async def told(self, _node: Node, _exchange: Exchange, _arguments: Arguments) -> dict[str, str]:
        return {"resourceType": "Basic", "id": "told"}

    async def hear(self, _node: Node, versions: Sequence[Version]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the pen is empty")
        self.heard += [(version.method, version.type) for version in versions]

    async def work(self, node: Node) -> None:
        self.course.append("working")
        raise OSError("there is no ink")

    @asynccontextmanager
    async def opened(self, _node: Node) -> AsyncIterator[None]:
        self.course.append("opened")
        yield
        self.course.append("closed")


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Diary:
    monkeypatch.setattr(extension, "SECONDS_TO_RETRY", 0.01)
    monkeypatch.setattr(extension, "SECONDS_BETWEEN_LOOKS", 0.01)
    return Diary()


def test_a_route_answers_below_the_prefix_with_the_node_of_its_caller(diary: Diary):
    with serving(extensions=[diary.make]) as server:
        server.create(PATIENT)
        answer = server.send("GET", "http://node/diary/pages/1")
    assert answer.json() == {"patients": 1, "caller": "local"}


def test_a_failure_is_told_as_an_outcome(diary: Diary):
    with serving(extensions=[diary.make]) as server:
        outcome(server.send("GET", "http://node/diary/pages/2"), 404, "not-found")
        outcome(server.send("GET", "http://node/diary/pages/1?access_token=x"), 400, "invalid")


def test_a_body_is_streamed(diary: Diary):
    with serving(extensions=[diary.make]) as server:
        assert server.send("POST", "http://node/diary/pages", content=b"x" * 300_000).json() == {"bytes": 300_000}


@pytest.mark.parametrize(
    ("scopes", "status"),
    [
        ("user/Patient.r user/Observation.cu", 200),
        ("user/*.cruds", 200),
        ("user/Patient.r user/Observation.c", 403),
        ("user/Observation.cu", 403),
    ],
)
def test_a_route_needs_all_of_its_scopes(diary: Diary, scopes: str, status: int):
    class Known:
        async def authenticate(self, header: str | None) -> Caller:
            return Caller("person", "lan", parse_scopes(scopes))

    with serving(extensions=[diary.make]) as server:
        server.service.fhir.authenticator = Known()
        answer = server.send("POST", "http://node/diary/pages")
    assert answer.status_code == status
    assert ("insufficient_scope" in answer.headers.get("www-authenticate", "")) == (status == 403)


def test_a_route_asks_who_calls(diary: Diary):
    with serving(extensions=[diary.make], auth="on") as server:
        answer = server.send("GET", "http://node/diary/pages/1")
    outcome(answer, 401, "login")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_an_operation_is_one_of_the_servers(diary: Diary):
    with serving(extensions=[diary.make]) as server:
        assert server.get("$diary").json()["id"] == "told"
        named = {each["name"] for each in server.get("metadata").json()["rest"][0]["operation"]}
    assert "diary" in named


def test_a_listener_hears_all_commits_in_order_and_again_what_it_failed_to_hear(diary: Diary):
    diary.failures = 2
    with serving(extensions=[diary.make]) as server:
        first = server.create(PATIENT)
        server.put({**first, "active": True})
        server.ask("DELETE", f"Patient/{first['id']}")
        until(lambda: len(diary.heard) == 3)
    assert diary.heard == [("POST", "Patient"), ("PUT", "Patient"), ("DELETE", "Patient")]


def test_a_listener_goes_on_after_a_restart(diary: Diary, tmp_path):
    with serving(tmp_path, extensions=[diary.make]) as server:
        server.create(PATIENT)
        until(lambda: len(diary.heard) == 1)
        time.sleep(0.1)
    with serving(tmp_path) as server:
        server.create({"resourceType": "Basic", "code": {"text": "unheard"}})
    later = Diary()
    with serving(tmp_path, extensions=[later.make], clock=lambda: time.time() + 3600):
        until(lambda: bool(later.heard))
    assert later.heard == [("POST", "Basic")]


def test_work_is_done_while_open_and_begun_again_after_a_failure(diary: Diary):
    with serving(extensions=[diary.make]):
        until(lambda: diary.course.count("working") > 1)
    assert diary.course[0] == "opened"
    assert diary.course[-1] == "closed"


def test_an_extension_knows_its_surroundings(diary: Diary, tmp_path):
    with serving(tmp_path, extensions=[diary.make], time_zone="Asia/Bangkok"):
        assert diary.surroundings is not None
        assert diary.surroundings.data == tmp_path
        assert diary.surroundings.base == "http://node/fhir"
        assert diary.surroundings.settings.time_zone == "Asia/Bangkok"


def test_extensions_are_found_by_their_group_in_the_order_of_names(monkeypatch: pytest.MonkeyPatch):
    found = [EntryPoint(name, f"tests.test_extension:{word}", extension.GROUP) for name, word in ORDERED]
    monkeypatch.setattr(extension, "entry_points", lambda group: found if group == extension.GROUP else [])
    assert list(installed()) == [Diary, Extension]


ORDERED = [("b", "Extension"), ("a", "Diary")]
