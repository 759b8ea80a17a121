"""The door of every store: what it promises, and the values that go through it (FHIR R4, 3.1.0 RESTful API)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from fhir_server.search.plan import Plan
from fhir_server.search.row import Row

Method = Literal["POST", "PUT", "PATCH", "DELETE"]
Effect = Literal["created", "updated", "deleted", "unchanged"]


PLACES = 1 << 20
"""The places of one commit in the order of all versions: `t * PLACES` is the first."""


class Version(NamedTuple):
    """One version of a resource, its number counted from 1, its `place` in the order of all versions.

    `at` is its moment in milliseconds; `body` is None for a deletion. `label` is what its writer gave along: it is kept
    beside the resource and never part of it.
    """

    type: str
    id: str
    version: int
    place: int
    at: int
    method: Method
    body: bytes | None
    label: str = ""

    @property
    def t(self) -> int:
        """The commit that made it."""
        return self.place // PLACES


@dataclass(frozen=True, slots=True)
class Content:
    """A resource's JSON in two pieces: between them, in meta, the store puts versionId and lastUpdated."""

    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one resource; `content` is None for a deletion, and `rows` are its index rows.

    `if_match` is the version that must be current (0: none may exist, or the current one is a deletion). With
    `skip_equal` an update whose content is that of the current version makes no new version. `label` is kept with the
    version.
    """

    method: Method
    type: str
    id: str
    content: Content | None = None
    rows: Sequence[Row] = ()
    if_match: int | None = None
    skip_equal: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The condition that a plan finds exactly the resources `(type, id)` when the request is committed.

    The plan's order and includes do not matter. No more than `most` of what is found are looked at: 2 is enough to
    know none, one, and several.
    """

    plan: Plan
    found: frozenset[tuple[str, str]] = frozenset()
    most: int = 2


@dataclass(frozen=True, slots=True)
class Request:
    """Changes that stand or fall together, and what must hold for them; no resource is changed twice.

    `exists` are resources `(type, id)` that must exist, and not be deleted, once the changes are made: the targets of
    references. `key` identifies the request where its outcome may have to be looked up after a lost reply. `records`
    are entered in the ledger with the changes, one JSON text each, without line breaks.
    """

    changes: tuple[Change, ...]
    expectations: tuple[Expectation, ...] = ()
    exists: tuple[tuple[str, str], ...] = ()
    key: str | None = None
    records: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change; `version` is the current one, None only when nothing was ever there to delete."""

    effect: Effect
    version: Version | None


@dataclass(frozen=True, slots=True)
class Committed:
    """The request is durable as commit `t`, or changed nothing: then `t` is the last commit before it."""

    t: int
    outcomes: tuple[Outcome, ...]


class Unmet(Exception):
    """A request was refused and nothing of it happened: a condition did not hold when its turn came."""


class VersionUnmet(Unmet):
    """The change at `index` named a version that is not the current one, which is given (None: there is none)."""

    def __init__(self, index: int, current: Version | None) -> None:
        super().__init__(index, current)
        self.index = index
        self.current = current


class ExpectationUnmet(Unmet):
    """The expectation at `index` found other resources: those given, at most as many as it asked for."""

    def __init__(self, index: int, found: frozenset[tuple[str, str]]) -> None:
        super().__init__(index, found)
        self.index = index
        self.found = found


class ExistenceUnmet(Unmet):
    """Resources that must exist do not."""

    def __init__(self, missing: tuple[tuple[str, str], ...]) -> None:
        super().__init__(missing)
        self.missing = missing


class SnapshotLost(Exception):
    """A snapshot is too old to be searched any more; `oldest` is the oldest that can be."""

    def __init__(self, oldest: int) -> None:
        super().__init__(oldest)
        self.oldest = oldest


class UnfitServer(Exception):
    """A database server would lose data, or cannot do what a store needs; the text says what to do."""


class Snapshot(NamedTuple):
    """The last commit and its moment in milliseconds; both 0 in an empty store."""

    t: int
    at: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page of matches and what was included with it; `following` continues after it, None at the end."""

    t: int
    matches: tuple[Version, ...]
    included: tuple[Version, ...]
    following: str | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose history: of one resource, of a type, of several types, or (without types) of everything."""

    types: tuple[str, ...] = ()
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Numbered:
    """A search parameter `Type.code`, the number that it would like, and its type (token, string ...)."""

    key: str
    number: int
    type: str


@dataclass(frozen=True, slots=True)
class Indexed:
    """The index rows that a version should have, after a search parameter was added or changed."""

    type: str
    id: str
    version: int
    rows: Sequence[Row]


class Recorded(NamedTuple):
    """An entry of the ledger: its number, counted from 1, its text, and the beginning of its digest."""

    number: int
    text: bytes
    mark: bytes


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries of the ledger in their order, and the digests before the first and after the last of them."""

    before: bytes
    entries: tuple[Recorded, ...]
    after: bytes


