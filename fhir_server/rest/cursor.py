"""Where a page goes on, signed: a client can follow a link, and cannot make one (FHIR R4, 3.1.1.4.7 paging)."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from hmac import compare_digest

from fhir_server.errors import Invalid, Issue

PARAMETER = "_cursor"
_SIGNATURE = 12
_LONGEST = 4000


class Cursors:
    """Signs cursors with a key that all processes on one store share, for one subject: nobody follows another's."""

    def __init__(self, key: bytes, subject: str = "") -> None:
        self._key = key
        self._subject = subject

    def of(self, subject: str) -> Cursors:
        """The same for another subject."""
        return Cursors(self._key, subject)

    def sign(self, cursor: str, about: str) -> str:
        """Return a cursor as it stands in a link; `about` is what it belongs to, such as the search."""
        raw = cursor.encode()
        return urlsafe_b64encode(self._signature(raw, about) + raw).rstrip(b"=").decode()

    def read(self, text: str, about: str) -> str:
        """Return the cursor in a link; raise Invalid for one that was not made for this."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)) if len(text) <= _LONGEST else b""
        except (binascii.Error, ValueError):
            raw = b""
        signature, cursor = raw[:_SIGNATURE], raw[_SIGNATURE:]
        if not cursor or not compare_digest(signature, self._signature(cursor, about)):
            what = "is not one that this server gave for this request: follow the link 'next' as it stands"
            raise Invalid(Issue("error", "invalid", f"The parameter {PARAMETER} {what}."))
        return cursor.decode()

    def _signature(self, cursor: bytes, about: str) -> bytes:
        return blake2b(f"{self._subject}\0{about}\0".encode() + cursor, key=self._key, digest_size=_SIGNATURE).digest()
