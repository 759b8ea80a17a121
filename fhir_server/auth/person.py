"""Somebody who logs in: what is remembered, the password and the second factor (RFC 9106 Argon2, RFC 6238 TOTP)."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from fhir_server.access.caller import ROLES

IS_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@\-]{0,63}").fullmatch
PEOPLE = ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person")
"""The types that a person of this server can be."""
IS_FHIR_USER = re.compile(rf"({'|'.join(PEOPLE)})/[A-Za-z0-9\-.]{{1,64}}").fullmatch
IS_ORGANIZATION = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch

SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 256
COMMON = frozenset(
    "1234567890 0123456789 12345678910 qwertyuiop password123 matkhau123 iloveyou123 adminadmin nhipcau123 "
    "benhvien123 abc123456789 1111111111 0000000000 0987654321 vietnam123".split()
)
STEP_SECONDS = 30
# 19 MiB, two passes: what OWASP asks for at the least, so that a few log-ins at once do not take the machine.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@cache
def nobody() -> str:
    """The hash of a password that nobody has, made when it is first asked for: it costs what a log-in costs."""
    return HASHER.hash(secrets.token_urlsafe(16))


"""What the password of nobody is compared with, so that it takes as long as that of somebody."""


class PersonError(ValueError):
    """A person cannot be registered so, or a password not be used; it says why."""


@dataclass(frozen=True)
class Person:
    """Somebody who logs in.

    `password` is its Argon2 hash, empty for one who logs in elsewhere; `totp` the secret of the second factor, and
    `totp_step` the last step of it that was used. `fhir_user` says who this is as a resource: the actor, not the
    account. `organizations` are ids of the facilities that the person works for.
    """

    login: str
    name: str
    password: str = ""
    roles: tuple[str, ...] = ()
    fhir_user: str = ""
    organizations: tuple[str, ...] = ()
    totp: str = ""
    totp_step: int = 0
    must_change: bool = False
    disabled: bool = False

    def as_json(self) -> dict[str, Any]:
        """The person as is remembered."""
        return asdict(self)


def person_of(body: Mapping[str, Any]) -> Person:
    """Return the person who is remembered so."""
    return Person(**{**body, "roles": tuple(body["roles"]), "organizations": tuple(body["organizations"])})


def checked(person: Person) -> Person:
    """Return a person who can be registered; raise PersonError where one cannot."""
    if IS_LOGIN(person.login) is None:
        raise PersonError(f"{person.login!r} is no login: small letters, digits, dots, hyphens, at most 64")
    if not person.roles:
        raise PersonError(f"a person needs a role: {', '.join(ROLES)}")
    if unknown := set(person.roles) - set(ROLES):
        raise PersonError(f"there is no role {min(unknown)!r}: {', '.join(ROLES)}")
    if person.fhir_user and IS_FHIR_USER(person.fhir_user) is None:
        raise PersonError(f"{person.fhir_user!r} is nobody: name a resource such as Practitioner/123")
    for each in person.organizations:
        if IS_ORGANIZATION(each) is None:
            raise PersonError(f"{each!r} is no id of an Organization")
    return person


def as_typed(text: str) -> str:
    """Return a password or login in one form, whatever keyboard made its diacritics."""
    return unicodedata.normalize("NFKC", text)


def with_password(person: Person, password: str, *, must_change: bool = False) -> Person:
    """Return the person with another password; raise PersonError for one that can be guessed."""
    text = as_typed(password)
    if len(text) < SHORTEST_PASSWORD:
        raise PersonError("password.short")
    if len(text) > LONGEST_PASSWORD:
        raise PersonError("password.long")
    folded = text.casefold()
    if folded in COMMON or person.login in folded or len(set(folded)) < 4:
        raise PersonError("password.easy")
    return replace(person, password=HASHER.hash(text), must_change=must_change)


def knows_password(person: Person | None, password: str) -> bool:
    """Whether this is the person's password; it takes as long for nobody."""
    known = person.password if person is not None and person.password else nobody()
    try:
        HASHER.verify(known, as_typed(password)[: LONGEST_PASSWORD + 1])
    except (VerificationError, InvalidHashError):
        return False
    return person is not None and bool(person.password)


def new_totp() -> str:
    """Return a new secret for a second factor."""
    return pyotp.random_base32()


def totp_step(secret: str, code: str, now: float, after: int) -> int | None:
    """Return the step that a code is of, None where it is wrong or its step is not after the last one used."""
    typed = "".join(code.split())
    if not typed.isascii() or not typed.isdigit() or len(typed) != 6:
        return None
    current = int(now) // STEP_SECONDS
    made = pyotp.TOTP(secret)
    found = None
    for step in (current - 1, current, current + 1):
        if secrets.compare_digest(made.generate_otp(step), typed) and step > after:
            found = step
    return found


def totp_uri(person: Person, secret: str, issuer: str) -> str:
    """Return what an authenticator app reads from the picture."""
    return pyotp.TOTP(secret).provisioning_uri(name=person.login, issuer_name=issuer)


def readable_password() -> str:
    """Return a random password that can be read aloud and typed on a phone."""
    letters = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))
