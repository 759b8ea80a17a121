"""Signatures of this node under what people sign here (FHIR R4, 2.1.27 Signature; JWS, RFC 7515)."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from fhir_server.resource.exact import dump_exact

ALGORITHM = "ES256"
FILE = "signing-key.json"
FORMER_FOLDER = "images"
"""Where the key was when images alone were signed; it is moved from there."""
REGISTRY = jws.JWSRegistry(algorithms=[ALGORITHM], strict_check_header=False)
LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Held:
    """A signature that holds: what its header says, and the thumbprint of the key that made it (RFC 7638)."""

    header: Mapping[str, Any]
    key: str


def canonical(resource: Mapping[str, Any]) -> bytes:
    """Return what is signed of a resource: without narrative and meta, members in order (FHIR R4, 2.6.2.1)."""
    return dump_exact(ordered({name: value for name, value in resource.items() if name not in ("text", "meta")}))


def ordered(value: Any) -> Any:
    """Return JSON with the members of its objects in the order of letters, and strings however they were escaped."""
    if isinstance(value, dict):
        return {str(name): ordered(value[name]) for name in sorted(value)}
    if isinstance(value, str):
        return str(value)
    return [ordered(each) for each in value] if isinstance(value, list) else value


def key_in(folder: Path) -> ECKey:
    """Return the key of the node with this data folder, made where there is none; of several processes one makes it."""
    path, former = folder / FILE, folder / FORMER_FOLDER / FILE
    if not path.exists() and former.exists():
        with suppress(FileExistsError, FileNotFoundError):
            path.hardlink_to(former)
        former.unlink(missing_ok=True)
    if not path.exists():
        made = ECKey.generate_key("P-256", auto_kid=True)
        # For its owner alone from the start; of several that are made at once, by processes or threads, one is the key.
        handle, name = mkstemp(prefix=f"{FILE}.", dir=folder)
        fresh = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(made.as_dict(private=True)))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return ECKey.import_key(orjson.loads(path.read_bytes()))


def signed(resource: Mapping[str, Any], key: ECKey, **said: str) -> str:
    """Return the JWS of a resource, its payload left out (RFC 7515, appendix F).

    The public key, and what is `said` about the signing, are in the header, which the signature protects.
    """
    public = key.as_dict(private=False)
    header = {"alg": ALGORITHM, "kid": public["kid"], "jwk": public, "typ": "JOSE", **said}
    head, _, tail = jws.serialize_compact(header, canonical(resource), key, registry=REGISTRY).split(".")
    return f"{head}..{tail}"


def verify(resource: Mapping[str, Any], token: str) -> Held | None:
    """Return what a JWS without payload says of a resource, by the key in its own header; None where it does not hold.

    Whether that key is one to trust is told by its thumbprint, not here.
    """
    head, dot, tail = token.partition("..")
    if not dot or len(token) > LONGEST:
        return None
    payload = urlsafe_b64encode(canonical(resource)).rstrip(b"=").decode()
    try:
        header = jws.extract_compact(f"{head}.{payload}.{tail}".encode(), registry=REGISTRY).headers()
        key = ECKey.import_key(header["jwk"])
        jws.deserialize_compact(f"{head}.{payload}.{tail}".encode(), key, registry=REGISTRY)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Held(header, key.thumbprint())
