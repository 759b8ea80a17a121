"""The ledger in the file: entries that are only ever added, each chained to the one before by its digest."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fhir_server.store.mention import mentions
from fhir_server.store.protocol import FIRST_DIGEST, MARK_BYTES, Recorded, Stretch, chained
from fhir_server.store.sqlite.connection import MENTION, Connection, row, rows, value

HEAD = "SELECT last, digest FROM ledger ORDER BY last DESC LIMIT 1"
INSERT = "INSERT INTO ledger VALUES(?,?,?,?)"
BEHIND = "SELECT last, digest, marks, entries FROM ledger WHERE last>? ORDER BY last LIMIT ?"
BEFORE = "SELECT digest FROM ledger WHERE last<=? ORDER BY last DESC LIMIT 1"
MENTIONING = (
    "SELECT last FROM mention WHERE name=?1 AND last<=(SELECT min(last) FROM ledger WHERE last>=?2)"
    " ORDER BY last DESC LIMIT ?3"
)
ONE = "SELECT last, marks, entries FROM ledger WHERE last=?"
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
        self._connection.executemany(MENTION, [(name, entered[0]) for name in mentions(self._waiting)])

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
        for table in ("ledger", "mention"):
            self._connection.execute(f"DELETE FROM {table} WHERE last<=?", (last,))
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
        for entry in entries_of(last, marks, texts):
            if entry.number > after:
                found.append(entry)
            else:
                digest = chained(digest, entry.text)
        ended = ended_by
        if len(found) >= limit:
            break
    return Stretch(digest, tuple(found), ended)


def mentioning(connection: Connection, names: Collection[str], before: int, limit: int) -> list[Recorded]:
    """The entries below a number of commits that mention one of these, the latest first."""
    end = min(before - 1, value(connection, "SELECT max(last) FROM ledger") or 0)
    lasts = {last for name in names for (last,) in rows(connection, MENTIONING, (name, end, limit))}
    found: list[Recorded] = []
    for last in sorted(lasts, reverse=True):
        entries = entries_of(*row(connection, ONE, (last,)))
        found += (entry for entry in reversed(entries) if entry.number < before)
        if len(found) >= limit:
            break
    return found


def entries_of(last: int, marks: bytes, texts: bytes) -> list[Recorded]:
    """The entries of a row of the table."""
    lines = texts.split(LINE)
    first = last - len(lines) + 1
    return [Recorded(first + n, text, marks[n * MARK_BYTES : (n + 1) * MARK_BYTES]) for n, text in enumerate(lines)]
