"""The status table of WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep-04), with connections of stock aiortc."""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from telesession import signalling
from telesession.media import Media
from telesession.media_engine import Happening, Overloaded
from telesession.rate import Rate
from tests.serving import Served, serving
from tests.telesession.media_client import ADDRESS, Person, until
from tests.telesession.table_door import TableDoor, Tokens, extension_of

SECRET = "shared with coturn"
BASE = "http://node/telesession/sessions/s1"
SDP = {"content-type": "application/sdp"}
FRAGMENT = {"content-type": "application/trickle-ice-sdpfrag"}
GREY = 120


class Stage:
    """A server with signalling alone, and people who call it."""

    def __init__(self, server: Served, door: TableDoor, media: Media, told: list[Happening]) -> None:
        self.server = server
        self.door = door
        self.media = media
        self.told = told

    def ask(
        self, method: str, path: str, content: str = "", *, who: str | None = "an", **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named |= {} if who is None else {"authorization": f"Bearer {who}"}
        url = path if path.startswith("http") else f"http://node{path}" if path.startswith("/") else f"{BASE}/{path}"
        return self.server.send(method, url, content=content, headers=named)

    def offer(self, *, pictures: int = 0, sounds: int = 0, shade: int | None = None) -> str:
        """An offer nobody connects with: of slots, or of a camera."""

        async def made() -> str:
            person = Person()
            offer = await (person.offer_slots(pictures, sounds) if shade is None else person.offer_camera(shade))
            await person.leave()
            return offer

        return self.server.call(made)

    def published(self, who: str = "an", query: str = "") -> httpx.Response:
        answer = self.ask("POST", f"whip{query}", self.offer(shade=GREY), who=who, content_type="application/sdp")
        assert answer.status_code == 201, answer.text
        return answer

    def played(self, scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.server.call(scene)


@pytest.fixture(scope="module")
def served() -> Iterator[Stage]:
    door, told, media = TableDoor(), list[Happening](), list[Media]()
    chosen: dict[str, Any] = {
        "media_addresses": (ADDRESS,),
        "ice_servers": ("stun:stun.example.vn", "turn:turn.example.vn:3478?transport=udp"),
        "turn_secret": SECRET,
        "cors_origins": ("https://app.example.vn",),
    }
    with serving(extensions=[extension_of(door, told, media)], **chosen) as server:
        server.service.fhir.authenticator = Tokens()
        yield Stage(server, door, media[0], told)
        server.call(media[0].stop)


@pytest.fixture
def stage(served: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(Rate, "needs", lambda *_: None)
    served.door.states = {("s1", "an"): "in", ("s1", "binh"): "in", ("s1", "cuc"): "waiting", ("s1", "dao"): "watching",
                          ("s1", "em"): "ended"}  # fmt: skip
    yield served

    async def clear() -> None:
        await (await served.media.engine()).end("s1")

    served.server.call(clear)


def test_a_publication_is_answered_with_its_url_and_all_candidates(stage: Stage):
    answer = stage.published()
    assert answer.headers["content-type"].startswith("application/sdp")
    where = answer.headers["location"]
    assert re.fullmatch(r"/telesession/sessions/s1/whip/[\w-]{24}", where)
    assert "a=candidate:" in answer.text
    assert "a=recvonly" in answer.text
    assert "etag" not in answer.headers
    assert stage.published("binh").headers["location"] != where


def test_a_viewer_is_answered_with_slots(stage: Stage):
    offer = stage.offer(pictures=3, sounds=2)
    answer = stage.ask("POST", "whep", offer, content_type="application/sdp")
    assert answer.status_code == 201
    assert answer.text.count("a=sendonly") == 5
    slots = f"{answer.headers['location']}/slots"
    assert f'<{slots}>; rel="urn:nhipcau:whep:slots"' in answer.headers["link"]
    shown = stage.ask("GET", slots).json()["slots"]
    assert [each["kind"] for each in shown] == ["video"] * 3 + ["audio"] * 2


def test_ice_servers_come_with_passwords_that_expire(stage: Stage):
    links = stage.published().headers.get_list("link")
    assert links[0] == '<stun:stun.example.vn>; rel="ice-server"'
    found = re.fullmatch(
        r'<turn:turn.example.vn:3478\?transport=udp>; rel="ice-server"; username="(\d+):([0-9a-f]{16})"; '
        r'credential="(.+)"; credential-type="password"',
        links[1],
    )
    assert found
    assert 500 < int(found[1]) - time.time() < 601
    made = hmac.digest(SECRET.encode(), f"{found[1]}:{found[2]}".encode(), "sha1")
    assert base64.b64encode(made).decode() == found[3]


@pytest.mark.parametrize("endpoint", ["whip", "whep"])
@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        ("v=0", "text/plain", 415),
        ("v=0", "", 415),
        ("", "application/sdp", 400),
        ("{}", "application/sdp; charset=utf-8", 400),
        ("v=0\r\n", "application/sdp", 422),
        ("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n", "application/sdp", 422),
        ("v=0\r\n" + "a=x\r\n" * 200_000, "application/sdp", 413),
        ("v=0\r\n" + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n" * 1000, "application/sdp", 413),
    ],
    ids="text no-type empty json no-media data-channel megabyte candidates".split(),
)
def test_what_is_no_offer_is_refused(stage: Stage, endpoint: str, content: str, media_type: str, status: int):
    answer = stage.ask("POST", endpoint, content, content_type=media_type)
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_two_pictures_in_one_publication_are_refused_whole(stage: Stage):
    offer = stage.offer(pictures=2).replace("recvonly", "sendonly")
    assert stage.ask("POST", "whip", offer, content_type="application/sdp").status_code == 422


@pytest.mark.parametrize(
    ("who", "status"),
    [(None, 401), ("nobody", 401), ("stranger", 404), ("cuc", 409), ("dao", 403), ("em", 410), ("unscoped", 403)],
    ids=["no-token", "bad-token", "stranger", "waiting", "watching", "ended", "scope"],
)
def test_who_may_not_publish_is_told_so(stage: Stage, who: str | None, status: int):
    answer = stage.ask("POST", "whip", "v=0", who=who, content_type="application/sdp")
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) is (status == 409)
    assert answer.headers.get("www-authenticate", "").startswith("Bearer") is (status == 401 or who == "unscoped")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_every_request_needs_a_token_and_only_ones_own_connection_is_there(stage: Stage, method: str):
    where = stage.published().headers["location"]
    assert stage.ask(method, where, who=None).status_code == 401
    assert stage.ask(method, where, who="binh").status_code == 404
    assert stage.ask(method, where.replace("s1", "s2")).status_code == 404
    assert stage.ask(method, where.replace("/whip/", "/whep/")).status_code == 404
    assert stage.ask("GET", where).status_code == 204


def test_who_only_watches_may_view(stage: Stage):
    offer = stage.offer(pictures=1)
    assert stage.ask("POST", "whep", offer, who="dao", content_type="application/sdp").status_code == 201


def test_a_source_that_sends_nothing_yet_is_a_conflict_to_try_again(stage: Stage):
    answer = stage.ask("POST", "whep?source=binh", stage.offer(pictures=1), content_type="application/sdp")
    outcome_of(answer, 409, "conflict")
    assert int(answer.headers["retry-after"]) > 0
    stage.published("binh")
    answer = stage.ask("POST", "whep?source=binh", stage.offer(pictures=1), content_type="application/sdp")
    assert answer.status_code == 201


def outcome_of(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json()["issue"][0]["code"] == code


def test_candidates_trickle(stage: Stage):
    where = stage.published().headers["location"]
    candidate = "a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=candidate:2 1 udp 1 x.local 9 typ host\r\n"
    assert stage.ask("PATCH", where, candidate, **FRAGMENT_TYPE).status_code == 204
    assert stage.ask("PATCH", where, "a=end-of-candidates\r\n", **FRAGMENT_TYPE).status_code == 204


FRAGMENT_TYPE = {"content_type": "application/trickle-ice-sdpfrag"}


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        ("a=candidate:1 1 udp 1 192.0.2.1 9 typ host", "text/plain", 415),
        ("a=candidate:1 1 udp 1 192.0.2.1 9 typ host", "application/sdp", 415),
        ("", FRAGMENT["content-type"], 400),
        ("hello", FRAGMENT["content-type"], 400),
        ("a=candidate:1 x", FRAGMENT["content-type"], 204),
        ("a=candidate:1 1 udp x 192.0.2.1 9 typ host", FRAGMENT["content-type"], 400),
        ("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n" * 200, FRAGMENT["content-type"], 413),
    ],
    ids="type sdp empty text short-candidate bad-candidate many".split(),
)
def test_what_is_no_fragment_is_refused(stage: Stage, content: str, media_type: str, status: int):
    where = stage.published().headers["location"]
    assert stage.ask("PATCH", where, content, content_type=media_type).status_code == status
    assert stage.ask("GET", where).status_code == 204


