"""The cipher of encrypted files: AES-256-GCM under a key that HKDF derives for each (RFC 5869, NIST SP 800-38D)."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class Cipher:
    """Seals and opens pieces under the key of one file; `purpose` goes into both."""

    def __init__(self, key: bytes, salt: bytes, purpose: bytes) -> None:
        self._purpose = purpose
        self._cipher = AESGCM(HKDF(SHA256(), 32, salt, purpose).derive(key))

    def seal(self, nonce: bytes, piece: bytes) -> bytes:
        """The piece, encrypted, with its tag."""
        return self._cipher.encrypt(nonce, piece, self._purpose)

    def open(self, nonce: bytes, sealed: bytes) -> bytes | None:
        """The piece; None where this is not what was sealed."""
        try:
            return self._cipher.decrypt(nonce, sealed, self._purpose)
        except InvalidTag:
            return None
