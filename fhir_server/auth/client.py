"""A program that asks for tokens, and what is accepted when one is registered (RFC 6749, 2; SMART App Launch 2.2)."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey

from fhir_server.access.caller import ROLES
from fhir_server.access.scope import ScopeError, Scopes, parse_scopes

Method = Literal["none", "client_secret_basic", "private_key_jwt"]
"""How a client proves who it is: not at all, by a secret (in a header or in the form), or by a signed assertion."""

IS_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}").fullmatch
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
IS_APP_SCHEME = re.compile(r"[a-z][a-z0-9]*(\.[a-z0-9\-]+)+").fullmatch
"""A scheme of a native app's own, which is a domain name in reverse (RFC 8252, 7.1)."""
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
LEAST_RSA_BITS = 2048
MOST_KEYS = 20


class ClientError(ValueError):
    """A client cannot be registered so; it says why."""


@dataclass(frozen=True)
class Client:
    """A registered program; Authlib asks it what it may do by the methods below.

    `scope` is the most that it can be granted. `jwks` holds its public keys, or `jwks_uri` says where they are;
    `secret` is the digest of its secret. A `trusted` one belongs to the facility: people are not asked whether they
    agree. `roles` and `organizations` count where it acts for itself.
    """

    id: str
    name: str
    method: Method
    scope: str
    redirect_uris: tuple[str, ...] = ()
    launch_uri: str = ""
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str = ""
    secret: str = ""
    roles: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    trusted: bool = False
    disabled: bool = False

    @property
    def client_id(self) -> str:
        """Its id, by Authlib's name."""
        return self.id

    @property
    def scopes(self) -> Scopes:
        """The most that it can be granted."""
        return parse_scopes(self.scope)

    @property
    def grant_types(self) -> tuple[str, ...]:
        """What it may ask for tokens with: with people's consent, and for itself."""
        for_people = ("authorization_code", "refresh_token") if self.redirect_uris else ()
        for_itself = ("client_credentials",) if self.acts_for_itself else ()
        return (*for_people, *for_itself)

    @property
    def acts_for_itself(self) -> bool:
        """Whether it can have tokens without a person: it keeps a secret, and has scopes for that."""
        return self.method != "none" and any(each.context == "system" for each in self.scopes.resources)

    def get_default_redirect_uri(self) -> None:
        """None: SMART wants it said each time."""

    def get_allowed_scope(self, scope: str) -> str | None:
        """The scopes asked for, which were decided on before."""
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether it is, to the letter, one that was registered (RFC 9700, 2.1)."""
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether this is the secret."""
        return bool(self.secret) and secrets.compare_digest(self.secret, digest(client_secret))

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Whether it may prove itself so; a secret may come in the header or in the form."""
        return self.method == ("client_secret_basic" if method == "client_secret_post" else method)

    def check_response_type(self, response_type: str) -> bool:
        """Whether it may ask people: with codes alone."""
        return response_type == "code" and bool(self.redirect_uris)

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether it may ask for tokens so."""
        return grant_type in self.grant_types

    def as_json(self) -> dict[str, Any]:
        """The client as it is remembered."""
        return asdict(self)


def client_of(body: Mapping[str, Any]) -> Client:
    """Return the client that is remembered so."""
    listed = {name: tuple(body[name]) for name in ("redirect_uris", "roles", "organizations")}
    return Client(**{**body, **listed})


def digest(secret: str) -> str:
    """Return what is remembered of a random secret, which nobody can guess from it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def client_id_of(name: str) -> str:
    """Return the id that a client of this name has, without diacritics and spaces."""
    plain = unicodedata.normalize("NFKD", name.replace("đ", "d").replace("Đ", "D"))
    words = re.findall(r"[A-Za-z0-9._\-]+", "".join(each for each in plain if not unicodedata.combining(each)))
    text = "-".join(words).strip(".-_")[:64]
    if IS_ID(text) is None:
        raise ClientError(f"{name!r} has no letter or digit to make an id of")
    return text


def checked(client: Client) -> Client:
    """Return a client that can be registered; raise ClientError where one cannot."""
    if IS_ID(client.id) is None:
        raise ClientError(f"{client.id!r} is no client id: letters, digits, dots, hyphens, at most 64")
    try:
        scopes = client.scopes
    except ScopeError as error:
        raise ClientError(str(error)) from error
    if not scopes.resources and not scopes.plain:
        raise ClientError("a client needs scopes, such as system/*.rs")
    for uri in client.redirect_uris:
        check_redirect_uri(uri)
    if unknown := set(client.roles) - set(ROLES):
        raise ClientError(f"there is no role {min(unknown)!r}: {', '.join(ROLES)}")
    if client.method == "private_key_jwt":
        if bool(client.jwks) == bool(client.jwks_uri):
            raise ClientError("a client that signs has its keys either inline or at a URL")
        if client.jwks:
            public_keys(client.jwks)
    if not client.grant_types:
        raise ClientError("a client needs a redirect URI, or a key (or secret) and scopes of system/")
    return client


def check_redirect_uri(uri: str) -> None:
    """Raise ClientError for a URI that codes must not be sent to."""
    wrong = ClientError(f"{uri[:200]!r} is no redirect URI: https, or http on this machine, and no fragment")
    if not uri.isascii() or not uri.isprintable() or set(uri) & set(' \\"<>^`{|}*'):
        raise wrong
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise wrong from error
    if "#" in uri or "@" in parts.netloc:
        raise wrong
    if parts.scheme == "https" and host:
        return
    if parts.scheme == "http" and host in LOOPBACK:
        return
    if not parts.netloc and IS_APP_SCHEME(parts.scheme):
        return
    raise wrong


def public_keys(jwks: Any) -> dict[str, Key]:
    """Return the keys of a JWKS by key id; raise ClientError where one cannot verify RS384 or ES384."""
    listed = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(listed, list) or not 0 < len(listed) <= MOST_KEYS:
        raise ClientError(f"a JWKS is an object whose `keys` are 1 to {MOST_KEYS} keys")
    found: dict[str, Key] = {}
    for each in listed:
        name, key = _public_key(each)
        if name in found:
            raise ClientError(f"two keys have the id {name[:100]!r}")
        found[name] = key
    return found


def _public_key(jwk: Any) -> tuple[str, Key]:
    if not isinstance(jwk, dict) or not isinstance(name := jwk.get("kid"), str) or not name:
        raise ClientError("each key of a JWKS needs a `kid`")
    if PRIVATE_MEMBERS & jwk.keys():
        raise ClientError(f"the key {name[:100]!r} holds private parts: send the public key alone")
    kinds: dict[Any, type[RSAKey | ECKey]] = {"RSA": RSAKey, "EC": ECKey}
    kind = kinds.get(jwk.get("kty"))
    if kind is None or (kind is ECKey and jwk.get("crv") != "P-384"):
        raise ClientError(f"the key {name[:100]!r} is neither RSA (for RS384) nor EC P-384 (for ES384)")
    try:
        key = kind.import_key(jwk)
        bits = key.public_key.key_size
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ClientError(f"the key {name[:100]!r} cannot be read") from error
    if kind is RSAKey and bits < LEAST_RSA_BITS:
        raise ClientError(f"the key {name[:100]!r} has {bits} bits: RSA needs {LEAST_RSA_BITS}")
    return name, key


def with_new_secret(client: Client) -> tuple[Client, str]:
    """Return the client with a new random secret, and the secret, which is nowhere kept."""
    secret = secrets.token_urlsafe(32)
    return Client(**{**client.as_json(), "secret": digest(secret)}), secret


def named(texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts without blanks around them, each once."""
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))
