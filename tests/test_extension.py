"""Each hook of an extension, by one that uses them all."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint

import orjson
import pytest
from starlette.responses import JSONResponse, Response

from fhir_server import extension
from fhir_server.access.caller import Caller
from fhir_server.access.scope import NOTHING, parse_scopes
from fhir_server.errors import Conflict, Forbidden, Issue, NotFound
from fhir_server.extension import Extension, Listener, Row, Surroundings, Visit, installed
from fhir_server.repository.check import Around, WriteCheck, Written
from fhir_server.rest.argument import Arguments
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.store.protocol import Version
from tests.access.world import country
from tests.serving import Served, outcome, serving

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
                Row("GET", "/lines", self.line, (("Patient", "r"),)),
                Row("POST", "/pages", self.count, (("Patient", "r"), ("Observation", "cu"))),
                Row("GET", "/lock", self.turn, (("Patient", "r"),), knows=self.holder),
            ),
            operations=(Operation("diary", "http://example.org/diary", ("system",), self.told),),
            listeners=(Listener("diary", self.hear),),
            work=(self.work,),
            opened=self.opened,
            stopping=partial(self.course.append, "stopping"),
        )

    async def page(self, visit: Visit) -> Response:
        number = visit.request.path_params["number"]
        if number > 1:
            raise NotFound(f"There is no page {number}.")
        page = visit.node.repository.query(("Patient",), [])
        return JSONResponse({"patients": await visit.node.repository.count(page.plan), "caller": visit.caller.subject})

    async def line(self, visit: Visit) -> Response:
        visit.audited("R", "read", ["Basic/line"], patients=["a1"], facilities=["station-a"], text="a line")
        visit.audited("Q", "search-type", patients=["a1"])
        return JSONResponse({})

    async def count(self, visit: Visit) -> Response:
        return JSONResponse({"bytes": sum([len(chunk) async for chunk in visit.request.stream()])})

    async def holder(self, header: str | None) -> Caller | None:
        return Caller("guest", "key-holder", NOTHING) if header == "Bearer key" else None

    async def turn(self, visit: Visit) -> Response:
        await visit.node.notes.keep("lock", "open", await visit.node.notes.note("lock"))
        found = visit.node.repository.query(("Patient",), [])
        try:
            seen = await visit.node.repository.count(found.plan)
        except Forbidden:
            seen = -1
        return JSONResponse({"caller": visit.caller.subject, "lock": await visit.node.notes.note("lock"), "seen": seen})

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


def test_what_a_caller_does_is_told_to_who_reviews_it(diary: Diary):
    with country(extensions=[diary.make]) as world:
        headers = {"authorization": "Bearer worker-a"}
        assert world.served.send("GET", "http://node/diary/lines?page=7", headers=headers).status_code == 200
        events = [each["resource"] for each in world.get("admin-a", "AuditEvent?patient=a1&_count=3").json()["entry"]]
        for event in events:
            answer = world.ask("", "POST", "AuditEvent/$validate", event).json()
            assert [issue for issue in answer["issue"] if issue["severity"] in ("error", "fatal")] == []
    read = next(each for each in events if each["subtype"][0]["code"] == "read")
    assert read["outcomeDesc"] == "a line"
    assert [each["what"].get("reference") for each in read["entity"]][:2] == ["Basic/line", "Patient/a1"]
    asked = [each["query"] for event in events for each in event["entity"] if "query" in each]
    assert b64decode(asked[0]) == b"diary/lines?page=7"


def test_what_a_caller_is_refused_is_told(diary: Diary):
    with country(extensions=[diary.make]) as world:
        headers = {"authorization": "Bearer worker-a"}
        outcome(world.served.send("GET", "http://node/diary/pages/2", headers=headers), 404, "not-found")
        node = world.served.node
        (last, *_) = reversed(world.served.call(lambda: node.repository._store.ledger(0, 100_000)).entries)
    record = orjson.loads(last.text)
    assert (record["w"]["u"], record["o"], record["d"]) == ("worker-a", "4", "404 GET /diary/pages/2")


def test_a_purpose_that_is_not_the_callers_to_state_is_refused(diary: Diary):
    with country(extensions=[diary.make]) as world:
        headers = {"authorization": "Bearer worker-a", "x-purpose-of-use": "HPAYMT"}
        outcome(world.served.send("GET", "http://node/diary/lines?page=7", headers=headers), 403, "forbidden")


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


def test_who_has_a_token_of_the_extension_is_known_to_it_alone_and_sees_nothing(diary: Diary):
    key = {"authorization": "Bearer key"}
    with serving(extensions=[diary.make], auth="on") as server:
        answer = server.send("GET", "http://node/diary/lock", headers=key)
        outcome(server.send("GET", "http://node/diary/lock", headers={"authorization": "Bearer other"}), 401, "unknown")
        outcome(server.send("GET", "http://node/diary/pages/1", headers=key), 401, "unknown")
        outcome(server.get("Patient", **key), 401, "unknown")
    assert answer.json() == {"caller": "key-holder", "lock": "open", "seen": -1}


def test_extensions_are_told_that_the_server_begins_to_stop(diary: Diary):
    with serving(extensions=[diary.make]) as server:
        server.service.stopping()
        assert diary.course[-1] == "stopping"


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


class Ward:
    """An extension that keeps a ward: two beds at most, none renamed, a warning for each that is written."""

    def make(self, _surroundings: Surroundings) -> Extension:
        return Extension("ward", checks=(WriteCheck(frozenset({"Location"}), self.check),))

    @staticmethod
    async def check(written: Written, around: Around) -> Sequence[Issue]:
        if written.body is None:
            return ()
        if written.former is not None and written.former["name"] != written.body["name"]:
            raise Conflict("A bed keeps its name.")
        if written.former is None and len(await around.found("Location", [("name", "bed")])) > 2:
            raise Conflict("The ward is full.")
        return (Issue("warning", "informational", "The ward is kept."),)


BED = {"resourceType": "Location", "name": "bed"}


@pytest.fixture(params=["sqlite", "mongodb"])
def ward(request: pytest.FixtureRequest) -> Iterator[Served]:
    chosen = {"mongodb": request.getfixturevalue("mongodb")} if request.param == "mongodb" else {}
    with serving(extensions=[Ward().make], **chosen) as server:
        yield server


def test_a_check_decides_within_the_write(ward: Served):
    answers = ward.ask_together([("POST", "Location", BED, {})] * 16)
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 14
    outcome(ward.ask("POST", "Location", BED), 409, "conflict")


def test_a_check_sees_what_is_written_together(ward: Served):
    entry = {"resource": BED, "request": {"method": "POST", "url": "Location"}}
    three = {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 3}
    told = outcome(ward.ask("POST", "", three), 409, "conflict")
    assert told["expression"] == ["Bundle.entry[0]"]
    two = ward.ask("POST", "", {**three, "entry": [entry] * 2})
    assert two.status_code == 200, two.text


def test_a_check_sees_what_was_there_before(ward: Served):
    bed = ward.create(BED)
    outcome(ward.put({**bed, "name": "sofa"}), 409, "conflict")
    answer = ward.put({**bed, "mode": "instance"}, prefer="return=OperationOutcome")
    assert "The ward is kept." in answer.text
    assert ward.ask("DELETE", f"Location/{bed['id']}").status_code == 204


def test_extensions_are_found_by_their_group_in_the_order_of_names(monkeypatch: pytest.MonkeyPatch):
    found = [EntryPoint(name, f"tests.test_extension:{word}", extension.GROUP) for name, word in ORDERED]
    monkeypatch.setattr(extension, "entry_points", lambda group: found if group == extension.GROUP else [])
    assert list(installed()) == [Diary, Extension]


ORDERED = [("b", "Extension"), ("a", "Diary")]
