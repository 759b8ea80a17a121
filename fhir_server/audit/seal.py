"""Signed checkpoints of the ledger, and the search for the first entry that is not as it was made.

Each entry has a digest of the one before it and itself, so nobody can change one without changing all that follow. Who
could do that is stopped by checkpoints: entries that hold the digest of an earlier one under a signature (RFC 9864,
Ed25519). They stand in a file of their own as well, to be carried to where the database's keeper cannot write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from fhir_server.audit.account import CHECKPOINT
from fhir_server.store.protocol import FIRST_DIGEST, MARK_BYTES, Recorded, Stretch, chained

ALGORITHMS = ["Ed25519"]
AT_ONCE = 5000
Read = Callable[[int, int], Awaitable[Stretch]]
"""Entries of the ledger behind a number, about so many."""

ALTERED = "its text is not what was entered"
MISSING = "the entry before it is missing"
MISSING_AT_THE_END = "entries are missing at the end: a checkpoint that is kept outside knows them"
UNSIGNED = "the checkpoint does not bear the signature of this node"
CHANGED_BEFORE = "the checkpoint seals other entries than those before it: some since the last checkpoint were changed"
CHANGED_OUTSIDE = "a checkpoint that is kept outside seals other entries than those up to it"


@dataclass(slots=True)
class Verdict:
    """What was found: entries and checkpoints that are right, and the first that is not, with what is wrong about it.

    `digest` is that of the last entry; `sealed` is the last one that a checkpoint answers for.
    """

    entries: int = 0
    checkpoints: int = 0
    digest: bytes = FIRST_DIGEST
    sealed: int = 0
    first_wrong: int | None = None
    problem: str = ""
    digests: dict[int, str] = field(default_factory=dict)

    def wrong(self, number: int, problem: str) -> Verdict:
        """The same, with what is wrong."""
        self.first_wrong, self.problem = number, problem
        return self


def checkpoint(number: int, digest: bytes, at: int, key: OKPKey) -> bytes:
    """The entry that seals all entries up to a number."""
    told = orjson.dumps({"n": number, "h": digest.hex(), "t": at})
    signature = jws.serialize_compact({"alg": "Ed25519", "kid": key.thumbprint()}, told, key, ALGORITHMS)
    return orjson.dumps({"t": at, "k": CHECKPOINT, "z": signature})


def sealed_in(text: bytes, key: OKPKey) -> tuple[int, str] | None:
    """The number and the digest that a checkpoint seals; None where the signature is not of the key."""
    try:
        told: dict[str, Any] = orjson.loads(text)
        payload = jws.deserialize_compact(told["z"], key, ALGORITHMS).payload
        found = orjson.loads(payload)
        return int(found["n"]), str(found["h"])
    except (JoseError, KeyError, TypeError, ValueError):
        return None


async def verify(read: Read, key: OKPKey, outside: Mapping[int, str]) -> Verdict:
    """Look at every entry, and stop at the first that is wrong; `outside` are digests by number, kept elsewhere."""
    found = Verdict()
    async for entry in entries(read):
        if entry.number != found.entries + 1:
            return found.wrong(found.entries + 1, MISSING)
        digest = chained(found.digest, entry.text)
        if digest[:MARK_BYTES] != entry.mark:
            return found.wrong(entry.number, ALTERED)
        if outside.get(entry.number, digest.hex()) != digest.hex():
            return found.wrong(entry.number, CHANGED_OUTSIDE)
        if b'"k":"checkpoint"' in entry.text and (problem := taken(found, entry, key)):
            return found.wrong(entry.number, problem)
        found.entries, found.digest = entry.number, digest
        found.digests[entry.number] = digest.hex()
    if max(outside, default=0) > found.entries:
        return found.wrong(found.entries + 1, MISSING_AT_THE_END)
    return found


def taken(found: Verdict, entry: Recorded, key: OKPKey) -> str:
    """Take in a checkpoint; return what is wrong about it."""
    seal = sealed_in(entry.text, key)
    if seal is None:
        return UNSIGNED
    number, digest = seal
    if found.digests.get(number) != digest:
        return CHANGED_BEFORE
    found.checkpoints += 1
    found.sealed = number
    # What a checkpoint answers for need not be known any more, but for what came in beside it.
    found.digests = {each: text for each, text in found.digests.items() if each >= number}
    return ""


async def entries(read: Read) -> AsyncIterator[Recorded]:
    """Yield all entries in their order."""
    after = 0
    while True:
        stretch = await read(after, AT_ONCE)
        if not stretch.entries:
            return
        for entry in stretch.entries:
            yield entry
        after = stretch.entries[-1].number