def test_an_engine_that_takes_no_restart_says_so(stage: Stage):
    where = stage.published().headers["location"]
    restart = "a=ice-ufrag:newu\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
    outcome_of(stage.ask("PATCH", where, restart, **FRAGMENT_TYPE), 422, "processing")
    outcome_of(stage.ask("PATCH", where, restart, if_match="*", **FRAGMENT_TYPE), 422, "processing")


def test_a_connection_is_deleted_once_whatever_if_match_says(stage: Stage):
    where = stage.published().headers["location"]
    assert stage.ask("DELETE", where, if_match='"stale"').status_code == 200
    assert stage.door.closings[-1] in where
    assert stage.ask("DELETE", where).status_code == 404
    assert stage.ask("PATCH", where, "a=end-of-candidates\r\n", **FRAGMENT_TYPE).status_code == 404


def test_looking_at_endpoints_tells_what_they_take(stage: Stage):
    for endpoint in ("whip", "whep"):
        for method in ("GET", "HEAD"):
            answer = stage.ask(method, endpoint)
            assert answer.status_code == 200
            assert answer.content == b""
            assert answer.headers["content-type"].startswith("application/sdp")
    assert stage.ask("PUT", "whip").status_code == 405


def test_a_browser_may_ask_before_it_calls_without_a_token(stage: Stage):
    answer = stage.ask("OPTIONS", "whip", who=None, origin="https://app.example.vn")
    assert answer.status_code == 204
    assert answer.headers["accept-post"] == "application/sdp"
    assert answer.headers["access-control-allow-origin"] == "https://app.example.vn"
    assert "link" not in answer.headers
    assert "access-control-allow-origin" not in stage.ask("OPTIONS", "whip", who=None, origin="https://x.vn").headers
    shown = stage.ask("GET", "whip", origin="https://app.example.vn").headers["access-control-expose-headers"]
    assert {"link", "location", "etag"} <= set(shown.split(", "))


