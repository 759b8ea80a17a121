"""Whether what consultations need answers: Janus, servers of ICE (STUN, RFC 8489), the server of e-mail."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from secrets import token_bytes
from typing import TYPE_CHECKING

import httpx

from fhir_server.extension import Surroundings
from fhir_server.maintenance import Finding
from fhir_server.settings import Settings
from telesession.sender import installed
from telesession.smtp_sender import smtp

if TYPE_CHECKING:
    from collections.abc import Iterable

SECONDS = 2.0
TRIES = 3
COOKIE = bytes.fromhex("2112a442")
BINDING = bytes.fromhex("00010000") + COOKIE
ANSWERED = bytes.fromhex("0101")
ADDRESS = re.compile(r"(stun|turn)(s?):(\[[0-9a-fA-F:]+\]|[^:?\[\]]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?")
PORT, TLS_PORT = 3478, 5349
HOW = "docs: Carry more sessions"


def examined(surroundings: Surroundings) -> Iterator[tuple[str, Finding]]:
    """Yield what is found of the engine of media, the servers of ICE and the senders of notices."""
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        "media": lambda: _media(surroundings.settings),
        "ice servers": lambda: _ice(surroundings.settings),
        "notices": lambda: _notices(surroundings),
    }
    for name, check in checks.items():
        for finding in check():
            yield name, finding


def _media(settings: Settings) -> Iterator[Finding]:
    engine, _, urls = settings.media.partition("=")
    if engine != "janus":
        yield Finding("good", f"engine: {engine}")
        return
    if not settings.janus_secret or not settings.janus_admin_key:
        fix = f"Set both as in Janus's own files ({HOW})."
        yield Finding("bad", "NHIPCAU_JANUS_SECRET or NHIPCAU_JANUS_ADMIN_KEY is not set.", fix)
    for url in urls.split(","):
        yield _janus(url.strip().rstrip("/"))


def _janus(url: str) -> Finding:
    try:
        told = httpx.get(f"{url}/info", timeout=SECONDS, trust_env=False).json()
        version = told["version_string"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as failure:
        fix = f"Start it (systemctl status janus), or correct NHIPCAU_MEDIA ({HOW})."
        return Finding("bad", f"Janus at {url} does not answer: {type(failure).__name__}.", fix)
    if "janus.plugin.videoroom" not in told.get("plugins", {}):
        return Finding("bad", f"Janus {version} at {url} has no VideoRoom.", "Enable its plug-in libjanus_videoroom.")
    if not told.get("auth_token"):
        fix = f"Set token_auth and token_auth_secret in janus.jcfg ({HOW})."
        return Finding("warning", f"Janus {version} at {url} asks nobody for a token.", fix)
    return Finding("good", f"Janus {version} at {url}")


def _ice(settings: Settings) -> Iterator[Finding]:
    if not settings.ice_servers:
        fix = f"Run coturn where participants are behind firewalls ({HOW})."
        yield Finding("warning", "There is no TURN server: who can send no UDP cannot join.", fix)
    for url in settings.ice_servers:
        matched = ADDRESS.fullmatch(url)
        if matched is None:
            yield Finding("bad", f"{url} is no address of STUN or TURN.", "Write turn:HOST:3478?transport=udp.")
            continue
        if matched[1] == "turn" and not settings.turn_secret:
            yield Finding("bad", f"{url} needs NHIPCAU_TURN_SECRET.", "Set it to coturn's static-auth-secret.")
        yield _server(url, matched)


def _server(url: str, matched: re.Match[str]) -> Finding:
    host, is_tls = matched[3].strip("[]"), bool(matched[2])
    port = int(matched[4] or (TLS_PORT if is_tls else PORT))
    ask = _connects if is_tls or matched[5] == "tcp" else _binds
    try:
        ask(host, port)
    except (OSError, OverflowError) as failure:
        fix = f"Start it (systemctl status coturn), open its port, or correct NHIPCAU_ICE_SERVERS ({HOW})."
        return Finding("bad", f"{url} does not answer: {failure}", fix)
    return Finding("good", f"{url} answers")


def _connects(host: str, port: int) -> None:
    socket.create_connection((host, port), SECONDS).close()


def _binds(host: str, port: int) -> None:
    """Ask for a binding; raise OSError where no answer comes."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as asking:
        asking.settimeout(SECONDS / TRIES)
        asking.connect(address)
        for _ in range(TRIES):
            transaction = token_bytes(12)
            asking.send(BINDING + transaction)
            try:
                answer = asking.recv(2048)
            except TimeoutError:
                continue
            if answer.startswith(ANSWERED) and answer[4:20] == COOKIE + transaction:
                return
    raise TimeoutError("no answer to a binding request (STUN)")


def _notices(surroundings: Surroundings) -> Iterator[Finding]:
    by_mail = smtp(surroundings)
    if by_mail is not None:
        host = surroundings.settings.smtp_url.rpartition("@")[2].rpartition("/")[2]
        try:
            by_mail.greet()
        except OSError as failure:
            fix = "Correct NHIPCAU_SMTP_URL: smtp://USER:PASSWORD@HOST:587, or smtps://."
            yield Finding("bad", f"The server of e-mail at {host} takes nothing: {failure}", fix)
            return
    senders = installed(surroundings)
    ways = sorted({system for each in senders for system in each.systems})
    yield Finding("good", f"sent by: {', '.join(ways)}" if ways else "shown in the app; none are sent")
