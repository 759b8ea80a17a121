"""Signed checkpoints of the ledger, and the search for the first entry that is not as it was made.

Each entry has a digest of the one before it and itself, so nobody can change one without changing all that follow. Who
could do that is stopped by checkpoints: entries that hold the digest of an earlier one under a signature (RFC 9864,
Ed25519). They stand in a file of their own as well, to be carried to where the database's keeper cannot write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from fhir_server.audit.account import CHECKPOINT, REMOVAL
from fhir_server.store.protocol import FIRST_DIGEST, MARK_BYTES, Recorded, Stretch, chained

ALGORITHMS = ["Ed25519"]
AT_ONCE = 5000
CHECKPOINT_MARK, REMOVAL_MARK = (b'"k":"%b"' % kind.encode() for kind in (CHECKPOINT, REMOVAL))
Read = Callable[[int, int], Awaitable[Stretch]]
"""Entries of the ledger behind a number, about so many."""

ALTERED = "its text is not what was entered"
MISSING = "the entry before it is missing"
MISSING_AT_THE_END = "entries are missing at the end: a checkpoint that is kept outside knows them"
UNSIGNED = "the checkpoint does not bear the signature of this node"
CHANGED_BEFORE = "the checkpoint seals other entries than those before it: some since the last checkpoint were changed"
REMOVED = "the entries before it are missing, and no signed removal answers for that"
CHANGED_OUTSIDE = "a checkpoint that is kept outside seals other entries than those up to it"


@dataclass(slots=True)
class Verdict:
    """What was found: entries and checkpoints that are right, and the first that is not, with what is wrong about it.

    `digest` is that of the last entry; `sealed` is the last one that a checkpoint answers for, `removed` the last one
    that is there no more, with its digest, and whether an entry answers for that.
    """

    entries: int = 0
    checkpoints: int = 0
    digest: bytes = FIRST_DIGEST
    sealed: int = 0
    first_wrong: int | None = None
    problem: str = ""
    digests: dict[int, str] = field(default_factory=dict)
    removed: int = 0
    removed_digest: str = ""
    is_answered: bool = True

    def wrong(self, number: int, problem: str) -> Verdict:
        """The same, with what is wrong."""
        self.first_wrong, self.problem = number, problem
        return self


class Seal(NamedTuple):
    """What is signed: the number and the digest of an entry, and when."""

    number: int
    digest: str
    at: int


def checkpoint(number: int, digest: bytes, at: int, key: OKPKey) -> bytes:
    """The entry that seals all entries up to a number."""
    return signed(CHECKPOINT, Seal(number, digest.hex(), at), key)


def removal(seal: Seal, at: int, key: OKPKey) -> bytes:
    """The entry that answers for the removal of all that a checkpoint sealed."""
    return signed(REMOVAL, seal._replace(at=at), key)


def signed(kind: str, seal: Seal, key: OKPKey) -> bytes:
    """An entry with a signature; the kind is signed as well."""
    told = orjson.dumps({"n": seal.number, "h": seal.digest, "t": seal.at, "k": kind})
    signature = jws.serialize_compact({"alg": "Ed25519", "kid": key.thumbprint()}, told, key, ALGORITHMS)
    return orjson.dumps({"t": seal.at, "k": kind, "z": signature})


def sealed_in(text: bytes, key: OKPKey) -> Seal | None:
    """What a checkpoint or a removal seals; None where the signature is not of the key, or is one of another kind."""
    try:
        told: dict[str, Any] = orjson.loads(text)
        payload = jws.deserialize_compact(told["z"], key, ALGORITHMS).payload
        found = orjson.loads(payload)
        if found.get("k", CHECKPOINT) != told["k"]:
            return None
        return Seal(int(found["n"]), str(found["h"]), int(found["t"]))
    except (JoseError, KeyError, TypeError, ValueError):
        return None


async def verify(read: Read, key: OKPKey, outside: Mapping[int, str]) -> Verdict:
    """Look at every entry, and stop at the first that is wrong; `outside` are digests by number, kept elsewhere."""
    found = await begun(read)
    if found.removed and outside.get(found.removed, found.removed_digest) != found.removed_digest:
        return found.wrong(found.removed, CHANGED_OUTSIDE)
    async for entry in entries(read):
        if problem := added(found, entry, key, outside):
            return found.wrong(found.entries + 1 if problem == MISSING else entry.number, problem)
    if not found.is_answered:
        return found.wrong(found.removed + 1, REMOVED)
    if max(outside, default=0) > found.entries:
        return found.wrong(found.entries + 1, MISSING_AT_THE_END)
    return found


async def last_sealed(read: Read, key: OKPKey, before: int) -> Seal | None:
    """What the last checkpoint made before a moment (in milliseconds) seals, if all up to it is as it was made."""
    found, last = await begun(read), None
    async for entry in entries(read):
        if added(found, entry, key, {}):
            return None
        seal = sealed_in(entry.text, key) if CHECKPOINT_MARK in entry.text else None
        if seal is not None and seal.at >= before:
            break
        last = seal or last
    return last if last is not None and last.number > found.removed else None


async def begun(read: Read) -> Verdict:
    """The verdict before the first entry that is still there."""
    stretch = await read(0, 1)
    is_cut = bool(stretch.entries) and stretch.before != FIRST_DIGEST
    removed = stretch.entries[0].number - 1 if is_cut else 0
    digest = stretch.before.hex()
    return Verdict(removed, 0, stretch.before, removed, None, "", {removed: digest}, removed, digest, not removed)


def added(found: Verdict, entry: Recorded, key: OKPKey, outside: Mapping[int, str]) -> str:
    """Take in the next entry; return what is wrong about it."""
    if entry.number != found.entries + 1:
        return MISSING
    digest = chained(found.digest, entry.text)
    if digest[:MARK_BYTES] != entry.mark:
        return ALTERED
    if outside.get(entry.number, digest.hex()) != digest.hex():
        return CHANGED_OUTSIDE
    if CHECKPOINT_MARK in entry.text and (problem := taken(found, entry, key)):
        return problem
    if REMOVAL_MARK in entry.text:
        seal = sealed_in(entry.text, key)
        if seal is None:
            return UNSIGNED
        if (seal.number, seal.digest) == (found.removed, found.removed_digest):
            found.is_answered = True
    found.entries, found.digest = entry.number, digest
    found.digests[entry.number] = digest.hex()
    return ""


def taken(found: Verdict, entry: Recorded, key: OKPKey) -> str:
    """Take in a checkpoint; return what is wrong about it."""
    seal = sealed_in(entry.text, key)
    if seal is None:
        return UNSIGNED
    number, digest, _ = seal
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
