"""What authentication tells the server of those who come in, and what it asks of the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.access.caller import Caller

EventKind = Literal[
    "login", "login-failed", "logout", "locked", "password", "second-factor",
    "consent", "refused", "token", "token-refused", "revoked", "registered",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """Something about who came in that must be remembered: never with a token, a code or a password in it."""

    kind: EventKind
    subject: str = ""
    client: str = ""
    address: str = ""
    port: int = 0
    text: str = ""
    succeeded: bool = True


Tell = Callable[[Event], Awaitable[None]]
Ask = Callable[[Caller, str], Awaitable[tuple[int, dict[str, Any]]]]
"""Answers a GET of a caller below the FHIR base: its status, and the resource."""
