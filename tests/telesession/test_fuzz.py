"""Whatever is sent to the engine, by signalling or to its sockets, is refused or dropped: those who are in go on."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress
from typing import Any

import pylibsrtp
import pytest

from fhir_server.errors import FhirError
from telesession.aiortc_engine.engine import AiortcEngine
from telesession.aiortc_engine.gathering import Ports
from telesession.media_engine import Source
from tests.telesession.media_client import ADDRESS, Person, until

GREY = 120
JUNK = ["", "a=", "m=audio 9 X 0", "a=mid:0", "a=rtpmap:x", "a=fingerprint:sha-999 ZZ", "a=ssrc:x y", "a=extmap:0 \x00",
        "a=rtpmap:96 VP8/0", "a=fmtp:97 apt=x", "a=ssrc-group:FID 1", "a=candidate:1 1 udp x 1.2.3.4 5 typ host",
        "a=setup:none", "a=group:BUNDLE", "c=IN IP9 x", "a=rtcp-fb:* x", "a=ice-ufrag:" + "u" * 300]  # fmt: skip


def mutated(offer: str, chance: random.Random) -> str:
    """An offer with some lines lost, repeated, swapped, changed or put in."""
    lines = offer.splitlines()
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(lines))
        match chance.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, chance.choice(lines))
            case 2:
                lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
            case 3:
                lines.insert(at, chance.choice(JUNK))
            case _:
                place = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + chance.choice("0\x00:/ -ß9999999999") + lines[at][place + 1 :]
    return "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize("side", ["publish", "view"])
def test_changed_offers_are_answered_or_refused(side: str):
    async def scene() -> None:
        chance = random.Random(side)
        told: list[Any] = []
        engine = AiortcEngine(told.append, Ports((ADDRESS,)))
        model = Person()
        offer = await (model.offer_camera(GREY, 0.2) if side == "publish" else model.offer_slots(2, 2))
        await model.leave()
        answered = 0
        for number in range(120):
            try:
                if side == "publish":
                    made = await engine.publish("s", Source(f"p{number}"), mutated(offer, chance))
                else:
                    made = await engine.subscribe("s", f"p{number}", mutated(offer, chance))
            except FhirError:
                continue
            answered += 1
            await engine.close(made.connection)
        assert 5 < answered < 118
        await goes_on(engine)
        await engine.stop()

    asyncio.run(scene())


def test_what_anybody_throws_at_the_sockets_is_dropped():
    async def scene() -> None:
        engine = AiortcEngine(lambda _: None, Ports((ADDRESS,)))
        sender, viewer = Person(), Person()
        answer = await engine.publish("s", Source("an"), await sender.offer_camera(GREY, 0.4))
        await sender.take_answer(answer.sdp)
        shown = await engine.subscribe("s", "binh", await viewer.offer_slots(1, 1))
        await viewer.take_answer(shown.sdp)
        await until(lambda: viewer.sees(GREY))
        ports = [int(line.split()[5]) for each in (answer, shown) for line in each.sdp.splitlines()
                 if line.startswith("a=candidate:")]  # fmt: skip
        await asyncio.to_thread(throw, ports)
        before = sum(viewer.frames.values())
        await until(lambda: sum(viewer.frames.values()) > before + 20)
        for person in (sender, viewer):
            await person.leave()
        await engine.stop()

    asyncio.run(scene())


def throw(ports: list[int]) -> None:
    """Send empty, random, and nearly right datagrams of each protocol."""
    chance = random.Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        for number in range(4_000):
            body = chance.randbytes(chance.choice((0, 1, 7, 11, 12, 40, 1200)))
            kind = number % 6
            if kind == 0:
                body = struct.pack("!HHI", 1, len(body) & 0xFFFC, 0x2112A442) + body
            elif kind == 1:
                body = struct.pack("!BBHII", 0x80, 96, number & 0xFFFF, number, 1) + body
            elif kind == 2:
                body = struct.pack("!BBHI", 0x81, chance.randrange(200, 208), 1, 1) + body
            elif kind == 3:
                body = struct.pack("!BHHHIH", 22, 0xFEFD, 0, 0, number, len(body)) + body
            elif kind == 4:
                body = struct.pack("!BHHHIH", 21, 0xFEFD, 0, 0, number, 2) + b"\x02\x00"
            own.sendto(body[:1400], (ADDRESS, chance.choice(ports)))


def test_a_participant_who_sends_nonsense_hurts_nobody_else():
    async def scene() -> None:
        engine = AiortcEngine(lambda _: None, Ports((ADDRESS,)))
        bad = Person()
        await bad.take_answer((await engine.publish("s", Source("xau"), await bad.offer_camera(GREY, 0.2))).sdp)
        await until(lambda: bad.peer.connectionState == "connected")
        dtls = bad.peer.getTransceivers()[0].receiver.transport
        chance = random.Random(2)
        for number in range(600):
            head = struct.pack(
                "!BBHII", chance.choice((0x80, 0x90, 0xBF, 0xA0)), chance.randrange(128), number, 1, number
            )
            with suppress(pylibsrtp.Error):
                await dtls.transport._send(
                    dtls._tx_srtp.protect(head + bytes(4) + chance.randbytes(chance.randrange(60)))
                )
            report = struct.pack("!BBHI", 0x81, chance.choice((200, 201, 203, 205, 206)), 7, number) + chance.randbytes(
                24
            )
            await dtls.transport._send(dtls._tx_srtp.protect_rtcp(report))
        await goes_on(engine)
        await bad.leave()
        await engine.stop()

    asyncio.run(scene())


async def goes_on(engine: AiortcEngine) -> None:
    """A new pair of people see each other in the same session."""
    sender, viewer = Person(), Person()
    await sender.take_answer((await engine.publish("s", Source("an"), await sender.offer_camera(200))).sdp)
    answer = await engine.subscribe("s", "binh", await viewer.offer_slots(1, 0), "an")
    await viewer.take_answer(answer.sdp)
    await until(lambda: viewer.sees(200))
    for person in (sender, viewer):
        await person.leave()
