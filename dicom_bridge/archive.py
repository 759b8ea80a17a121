"""The door of every archive of DICOM instances: what it promises, and the values that go through it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from dicom_bridge.question import Question

Action = Literal["create", "update", "delete"]


class Uids(NamedTuple):
    """A study, or a series of it, or an instance of that; what is empty is not narrowed."""

    study: str
    series: str = ""
    instance: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an instance is not stored: the code that STOW-RS has for it (PS3.18, I.2.2), and its meaning."""

    code: int
    meaning: str


UNREADABLE = Reason(0xC000, "it cannot be understood")
UNFITTING = Reason(0x0110, "it does not fit its study")
DUPLICATE = Reason(0x0111, "another instance has its UID")
TOO_LARGE = Reason(0xA700, "it takes more than there is for it")


class Refused(Exception):
    """An instance is not stored; it says why, and which it is where that is known."""

    def __init__(self, reason: Reason, text: str, *, sop_class: str = "", uid: str = "") -> None:
        super().__init__(text)
        self.reason, self.text = reason, text
        self.sop_class, self.uid = sop_class, uid


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance that is stored, with the SHA-256 of its file; `is_new` is False for the very same one again."""

    uids: Uids
    sop_class: str
    sha256: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Held:
    """An instance of the archive, as it can be sent: its transfer syntax, and the length of its file."""

    uids: Uids
    sop_class: str
    transfer_syntax: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to an instance, with its number in the order of all changes; `at` is in milliseconds."""

    number: int
    action: Action
    uids: Uids
    at: int


@dataclass(frozen=True, slots=True)
class Found:
    """Answers of a search in DICOM JSON, each complete; `is_cut` says that there are more than the limit."""

    answers: Sequence[bytes]
    is_cut: bool


class Incoming(Protocol):
    """A file that is being received."""

    def write(self, data: bytes) -> None:
        """Take its next bytes; raise Refused where it becomes too long."""
        ...

    def abandon(self) -> None:
        """Forget it; what was stored meanwhile stays."""
        ...


class DicomArchive(Protocol):
    """Keeps DICOM instances as they came and finds them again; knows nothing of HTTP, FHIR, or who may see what.

    Every implementation passes tests/contracts/test_archive.py, which holds it to these promises:

    *Storing.* Instances are stored each by itself: one that is refused takes no other along. When `store` returns they
    are durable and found. What is interrupted leaves nothing that is found. The file comes back byte for byte, but for
    a preamble that is neither empty nor TIFF's, which is emptied: it could be a program. The same instance again
    changes nothing; another one under the same UID is refused, unless it `replaces`. An instance whose study exists
    under another patient is refused.

    *Deleting.* What is deleted is found no more, and its files are kept. It can be stored again.

    *Changes.* Every instance that is stored, replaced or deleted has one change, numbered from 1 in one order for all
    processes, and never changed. A replacement is one update, never a deletion and a creation.

    *Finding.* Names and descriptions are found without accents and case; UIDs and identifiers exactly.
    """

    def receive(self) -> Incoming:
        """A place for the next instance."""
        ...

    async def store(
        self, incoming: Sequence[Incoming], *, study: str = "", replaces: bool = False
    ) -> Sequence[Stored | Refused]:
        """Store what was received, of one study where it is named; one result for each, in their order."""
        ...

    async def find(self, question: Question) -> Found:
        """What a search finds, the studies that came last first."""
        ...

    async def held(self, uids: Uids) -> Sequence[Held]:
        """The instances below UIDs, in the order of series and their numbers; none where there are none."""
        ...

    async def metadata(self, uids: Uids) -> Sequence[bytes]:
        """The data sets of these instances in DICOM JSON, without the bulk of their data."""
        ...

    def read(self, held: Held) -> AsyncIterator[bytes]:
        """The file of an instance, piece by piece."""
        ...

    async def frames(self, uids: Uids, numbers: Sequence[int]) -> tuple[str, Sequence[bytes]] | None:
        """The transfer syntax and frames, counted from 1; None where one is not there."""
        ...

    async def bulk(self, uids: Uids, place: Sequence[str]) -> bytes | None:
        """The value of an element whose place is that of a BulkDataURI; None where there is none."""
        ...

    async def delete(self, uids: Uids) -> int:
        """Take instances out of what is found; return how many."""
        ...

    async def changes(self, after: int, limit: int) -> Sequence[Change]:
        """The changes behind a number, in their order."""
        ...

    async def position(self, name: str) -> int:
        """The number up to which a follower of changes came; 0 at first."""
        ...

    async def keep_position(self, name: str, number: int) -> None:
        """Remember how far a follower came, durably."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and let go of every file."""
        ...
