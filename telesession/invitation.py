"""Invitations of people without an account: a code that is good once, for one session and one role.

The code and the guest's token are random, and only their digests are remembered. The link carries the code behind `#`,
which browsers send to nobody (RFC 3986, 3.5), and once it was used it opens nothing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

import orjson

from fhir_server.access.caller import Caller
from fhir_server.access.scope import NOTHING
from fhir_server.errors import Conflict, Gone, InvalidValue, Issue, NotFound
from fhir_server.rest.failure import BadToken
from fhir_server.rest.node import Notes
from telesession.rate import Rate
from telesession.room import Role

PREFIX = "nhg_"
CODE_NOTE, TOKEN_NOTE = "telesession code ", "telesession guest "
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
LONGEST_MINUTES = 7 * 24 * 60
MINUTES = 24 * 60
SECONDS_OF_TOKEN = 6 * 3600
MOST_OPEN = 50
GUEST_ROLES: tuple[Role, ...] = ("guest", "relative", "interpreter", "patient")
BEARER = re.compile(rf"[Bb]earer +({PREFIX}[A-Za-z0-9_\-]{{43}})").fullmatch
IS_CODE = re.compile(rf"[{LETTERS}]{{16}}").fullmatch

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation, by its digest; `token` is the digest of the token that its guest was given."""

    session: str
    role: Role
    name: str
    by: str
    expires: float
    token: str = ""
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a guest's token stands for."""

    session: str
    role: Role
    name: str
    invitation: str
    expires: float


class Invitations:
    """Makes invitations, takes their codes, and knows guests by their tokens."""

    notes: Notes

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._from_address = Rate(20, 1 / 30, clock)
        self._for_session = Rate(60, 1 / 60, clock)

    async def invite(self, session: str, role: str, name: str, by: str, minutes: int) -> tuple[str, str, float]:
        """Make an invitation; return its id, the code and when it expires."""
        if role not in GUEST_ROLES:
            raise InvalidValue(f"Guests can be: {', '.join(GUEST_ROLES)}.", expression=("role",))
        if not 0 < minutes <= LONGEST_MINUTES:
            raise InvalidValue(f"minutes must be 1 to {LONGEST_MINUTES}.", expression=("minutes",))
        code = "".join(secrets.choice(LETTERS) for _ in range(16))
        expires = self._clock() + minutes * 60
        found = Invitation(session, role, name, by, expires)
        await self._list(session, digest(code))
        await self.notes.keep(CODE_NOTE + digest(code), text_of(found), None)
        return digest(code), code, expires

    async def take(self, session: str, code: str, address: str) -> tuple[str, Ticket]:
        """The token for a code; raise NotFound for none of this session, Gone for one used or too old, Throttled."""
        for rate, who in ((self._from_address, address), (self._for_session, session)):
            if rate.left(who) < 1:
                rate.needs(who)
        name = digest(code.lower().replace("-", "").replace(" ", ""))
        kept = await self.notes.note(CODE_NOTE + name)
        found = None if kept is None else Invitation(**orjson.loads(kept))
        if found is None or found.session != session:
            self._from_address.allows(address)
            self._for_session.allows(session)
            raise NotFound("There is no such invitation.")
        if found.token or found.revoked or found.expires <= self._clock():
            raise Gone(Issue("error", "expired", "The invitation was used, withdrawn, or has expired.",
                             fix="Ask who invited you for a new one."))  # fmt: skip
        token = PREFIX + secrets.token_urlsafe(32)
        ticket = Ticket(session, found.role, found.name, name, self._clock() + SECONDS_OF_TOKEN)
        used = text_of(replace(found, token=digest(token)))
        if not await self.notes.keep(CODE_NOTE + name, used, kept):
            raise Gone(Issue("error", "expired", "The invitation was used at this very moment."))
        await self.notes.keep(TOKEN_NOTE + digest(token), text_of(ticket), None)
        return token, ticket

    async def known(self, header: str | None) -> Caller | None:
        """The guest behind the header Authorization; None where it holds no guest's token, BadToken for a bad one."""
        found = BEARER(header.strip()) if header is not None else None
        if found is None:
            return None
        kept = await self.notes.note(TOKEN_NOTE + digest(found[1]))
        if kept is None:
            raise BadToken(Issue("error", "unknown", "This is no guest's token, or it was withdrawn."))
        ticket = Ticket(**orjson.loads(kept))
        if ticket.expires <= self._clock():
            raise BadToken(Issue("error", "expired", "The guest's token has expired."))
        return Caller(
            "guest",
            ticket.invitation,
            NOTHING,
            roles=frozenset({"guest"}),
            encounter=ticket.session,
            client=ticket.role,
            issuer=ticket.name,
            token=digest(found[1]),
            expires=int(ticket.expires),
        )

    async def listed(self, session: str) -> list[Json]:
        """The invitations to a session, without what opens them."""
        found = []
        for name in orjson.loads(await self.notes.note(CODE_NOTE + session) or "[]"):
            kept = await self.notes.note(CODE_NOTE + name)
            if kept is not None:
                each = Invitation(**orjson.loads(kept))
                state = "withdrawn" if each.revoked else "used" if each.token else "open"
                if state == "open" and each.expires <= self._clock():
                    state = "expired"
                found.append({"id": name, "role": each.role, "name": each.name or None, "state": state,
                              "expires": each.expires})  # fmt: skip
        return found

    async def withdraw(self, session: str, name: str) -> str:
        """End an invitation and its guest's token; return what tells the guest from others. Raise NotFound."""
        kept = await self.notes.note(CODE_NOTE + name)
        found = None if kept is None else Invitation(**orjson.loads(kept))
        if kept is None or found is None or found.session != session:
            raise NotFound("There is no such invitation.")
        await self.notes.keep(CODE_NOTE + name, text_of(replace(found, revoked=True)), kept)
        if found.token:
            await self._drop(TOKEN_NOTE + found.token)
        return name

    async def close(self, session: str) -> None:
        """Withdraw what nobody has taken yet, of a session that is over."""
        for name in orjson.loads(await self.notes.note(CODE_NOTE + session) or "[]"):
            kept = await self.notes.note(CODE_NOTE + name)
            found = None if kept is None else Invitation(**orjson.loads(kept))
            if found is not None and not found.token:
                await self.notes.keep(CODE_NOTE + name, text_of(replace(found, revoked=True)), kept)

    async def forget(self, session: str) -> None:
        """Forget all invitations to a session, and their guests."""
        for name in orjson.loads(await self.notes.note(CODE_NOTE + session) or "[]"):
            kept = await self.notes.note(CODE_NOTE + name)
            if kept is not None:
                await self._drop(TOKEN_NOTE + Invitation(**orjson.loads(kept)).token)
                await self._drop(CODE_NOTE + name)
        await self._drop(CODE_NOTE + session)

    async def _list(self, session: str, name: str) -> None:
        while True:
            kept = await self.notes.note(CODE_NOTE + session)
            names = orjson.loads(kept or "[]")
            if len(names) >= MOST_OPEN:
                raise Conflict(f"There are {MOST_OPEN} invitations to this session already.")
            if await self.notes.keep(CODE_NOTE + session, orjson.dumps([*names, name]).decode(), kept):
                return

    async def _drop(self, name: str) -> None:
        kept = await self.notes.note(name)
        if kept is not None:
            await self.notes.keep(name, None, kept)


def digest(text: str) -> str:
    """What is remembered of a secret."""
    return sha256(text.encode()).hexdigest()[:40]


def text_of(found: Invitation | Ticket) -> str:
    """The text that is kept."""
    return orjson.dumps(asdict(found)).decode()