def test_an_engine_that_is_full_says_when_to_try_again(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    async def full(*_: Any, **__: Any) -> None:
        raise Overloaded("The engine is full.", 7)

    engine = stage.server.call(stage.media.engine)
    monkeypatch.setattr(engine, "_admit", lambda: (_ for _ in ()).throw(Overloaded("The engine is full.", 7)))
    answer = stage.ask("POST", "whip", stage.offer(shade=GREY), content_type="application/sdp")
    outcome_of(answer, 503, "transient")
    assert answer.headers["retry-after"] == "7"


def test_who_asks_too_often_is_throttled(served: Stage):
    served.door.states = {("s1", "an"): "in"}
    statuses = [served.ask("POST", "whip", "v=0", content_type="application/sdp").status_code for _ in range(100)]
    assert statuses[: signalling.BURST] == [422] * signalling.BURST
    assert statuses[-1] == 429


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"slots": [{"mid": "0", "source": "binh", "layer": "low"}], "video": "on"}', 200),
        ('{"video": "off"}', 200),
        ('{"slots": [{"mid": "0", "source": null}]}', 200),
        ('{"slots": [{"mid": "9", "source": "binh"}]}', 400),
        ('{"slots": [{"source": "binh"}]}', 400),
        ('{"slots": [{"mid": "0", "layer": "best"}]}', 400),
        ('{"slots": {"mid": "0"}}', 400),
        ('{"video": "sometimes"}', 400),
        ("[]", 400),
        ("{", 400),
    ],
)
def test_slots_are_switched_by_patch(stage: Stage, body: str, status: int):
    where = stage.ask("POST", "whep", stage.offer(pictures=1), content_type="application/sdp").headers["location"]
    answer = stage.ask("PATCH", f"{where}/slots", body, content_type="application/json")
    assert answer.status_code == status, answer.text
    if status == 200 and "binh" in body:
        assert answer.json()["slots"] == [{"mid": "0", "kind": "video", "source": "binh", "layer": "low"}]


def test_publish_view_and_leave_by_http_alone(stage: Stage):
    async def scene() -> None:
        transport = httpx.ASGITransport(stage.server.service, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport) as client, people() as (one, two):
            mine, theirs = ({"authorization": f"Bearer {name}", **SDP} for name in ("an", "binh"))
            offer = await one.offer_camera(GREY, 0.4)
            answer = await client.post(f"{BASE}/whip", content=offer, headers=mine)
            await one.take_answer(answer.text)
            offer = await two.offer_slots(1, 1)
            viewed = await client.post(f"{BASE}/whep", content=offer, headers=theirs)
            await two.take_answer(viewed.text)
            await until(lambda: two.sees(GREY) and max(two.loudness.values(), default=0) > 0.1)
            gone = await client.delete(f"http://node{answer.headers['location']}", headers=mine)
            assert gone.status_code == 200

    stage.played(scene)


@asynccontextmanager
async def people() -> AsyncIterator[tuple[Person, Person]]:
    both = Person(), Person()
    yield both
    for each in both:
        await each.leave()
