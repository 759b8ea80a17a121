"""Access and refresh tokens: random texts, of which only digests are remembered (RFC 6749, 1.4 and 1.5; RFC 9700)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fhir_server.access.caller import PASSWORD, SECOND_FACTOR, Caller
from fhir_server.access.scope import parse_scopes
from fhir_server.auth.client import Client, client_of, digest
from fhir_server.auth.person import Person, person_of
from fhir_server.store.records import Record, Records

TokenKind = Literal["token", "refresh"]
Why = Literal["unknown", "expired", "revoked"]

ACCESS_PREFIX, REFRESH_PREFIX = "nca_", "ncr_"
SECONDS_FOR_PEOPLE = 3600
SECONDS_FOR_PROGRAMS = 300
SECONDS_OFFLINE = 90 * 86_400
SECONDS_ONLINE = 12 * 3600
SECONDS_TOLD = 600
"""How long after its end a token is still known to have been one."""


class BadToken(Exception):
    """A token that opens nothing, and why."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Grant:
    """What a person allowed a program, and in which context; its tokens end with it."""

    client: str
    person: str
    scope: str
    made: int
    authenticated_at: int
    assurance: int
    patient: str = ""
    encounter: str = ""
    nonce: str = ""
    intent: str = ""

    def as_json(self) -> dict[str, Any]:
        """The grant as it is remembered."""
        return asdict(self)


def grant_of(body: Mapping[str, Any]) -> Grant:
    """Return the grant that is remembered so."""
    return Grant(**body)


@dataclass(frozen=True, slots=True)
class Known:
    """A token that is good: its record, its id, and whose it is. Without a `grant` it is a program's own."""

    kind: TokenKind
    id: str
    name: str
    record: Record
    client: Client
    person: Person | None
    grant: Grant | None

    @property
    def scope(self) -> str:
        """What it was given for."""
        return str(self.record.body["scope"])

    def check_client(self, client: Client) -> bool:
        """Whether it was given to this client; Authlib asks."""
        return self.client.id == client.id

    def get_scope(self) -> str:
        """What it was given for; Authlib asks."""
        return self.scope

    def is_expired(self) -> bool:
        """False: such a token is not known; Authlib asks."""
        return False

    def is_revoked(self) -> bool:
        """False: such a token is not known; Authlib asks."""
        return False


class Tokens:
    """Gives out tokens and knows them again."""

    def __init__(self, records: Records, clock: Callable[[], float], issuer: str) -> None:
        self.records = records
        self.issuer = issuer
        self._clock = clock

    def allow(self, grant: Grant) -> str:
        """Remember what a person allowed; return its id."""
        name = secrets.token_hex(16)
        added = self.records.add("grant", name, grant.as_json(), grant.made + SECONDS_OFFLINE)
        assert added, "random ids do not meet"
        return name

    def issue(self, client: Client, scope: str, grant: str = "") -> str:
        """Return a new access token."""
        token = ACCESS_PREFIX + secrets.token_urlsafe(32)
        expires = int(self._clock()) + (SECONDS_FOR_PEOPLE if grant else SECONDS_FOR_PROGRAMS)
        body = {"client": client.id, "scope": scope, "grant": grant, "expires": expires}
        self.records.add("token", digest(token), body, expires + SECONDS_TOLD)
        return token

    def issue_refresh(self, client: Client, scope: str, grant: str, until: int) -> str:
        """Return a new refresh token, good once and until a moment."""
        token = REFRESH_PREFIX + secrets.token_urlsafe(32)
        body = {"client": client.id, "scope": scope, "grant": grant, "expires": until, "used": False}
        self.records.add("refresh", digest(token), body, until + SECONDS_TOLD)
        return token

    def known(self, token: str, kind: TokenKind = "token") -> Known:
        """What a token of a kind is; raise BadToken for one that is not good, or not of the kind."""
        name = digest(token)
        record = self.records.read(kind, name)
        if record is None:
            raise BadToken("unknown")
        if record.body["expires"] <= self._clock():
            raise BadToken("expired")
        client = self.records.read("client", record.body["client"])
        if client is None or client.body["disabled"]:
            raise BadToken("revoked")
        person = grant = None
        if record.body["grant"]:
            grant, person = self._granted(record.body["grant"])
        return Known(kind, name[:16], name, record, client_of(client.body), person, grant)

    def _granted(self, name: str) -> tuple[Grant, Person]:
        found = self.records.read("grant", name)
        if found is None:
            raise BadToken("revoked")
        grant = grant_of(found.body)
        somebody = self.records.read("person", grant.person)
        if somebody is None or somebody.body["disabled"]:
            raise BadToken("revoked")
        return grant, person_of(somebody.body)

    def known_refresh(self, token: str) -> Known:
        """What a refresh token is; raise BadToken. One used before takes everything that was given with its grant."""
        found = self.known(token, "refresh")
        if found.record.body["used"]:
            self.revoke_grant(found.record.body["grant"])
            raise BadToken("revoked")
        return found

    def use_refresh(self, known: Known) -> bool:
        """Mark a refresh token as used; False where another request was faster, which revokes its grant."""
        used = self.records.change("refresh", known.name, {**known.record.body, "used": True}, known.record.revision)
        if not used:
            self.revoke_grant(known.record.body["grant"])
        return used

    def revoke(self, known: Known) -> None:
        """End a token; with a refresh token, all that was given with its grant (RFC 7009, 2.1)."""
        if known.kind == "refresh":
            self.revoke_grant(known.record.body["grant"])
        else:
            self.records.change("token", known.name, None, known.record.revision)

    def revoke_grant(self, name: str) -> None:
        """End all tokens of a grant."""
        record = self.records.read("grant", name)
        if record is not None:
            self.records.change("grant", name, None, record.revision)

    def revoke_all(self, *, person: str | None = None, client: str | None = None) -> int:
        """End every grant of a person or to a client; return how many there were."""
        found = [
            name
            for name, record in self.records.listed("grant")
            if record.body["person"] == person or record.body["client"] == client
        ]
        for name in found:
            self.revoke_grant(name)
        return len(found)

    def caller(self, known: Known) -> Caller:
        """The caller whom a token stands for."""
        scopes = parse_scopes(known.scope)
        expires = known.record.body["expires"]
        client, person, grant = known.client, known.person, known.grant
        if person is None or grant is None:
            return Caller(
                kind="client",
                subject=client.id,
                scopes=scopes,
                roles=frozenset(client.roles),
                organizations=client.organizations,
                client=client.id,
                token=known.id,
                issuer=self.issuer,
                assurance=SECOND_FACTOR if client.method == "private_key_jwt" else PASSWORD,
                expires=expires,
            )
        return Caller(
            kind="person",
            subject=person.login,
            scopes=scopes,
            roles=frozenset(person.roles),
            fhir_user=person.fhir_user or None,
            organizations=person.organizations,
            patient=grant.patient or None,
            encounter=grant.encounter or None,
            client=client.id,
            token=known.id,
            issuer=self.issuer,
            authenticated_at=grant.authenticated_at,
            assurance=grant.assurance,
            expires=expires,
        )
