"""What is sent below the level of requests, to a real server (rows 8, 25, 40 to 42 of the catalogue)."""

from __future__ import annotations

import json
import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.request import urlopen

import pytest

from tests.processes import Program, running

pytestmark = pytest.mark.server

HEAD_SECONDS = 1.5
BODY_SECONDS = 1.5
SECONDS_OF_SILENCE = 0.5
PATIENCE = 300.0
"""So long a test waits, and the server where it is not in a hurry."""
PLACES = 50
HOST = b"Host: node\r\n"
CLOSE = b"Connection: close\r\n"
GET = b"GET /fhir/Patient HTTP/1.1\r\n" + HOST
LAST = b" HTTP/1.1\r\n" + HOST + CLOSE
BY_ID = b"GET /fhir/Patient?_id="
POST = b"POST /fhir/Patient HTTP/1.1\r\n" + HOST + b"Content-Type: application/fhir+json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"DELETE /fhir/Patient/a HTTP/1.1\r\n" + HOST + b"\r\n"
MEGABYTE = b"a" * 1_000_000


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server with time for everybody and places for few."""
    times = {"head_seconds": PATIENCE, "body_seconds": PATIENCE}
    with running(tmp_path_factory.mktemp("server"), connections=PLACES, **times) as started:
        yield started


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server that waits for nobody."""
    times = {"head_seconds": HEAD_SECONDS, "body_seconds": BODY_SECONDS}
    with running(tmp_path_factory.mktemp("hurried"), connections=PLACES, **times) as started:
        yield started


def connected(program: Program) -> socket.socket:
    return socket.create_connection(("127.0.0.1", program.port), timeout=PATIENCE)


def told(program: Program, *parts: bytes) -> bytes:
    """What the server answers to these bytes until it closes the connection, or says no more."""
    answer, has_body = b"", not parts[0].startswith(b"HEAD ")
    with connected(program) as connection:
        for part in parts:
            connection.sendall(part)
        try:
            while received := connection.recv(65536):
                answer += received
                connection.settimeout(SECONDS_OF_SILENCE if is_complete(answer, has_body=has_body) else PATIENCE)
        except TimeoutError:
            assert is_complete(answer, has_body=has_body), answer
    return answer


