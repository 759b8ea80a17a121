"""The servers of ICE that participants are told, with passwords that expire (draft-uberti-behave-turn-rest-00).

What stands in a user name reaches the TURN server's log, so it is neither a name nor an account.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1, sha256
from typing import Any

SECONDS = 600


@dataclass(frozen=True, slots=True)
class IceServer:
    """One server as a browser takes it; STUN has no user."""

    url: str
    username: str = ""
    credential: str = ""

    def json(self) -> dict[str, Any]:
        """An RTCIceServer."""
        named = {"username": self.username, "credential": self.credential} if self.username else {}
        return {"urls": [self.url], **named}

    def link(self) -> str:
        """The value of a Link header."""
        value = f'<{self.url}>; rel="ice-server"'
        if not self.username:
            return value
        return f'{value}; username="{self.username}"; credential="{self.credential}"; credential-type="password"'


class IceServers:
    """The servers of a node: `urls` as settings name them, and the secret that the TURN servers share with it."""

    def __init__(self, urls: Sequence[str], secret: str, clock: Callable[[], float], seconds: int = SECONDS) -> None:
        self._urls = tuple(urls)
        self._secret = secret.encode()
        self._clock = clock
        self._seconds = seconds

    def for_(self, session: str, participant: str) -> tuple[IceServer, ...]:
        """The servers for a participant; the password is good for some minutes from now."""
        who = sha256(self._secret + f"{session}/{participant}".encode()).hexdigest()[:16]
        username = f"{int(self._clock()) + self._seconds}:{who}"
        credential = b64encode(hmac.digest(self._secret, username.encode(), sha1)).decode()
        return tuple(
            IceServer(url, username, credential) if url.startswith(("turn:", "turns:")) else IceServer(url)
            for url in self._urls
        )
