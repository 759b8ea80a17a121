"""Rooms of a server of several processes, and of one that is killed or stopped in the middle of a session."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.processes import Program, running

VISIT = {
    "resourceType": "Encounter",
    "status": "planned",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"},
}


def events(base: str, session: str, who: str, seconds: float = 20) -> Generator[tuple[str, dict[str, Any]], None, None]:
    """The events of a session, each connection one of its own."""
    url = f"{base}/telesession/sessions/{session}/events"
    with httpx.stream("GET", url, headers={"x-participant": who}, timeout=seconds) as answer:
        assert answer.status_code == 200, answer.read()
        kind = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield kind, orjson.loads(line.removeprefix("data: "))


def ask(base: str, method: str, path: str, body: Any = None, who: str = "") -> httpx.Response:
    """A request on a connection of its own, so that any process may answer it."""
    headers = {"x-participant": who} if who else {}
    return httpx.request(method, f"{base}/telesession/sessions/{path}", json=body, headers=headers, timeout=30)


def new_session(fhir: str) -> str:
    answer = httpx.post(f"{fhir}/Encounter", json=VISIT, headers={"content-type": "application/fhir+json"}, timeout=30)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_any_process_answers_for_a_room_that_is_in_one(tmp_path: Path):
    with running(tmp_path, "--workers", "3") as program:
        base, session = program.base.removesuffix("/fhir"), new_session(program.base)
        with ThreadPoolExecutor(8) as pool:
            bodies = [{"role": "guest", "display": f"K{number}"} for number in range(12)]
            joined = list(pool.map(lambda body: ask(base, "POST", f"{session}/participants", body), bodies))
        assert [each.status_code for each in joined] == [201] * 12, [each.text for each in joined]
        assert len({each.json()["id"] for each in joined}) == 12
        host = ask(base, "POST", f"{session}/participants", {"role": "host"}).json()["id"]
        waiting = ask(base, "GET", session, who=host).json()["queue"]["waiting"]
        assert [each["position"] for each in waiting] == list(range(1, 13))
        readers = [events(base, session, host) for _ in range(3)]
        assert {next(reader)[0] for reader in readers} == {"snapshot"}
        said = ask(base, "POST", f"{session}/messages", {"text": "nghe rõ không"}, host)
        assert said.status_code == 201, said.text
        for reader in readers:
            assert next(told for kind, told in reader if kind == "chat")["text"] == "nghe rõ không"
            reader.close()


def workers_of(program: Program) -> list[int]:
    pid = program.process.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_room_goes_on_in_another_process_when_its_own_dies(tmp_path: Path):
    with running(tmp_path, "--workers", "2") as program:
        base, session = program.base.removesuffix("/fhir"), new_session(program.base)
        host = ask(base, "POST", f"{session}/participants", {"role": "host"}).json()["id"]
        for worker in workers_of(program):
            os.kill(worker, signal.SIGKILL)
            started = time.monotonic()
            room = answered(lambda: ask(base, "GET", session, who=host))
            assert room["me"]["id"] == host
            assert time.monotonic() - started < 10


def answered(asking: Callable[[], httpx.Response]) -> dict[str, Any]:
    """What is answered in the end: connections of the process that died are reset."""
    for _ in range(100):
        with suppress(httpx.TransportError):
            answer = asking()
            if answer.status_code == 200:
                return dict(answer.json())
            assert answer.status_code == 503, answer.text
        time.sleep(0.1)
    raise AssertionError("Nobody answered.")


def test_a_server_that_is_killed_comes_back_with_everybody_in_their_place(tmp_path: Path):
    with running(tmp_path) as program:
        base, session = program.base.removesuffix("/fhir"), new_session(program.base)
        host = ask(base, "POST", f"{session}/participants", {"role": "host"}).json()["id"]
        guests = [
            ask(base, "POST", f"{session}/participants", {"role": "guest", "display": f"K{number}"}).json()["id"]
            for number in range(3)
        ]
        program.kill()
    with running(tmp_path) as program:
        base = program.base.removesuffix("/fhir")
        room = ask(base, "GET", session, who=host).json()
        assert room["me"]["state"] == "in-session"
        assert [each["id"] for each in room["queue"]["waiting"]] == guests
        again = ask(base, "POST", f"{session}/participants", {"role": "guest", "display": "K1"})
        assert again.json()["position"] == 2
        found = httpx.get(f"{program.base}/Encounter/{session}", timeout=30).json()
        assert [each["individual"]["display"] for each in found.get("participant", [])] == ["host"]


def test_a_server_that_stops_does_not_wait_for_readers(tmp_path: Path):
    with running(tmp_path) as program:
        base, session = program.base.removesuffix("/fhir"), new_session(program.base)
        host = ask(base, "POST", f"{session}/participants", {"role": "host"}).json()["id"]
        reader = events(base, session, host)
        assert next(reader)[0] == "snapshot"
        started = time.monotonic()
        program.process.terminate()
        assert [told for kind, told in reader if kind == "ended"] == [{"reason": "reconnect"}]
        assert program.ended() == 0
        assert time.monotonic() - started < 10
