"""The ledger in the file: entries that are only ever added, each chained to the one before by its digest."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.store.protocol import FIRST_DIGEST, MARK_BYTES, Recorded, Stretch, chained
from fhir_server.store.sqlite.connection import Connection, row, rows, value

HEAD = "SELECT last, digest FROM ledger ORDER BY last DESC LIMIT 1"
INSERT = "INSERT INTO ledger VALUES(?,?,?,?)"
BEHIND = "SELECT last, digest, marks, entries FROM ledger WHERE last>? ORDER BY last LIMIT ?"
BEFORE = "SELECT digest FROM ledger WHERE last<=? ORDER BY last DESC LIMIT 1"
REMOVED = (
    "SELECT last, digest FROM ledger WHERE last<=? AND last<(SELECT max(last) FROM ledger) ORDER BY last DESC LIMIT 1"
)
BEGINNING = "ledger begins behind"
"""The note of the number and the digest of the last entry that was removed."""

KEEP = "INSERT OR REPLACE INTO note VALUES(?,?)"
ENTERED = "INSERT INTO note VALUES(?1,?2) ON CONFLICT DO UPDATE SET text=text+?2"
JOURNAL = "journal "
LINE = b"\n"


class Ledger:
    """Gathers what a write transaction enters."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[bytes] = []

    def add(self, records: Sequence[bytes]) -> None:
        """Let records be entered with this transaction."""
        self._waiting += records

    def write(self) -> None:
        """Enter what waits; in the turn of this process, at the end of its transaction."""
        if not self._waiting:
            return
        last, digest = row(self._connection, HEAD) or beginning(self._connection)
        marks = []
        for text in self._waiting:
            digest = chained(digest, text)
            marks.append(digest[:MARK_BYTES])
        entered = last + len(marks), digest, b"".join(marks), LINE.join(self._waiting)
        self._connection.execute(INSERT, entered)

    def enter(self, name: str, records: Sequence[bytes], over: Sequence[str]) -> None:
        """Enter records of a journal, and note how far it is; `over` are journals that are there no more."""
        self.add(records)
        self._connection.execute(ENTERED, (f"{JOURNAL}{name}", len(records)))
        for former in over:
            self._connection.execute("DELETE FROM note WHERE name=?", (f"{JOURNAL}{former}",))

    def has(self, name: str) -> int:
        """How many records of a journal were entered."""
        found = value(self._connection, "SELECT text FROM note WHERE name=?", (f"{JOURNAL}{name}",))
        return int(found or 0)

    def remove(self, upto: int) -> int:
        """Remove entries up to a number; return the number of the last of them, 0 where there are none."""
        found = row(self._connection, REMOVED, (upto,))
        if found is None:
            return 0
        last, digest = found
        self._connection.execute("DELETE FROM ledger WHERE last<=?", (last,))
        self._connection.execute(KEEP, (BEGINNING, beginning_text(last, digest)))
        return int(last)

    def forget(self) -> None:
        """The transaction is over."""
        if self._waiting:
            self._waiting = []


def beginning_text(last: int, digest: bytes) -> str:
    """The text of the note that says behind what the ledger begins."""
    return f"{last} {digest.hex()}"


def beginning(connection: Connection) -> tuple[int, bytes]:
    """The number and the digest of the entry behind which the ledger begins."""
    found = value(connection, "SELECT text FROM note WHERE name=?", (BEGINNING,))
    if found is None:
        return 0, FIRST_DIGEST
    last, _, digest = found.partition(" ")
    return int(last), bytes.fromhex(digest)


def stretch(connection: Connection, after: int, limit: int) -> Stretch:
    """The entries behind a number: those of whole commits, until there are so many."""
    before = row(connection, BEFORE, (after,))
    digest: bytes = before[0] if before else beginning(connection)[1]
    found: list[Recorded] = []
    ended = digest
    for last, ended_by, marks, texts in rows(connection, BEHIND, (after, limit)):
        lines = texts.split(LINE)
        first = last - len(lines) + 1
        for n, text in enumerate(lines):
            if first + n > after:
                found.append(Recorded(first + n, text, marks[n * MARK_BYTES : (n + 1) * MARK_BYTES]))
            else:
                digest = chained(digest, text)
        ended = ended_by
        if len(found) >= limit:
            break
    return Stretch(digest, tuple(found), ended)
