"""Media of sessions under abuse: descriptions, other origins, relays, recordings (rows 112, 114, 116, 120).

What is thinner here than it could be is proved at length in tests/telesession, whose servers these tests use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telesession.ice import SECONDS, IceServers
from tests.serving import outcome
from tests.telesession.media_client import Person
from tests.telesession.test_relay import SECRET, coturn, relay
from tests.telesession.test_sdp import OFFER
from tests.telesession.test_signalling import Stage, served, stage
from tests.telesession.ward import Ward, ward

__all__ = ("coturn", "served", "stage")

ROOT = Path(__file__).parents[2]
CANDIDATE = "a=candidate:{n} 1 udp 1 192.0.2.1 9 typ host\r\n"
PRIVATE = ("10.0.0.0-10.255.255.255", "172.16.0.0-172.31.255.255", "192.168.0.0-192.168.255.255")
FOREIGN = {"origin": "https://evil.example"}


@pytest.fixture(scope="module")
def place() -> Iterator[Ward]:
    with ward() as made:
        yield made


@pytest.mark.parametrize("endpoint", ["whip", "whep"])
@pytest.mark.parametrize(
    ("content", "status"),
    [
        ("v=0\r\n" + "a=x\r\n" * 200_000, 413),
        ("v=0\r\n" + "".join(CANDIDATE.format(n=n) for n in range(10_000)), 413),
        ("v=0\r\nnonsense", 400),
        ("\x00\x01\x02", 400),
    ],
    ids=["megabyte", "candidates", "malformed", "binary"],
)
def test_row_112_a_description_that_is_too_long_or_none(stage: Stage, endpoint: str, content: str, status: int):
    answer = stage.ask("POST", endpoint, content, content_type="application/sdp")
    outcome(answer, status, "too-long" if status == 413 else "invalid")
    assert stage.ask("OPTIONS", endpoint, who=None).status_code < 300


def test_row_112_private_names_of_a_network_reach_nobody(stage: Stage):
    offer = stage.offer(shade=120)
    private = offer.rstrip() + "\r\na=candidate:9 1 udp 1 0b5f2d0e-1c1c.local 9 typ host\r\n"
    answer = stage.ask("POST", "whip", private, content_type="application/sdp")
    assert answer.status_code == 201, answer.text
    assert ".local" not in answer.text


def test_row_114_a_page_of_another_origin(stage: Stage):
    asked = stage.ask("OPTIONS", "whip", who=None, access_control_request_method="POST", **FOREIGN)
    assert "access-control-allow-origin" not in asked.headers
    sent = stage.ask("POST", "whip", OFFER, who=None, content_type="application/sdp", **FOREIGN)
    assert (sent.status_code, "access-control-allow-origin" in sent.headers) == (401, False)
    socket = {"upgrade": "websocket", "connection": "upgrade", "sec_websocket_version": "13"}
    assert stage.ask("GET", "whip", who=None, **socket, **FOREIGN).status_code in (401, 405)


def test_row_116_a_password_that_expired_opens_no_relay(coturn: str):
    async def scene() -> None:
        (told,) = IceServers([coturn], SECRET, lambda: time.time() - SECONDS - 60).for_("s", "an")
        person = Person(relay(told.url, told.username, told.credential))
        assert " typ relay" not in await person.offer_camera(120)
        await person.leave()

    asyncio.run(scene())


@pytest.mark.parametrize("file", ["compose.yaml", "docs/how-to/scale-media.md"])
def test_row_116_the_relay_is_told_to_lead_into_no_private_network(file: str):
    text = (ROOT / file).read_text()
    for words in (*(f"denied-peer-ip={each}" for each in PRIVATE), "user-quota=", "max-bps=", "no-multicast-peers"):
        assert words in text


def test_row_120_nothing_is_recorded_without_consent(place: Ward):
    session = place.encounter("abused-recording")
    place.join("doctor", session, role="host")
    refused = outcome(place.call("doctor", "POST", f"{session}/recording", {"action": "start"}), 403, "forbidden")
    assert "agreed" in refused["details"]["text"]
    assert place.room("doctor", session)["recording"] is None
