"""Files that are encrypted while they are written, piece by piece (AES-256-GCM in the STREAM construction).

A file has a key of its own, derived from the node's; each piece is bound to its place, and the last one is marked:
pieces that are changed, moved or missing are noticed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_bytes
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, BinaryIO

from fhir_server.part import Part

if TYPE_CHECKING:
    from telesession.cipher import Cipher

MAGIC = b"NCSEAL1\n"
SALT = 16
PIECE = 65_536
TAG = 16
CIPHER: Part[type[Cipher]] = Part("telesession.cipher:Cipher")


class Broken(Exception):
    """A file is not as it was written."""


def key_in(folder: Path, name: str) -> bytes:
    """The key of a folder, made when it has none; processes that start at once agree on one."""
    file = folder / name
    if not file.exists():
        with NamedTemporaryFile(dir=folder, prefix=name) as made:
            made.write(token_bytes(32))
            made.flush()
            with suppress(FileExistsError):
                file.hardlink_to(made.name)
    return file.read_bytes()


def _cipher(key: bytes, salt: bytes) -> Cipher:
    return CIPHER.load()(key, salt, MAGIC)


def _nonce(number: int, *, is_last: bool) -> bytes:
    return bytes([is_last]) + number.to_bytes(11, "big")


class SealedWriter:
    """A file to write to; nothing of it reaches the disk unencrypted."""

    def __init__(self, path: Path, key: bytes) -> None:
        salt = token_bytes(SALT)
        self.size = 0
        self._cipher = _cipher(key, salt)
        self._file: BinaryIO = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._file.write(MAGIC + salt)
        self._waiting = bytearray()
        self._pieces = 0

    def write(self, data: bytes) -> int:
        """Take bytes; how many they were."""
        self._waiting += data
        self.size += len(data)
        while len(self._waiting) > PIECE:
            self._seal(bytes(self._waiting[:PIECE]), is_last=False)
            del self._waiting[:PIECE]
        return len(data)

    def close(self) -> None:
        """Write what waits, and the end."""
        if not self._file.closed:
            self._seal(bytes(self._waiting), is_last=True)
            self._file.close()

    def _seal(self, piece: bytes, *, is_last: bool) -> None:
        self._file.write(self._cipher.seal(_nonce(self._pieces, is_last=is_last), piece))
        self._pieces += 1


def opened(path: Path, key: bytes) -> Iterator[bytes]:
    """Yield what was written, piece by piece; raise Broken where it is not whole."""
    with path.open("rb") as file:
        head = file.read(len(MAGIC) + SALT)
        if not head.startswith(MAGIC) or len(head) < len(MAGIC) + SALT:
            raise Broken(path.name)
        cipher, number = _cipher(key, head[len(MAGIC) :]), 0
        piece = file.read(PIECE + TAG)
        while piece:
            following = file.read(PIECE + TAG)
            found = cipher.open(_nonce(number, is_last=not following), piece)
            if found is None:
                raise Broken(path.name)
            yield found
            piece, number = following, number + 1
        if not number:
            raise Broken(path.name)