def is_complete(answer: bytes, *, has_body: bool = True) -> bool:
    """Whether an answer has come whole."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(blank) and (
        not has_body or length is None or head.startswith(b"HTTP/1.1 1") or len(body) >= int(length[1])
    )


def told_while_sending(program: Program, first: bytes, again_and_again: bytes) -> bytes:
    """What the server answers to one who sends without end, a little now and then."""
    with connected(program) as connection:
        connection.sendall(first)
        until = time.monotonic() + PATIENCE
        while not select.select([connection], [], [], SECONDS_OF_SILENCE)[0]:
            assert time.monotonic() < until
            connection.sendall(again_and_again)
        answer = b""
        while not is_complete(answer):
            received = connection.recv(65536)
            assert received, answer
            answer += received
    return answer


def is_well(program: Program) -> bool:
    """Whether the next one who asks is answered, though nobody else has gone."""
    with urlopen(f"{program.base}/Patient?_summary=count", timeout=PATIENCE) as answer:
        return bool(answer.status == 200)


def refused(answer: bytes, status: int, code: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:500]
    assert answer.count(b"HTTP/1.1 ") == 1, answer[:2000]
    outcome = json.loads(body)
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["code"] == code
    assert outcome["issue"][0]["details"]["text"]


REFUSALS = {
    "08-20-mb-announced": ((POST + b"Content-Length: 20000000\r\n\r\n",), 413, "too-long"),
    "08-20-mb-sent": ((POST + b"Content-Length: 20000000\r\n\r\n", *[MEGABYTE] * 20), 413, "too-long"),
    "08-20-mb-in-chunks": ((POST + CHUNKED, *[b"F4240\r\n" + MEGABYTE + b"\r\n"] * 20), 413, "too-long"),
    "08-body-that-hides-a-request": ((POST + b"Content-Length: 10000001\r\n\r\n" + SMUGGLED,), 413, "too-long"),
    "25-url-of-9-kb": ((BY_ID + b"a" * 9000 + LAST + b"\r\n",), 414, "too-long"),
    "25-url-of-60-kb": ((BY_ID + b"a" * 60_000 + LAST + b"\r\n",), 414, "too-long"),
    "25-url-of-1-mb": ((BY_ID + MEGABYTE + LAST + b"\r\n",), 431, "too-long"),
    "40-trace": ((b"TRACE /fhir/Patient HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n",), 405, "not-supported"),
    "40-connect": ((b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST + b"\r\n",), 400, "structure"),
    "40-unknown-method": ((b"BREW /fhir/Patient HTTP/1.1\r\n" + HOST + b"\r\n",), 400, "structure"),
    "40-method-override": (
        (b"POST /fhir/Patient/a" + LAST + b"X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n",),
        405,
        "not-supported",
    ),
    "40-method-parameter": ((b"GET /fhir/Patient?_method=DELETE" + LAST + b"\r\n",), 400, "invalid"),
    "40-tls": ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",), 400, "structure"),
    "40-length-and-chunks": ((POST + b"Content-Length: 5\r\n" + CHUNKED + b"0\r\n\r\n" + SMUGGLED,), 400, "structure"),
    "40-two-lengths": ((POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456",), 400, "structure"),
    "40-negative-length": ((POST + b"Content-Length: -5\r\n\r\n123456",), 400, "structure"),
    "40-length-with-a-sign": ((POST + b"Content-Length: +5\r\n\r\n123456",), 400, "structure"),
    "40-unknown-coding": ((POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",), 400, "structure"),
    "40-no-size-of-a-chunk": ((POST + CHUNKED + b"zz\r\n",), 400, "structure"),
    "40-folded-header": ((GET + b"X-A: b\r\n c\r\n\r\n",), 400, "structure"),
    "40-blank-before-colon": ((b"GET /fhir/Patient HTTP/1.1\r\nHost : a\r\n\r\n",), 400, "structure"),
    "40-nul-in-a-header": ((GET + b"X-A: b\0c\r\n\r\n",), 400, "structure"),
    "40-20000-headers": ((GET + b"".join(b"X-%d: a\r\n" % n for n in range(20_000)) + b"\r\n",), 431, "too-long"),
    "40-5000-headers": ((GET + CLOSE + b"".join(b"X-%d: a\r\n" % n for n in range(5000)) + b"\r\n",), 431, "too-long"),
    "40-header-of-40-kb": ((GET + CLOSE + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n",), 431, "too-long"),
    "40-headers-without-end": ((GET, *[b"X-A: " + b"a" * 60_000 + b"\r\n"] * 50), 431, "too-long"),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "status", "code"), REFUSALS.values(), ids=REFUSALS)
def test_it_is_refused(program: Program, parts: tuple[bytes, ...], status: int, code: str):
    refused(told(program, *parts), status, code)
    assert is_well(program)


def test_40_what_a_head_request_carries_is_no_request(program):
    answer = told(
        program, b"HEAD /fhir/metadata HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED), SMUGGLED
    )
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b'"resourceType"' not in answer


def test_41_headers_that_come_byte_by_byte_are_not_waited_for(hurried):
    refused(told_while_sending(hurried, GET, b"X"), 408, "timeout")
    assert is_well(hurried)


def test_41_a_body_that_comes_byte_by_byte_is_not_waited_for(hurried):
    head = POST + b"Content-Length: 100000\r\n\r\n"
    refused(told_while_sending(hurried, head, b" "), 408, "timeout")
    assert is_well(hurried)


@pytest.mark.parametrize("opening", [b"", b"\r\n\r\n"], ids=["nothing", "blank-lines"])
def test_41_a_connection_that_asks_nothing_is_closed(hurried, opening):
    with connected(hurried) as connection:
        connection.sendall(opening)
        assert connection.recv(1) == b""


def test_42_idle_connections_do_not_keep_others_out(program):
    with ExitStack() as open_connections:
        for _ in range(4 * PLACES):
            open_connections.enter_context(connected(program))
        assert is_well(program)
    assert is_well(program)


def test_42_a_busy_connection_is_not_given_to_another(program):
    with ExitStack() as open_connections:
        busy = open_connections.enter_context(connected(program))
        body = b'{"resourceType":"Patient"}'
        busy.sendall(POST + CLOSE + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert busy.recv(65536).startswith(b"HTTP/1.1 100 ")  # now the server knows that it is busy
        busy.sendall(body[:5])
        for _ in range(2 * PLACES):
            open_connections.enter_context(connected(program))
        busy.sendall(body[5:])
        assert busy.recv(65536).startswith(b"HTTP/1.1 201 ")


def test_the_log_tells_nothing_of_what_was_sent(program):
    told(program, b"GET /fhir/Patient?name=Nguyen-Secret HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
    told(program, b"GET /fhir/Patient?nameless=Nguyen-Secret HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
    assert "Secret" not in program.log
    assert "Traceback" not in program.log