MARK_BYTES = 8
FIRST_DIGEST = bytes(32)


def chained(digest: bytes, text: bytes) -> bytes:
    """The digest of an entry of the ledger: of the digest before it, and its text."""
    return sha256(digest + text).digest()


class Store(Protocol):
    """Remembers versions of resources and finds them by index rows; knows no rule of FHIR.

    Every implementation passes tests/contracts/test_store.py, which holds it to these promises:

    *Commits.* Each request that changes anything is one commit with the next number `t`; requests are ordered by it,
    and that order is the same for every reader and every process. All changes of a request happen, or none; when
    `commit` returns they are durable, and every reader that starts later, in any process, sees them. Conditions are
    decided at the request's own place in the order: of many requests that expect that nothing matches and then make the
    match, one succeeds. A refused request raises a kind of Unmet and does not disturb others. `at` never runs backwards
    along `t`.

    *Versions.* The first version of a resource is 1, each change adds one, deletions included, and a resource that
    comes back counts on. A version never changes and stays readable by its number.

    *Snapshots.* `run`, `count`, `read` and `history` see exactly the commits up to the snapshot that they are given, or
    up to now. The pages of one plan, followed by their cursors, hold every match of the first page's snapshot once and
    in order, whatever is written meanwhile. Only a snapshot with too many commits after it raises SnapshotLost.

    *Finding.* A plan finds the resources whose current rows match, never a deleted one. Readers do not wait for
    writers.

    *Parameters.* Numbers are given out once, for all processes and for ever. Other rows for a version that is current
    change what is found now, and nothing else.

    *Ledger.* Entries are numbered from 1 without a gap, in one order for all processes, and never change. Each has the
    digest `chained` from the one before it. Records of a request are entered if and when its changes are made. Those up
    to a number can be removed: the rest keep their numbers, and the digest before the first of them stays known.

    *Notes.* A note is a short text under a name, the same for all processes and durable when `keep` returns. Of many
    who change the same text of a note at once, one succeeds.
    """

    async def commit(self, request: Request) -> Committed:
        """Apply all changes or none, durably; raise VersionUnmet, ExpectationUnmet or ExistenceUnmet."""
        ...

    async def read(self, type: str, id: str, version: int | None = None, t: int | None = None) -> Version | None:  # noqa: A002
        """The current version, a numbered one, or the one that was current at `t`; None when there is none."""
        ...

    async def run(self, plan: Plan, limit: int, cursor: str | None = None, t: int | None = None) -> Page:
        """The first matches of a plan, or those after a cursor (which brings its snapshot along)."""
        ...

    async def count(self, plan: Plan, t: int | None = None) -> int:
        """How many resources match."""
        ...

    async def history(
        self, scope: Scope, limit: int, *, after: int = 0, before: int | None = None, newest_first: bool = False
    ) -> Sequence[Version]:
        """The first `limit` versions with `after < place < before`, in their order or from the newest back."""
        ...

    async def snapshot(self, at: int | None = None) -> Snapshot:
        """The last commit, or the last one at or before a moment in milliseconds."""
        ...

    async def number(self, parameters: Iterable[Numbered]) -> Mapping[str, int]:
        """The numbers of all parameters by key, those named included: what they ask for where it is free."""
        ...

    async def index(self, entries: Iterable[Indexed]) -> int:
        """Give versions that are still current other index rows; return how many were."""
        ...

    async def note(self, name: str) -> str | None:
        """The text kept under a name; None when there is none."""
        ...

    async def keep(self, name: str, text: str | None, former: str | None) -> bool:
        """Keep a text under a name (None: nothing) if `former` is what stands there now; False when it is not."""
        ...

    async def record(self, records: Sequence[bytes]) -> None:
        """Make records durable; they are entered in the ledger soon, and before this process reads from it."""
        ...

    async def ledger(self, after: int, limit: int) -> Stretch:
        """Entries behind a number, about so many at most: where none are returned, there are none."""
        ...

    async def mentioning(self, names: Collection[str], before: int, limit: int) -> Sequence[Recorded]:
        """Entries below a number, the latest first, of those commits that mention one of these (`store.mention`).

        They are about so many at most, all of each commit, whichever of its entries it is that mentions it.
        """
        ...

    async def forget(self, last: int) -> int:
        """Remove entries up to a number, those of whole commits and never the last one; return how far that went."""
        ...

    async def backup(self, target: Path) -> int:
        """Copy the store into a new file while it is used; return the last commit in the copy."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and let go of every file."""
        ...
