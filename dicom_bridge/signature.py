"""Signatures of this node under what people sign here (FHIR R4, 2.1.27 Signature; JWS, RFC 7515)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
from joserfc import jws
from joserfc.jwk import ECKey

from fhir_server.resource.exact import dump_exact

ALGORITHM = "ES256"
CANONICAL = "http://hl7.org/fhir/canonicalization/json#static"
FILE = "signing-key.json"


def canonical(resource: dict[str, Any]) -> bytes:
    """Return what is signed of a resource: without narrative and meta, members in order (FHIR R4, 2.6.2.1)."""
    return dump_exact(ordered({name: value for name, value in resource.items() if name not in ("text", "meta")}))


def ordered(value: Any) -> Any:
    """Return JSON with the members of its objects in the order of letters."""
    if isinstance(value, dict):
        return {name: ordered(value[name]) for name in sorted(value)}
    return [ordered(each) for each in value] if isinstance(value, list) else value


def key_in(folder: Path) -> ECKey:
    """Return the key of this node, made where there is none; of several processes one makes it."""
    path = folder / FILE
    if not path.exists():
        made = ECKey.generate_key("P-256", auto_kid=True)
        fresh = folder / f"{FILE}.{os.getpid()}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
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


def signed(resource: dict[str, Any], key: ECKey) -> str:
    """Return the JWS of a resource, its payload left out (RFC 7515, appendix F); the public key is in its header."""
    public = key.as_dict(private=False)
    header = {"alg": ALGORITHM, "kid": public["kid"], "jwk": public, "typ": "JOSE"}
    head, _, tail = jws.serialize_compact(header, canonical(resource), key).split(".")
    return f"{head}..{tail}"
