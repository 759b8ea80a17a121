"""Participants behind firewalls: all of their packets go through coturn, with the passwords that they are told."""

from __future__ import annotations

import asyncio
import hmac
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiortc import RTCIceServer

from telesession.aiortc_engine.engine import AiortcEngine
from telesession.aiortc_engine.gathering import Ports
from telesession.ice import IceServers
from telesession.media_engine import Source
from tests.telesession.media_client import ADDRESS, Person, until

PROGRAM = Path("/usr/bin/turnserver")
SECRET = "shared by both"
GREY = 120


@pytest.fixture(scope="module")
def coturn(tmp_path_factory) -> Iterator[str]:
    """The URL of a coturn on the loopback."""
    if not PROGRAM.exists():
        pytest.skip("needs coturn (Debian: coturn)")
    folder = tmp_path_factory.mktemp("coturn")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((ADDRESS, 0))
        port = probe.getsockname()[1]
    arguments = [
        "-n", f"--listening-ip={ADDRESS}", f"--relay-ip={ADDRESS}", f"--listening-port={port}", "--fingerprint",
        "--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=example.vn", "--no-tls", "--no-dtls",
        "--allow-loopback-peers", "--no-cli", f"--userdb={folder / 'users'}", f"--pidfile={folder / 'pid'}",
        f"--log-file={folder / 'log'}", "--simple-log", "--min-port=50000", "--max-port=50999",
    ]  # fmt: skip
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen([PROGRAM, *arguments], stdout=out, stderr=subprocess.STDOUT)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex((ADDRESS, port)) == 0:
                    break
            time.sleep(0.05)
        yield f"turn:{ADDRESS}:{port}?transport=udp"
        process.kill()
        process.wait()


def relay(url: str, username: str, credential: str) -> RTCIceServer:
    return RTCIceServer(url, username=username, credential=credential)


def test_two_people_who_reach_only_the_relay_see_each_other(coturn: str):
    async def scene() -> None:
        engine = AiortcEngine(lambda _: None, Ports((ADDRESS,)))
        (told,) = IceServers([coturn], SECRET, time.time).for_("s", "an")
        server = relay(told.url, told.username, told.credential)
        sender, viewer = Person(server), Person(server)
        offer = await sender.offer_camera(GREY, 0.4)
        assert " typ relay" in offer
        assert " typ host" not in offer
        await sender.take_answer((await engine.publish("s", Source("an"), offer)).sdp)
        await viewer.take_answer((await engine.subscribe("s", "binh", await viewer.offer_slots(1, 1))).sdp)
        await until(lambda: viewer.sees(GREY) and max(viewer.loudness.values(), default=0) > 0.1)
        for person in (sender, viewer):
            await person.leave()
        await engine.stop()

    asyncio.run(scene())


@pytest.mark.parametrize("reason", ["expired", "forged"])
def test_a_password_that_is_not_good_any_more_opens_no_relay(coturn: str, reason: str):
    async def scene() -> None:
        username = f"{int(time.time()) + (600 if reason == 'forged' else -60)}:somebody"
        secret = "guessed" if reason == "forged" else SECRET
        credential = b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()
        person = Person(relay(coturn, username, credential))
        assert " typ relay" not in await person.offer_camera(GREY)
        await person.leave()

    asyncio.run(scene())
