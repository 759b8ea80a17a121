"""The keys that this server signs id tokens with, and their change (OpenID Connect Core 1.0, 10.1.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from joserfc.jwk import KeySet, RSAKey

from fhir_server.store.records import Records

ALGORITHM = "RS256"
"""The one that SMART wants of every server (SMART App Launch 2.2, Scopes: fhirUser)."""
BITS = 2048
SECONDS_OF_USE = 90 * 86_400
SECONDS_PUBLISHED = 97 * 86_400
"""A key is published for a week after its use, longer than any id token lives."""


class Keys:
    """Signs with the newest key and makes another when that is old; all processes share them."""

    def __init__(self, records: Records, clock: Callable[[], float]) -> None:
        self._records = records
        self._clock = clock
        self._read: dict[str, RSAKey] = {}

    def signing(self) -> RSAKey:
        """The key to sign with, made where there is none or it is old."""
        now = self._clock()
        found = [(record.body["made"], name) for name, record in self._records.listed("key")]
        newest = max(found, default=None)
        if newest is None or newest[0] + SECONDS_OF_USE <= now:
            return self._key(self.rotate())
        return self._key(newest[1])

    def rotate(self) -> str:
        """Make a new key, which is signed with from now on; return its id."""
        made = RSAKey.generate_key(BITS, auto_kid=True, parameters={"use": "sig", "alg": ALGORITHM})
        now = self._clock()
        name = str(made.kid)
        self._records.add("key", name, {"made": now, "jwk": made.as_dict(private=True)}, int(now) + SECONDS_PUBLISHED)
        return name

    def published(self) -> dict[str, Any]:
        """The public keys that what we signed is checked with, as a JWKS."""
        self.signing()
        now = int(self._clock())
        names = [name for name, record in self._records.listed("key") if record.expires > now]
        return {"keys": [self._key(name).as_dict(private=False) for name in names]}

    def verifying(self) -> KeySet:
        """The keys that what we signed is checked with."""
        return KeySet([self._key(name) for name, _ in self._records.listed("key")])

    def _key(self, name: str) -> RSAKey:
        if name not in self._read:
            record = self._records.read("key", name)
            assert record is not None, "keys are listed or just made"
            self._read[name] = RSAKey.import_key(record.body["jwk"])
        return self._read[name]
