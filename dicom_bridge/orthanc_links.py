"""Which instance of Orthanc is which of the index, in SQLite: Orthanc has names of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import apsw

from dicom_bridge.archive import Uids

SCHEMA = 1
BUSY_MILLISECONDS = 20_000
STATEMENTS = f"""
CREATE TABLE link(
    name TEXT PRIMARY KEY, study TEXT NOT NULL, series TEXT NOT NULL, instance TEXT NOT NULL, sha256 TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, is_told INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX link_instance ON link(instance);
CREATE TABLE place(number INTEGER NOT NULL);
INSERT INTO place VALUES (0);
PRAGMA user_version = {SCHEMA};
"""

State = Literal["held", "deleted", "refused"]


@dataclass(frozen=True, slots=True)
class Link:
    """An instance of Orthanc: the UIDs and SHA-256 of its file, and what the index makes of it.

    `deleted`: it is not found any more, and kept. `refused`: it cannot be found beside what is; `reason` says why.
    `is_told`: Orthanc's feed told that it came; the next time that it does, it is another file.
    """

    name: str
    uids: Uids
    sha256: str
    state: State = "held"
    reason: str = ""
    is_told: bool = False


class Links:
    """The links of one archive, used from threads and by several processes."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._file = apsw.Connection(str(path))
        self._file.set_busy_timeout(BUSY_MILLISECONDS)
        self._file.pragma("journal_mode", "wal")
        self._file.pragma("synchronous", "full")
        with self._writing():
            if not self._file.pragma("user_version"):
                self._file.execute(STATEMENTS)

    def put(self, links: Collection[Link]) -> None:
        """Remember links, durably."""
        with self._writing():
            self._put(links)

    def claim(self, link: Link, known: Link | None) -> bool:
        """Remember a link where what is known of its name did not change meanwhile; tell whether it did not."""
        with self._writing():
            row = next(self._file.execute("SELECT * FROM link WHERE name = ?", (link.name,)), None)
            now = None if row is None else _link(row)
            if (now and (now.sha256, now.state)) != (known and (known.sha256, known.state)):
                return False
            self._put([link])
            return True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")

    def _put(self, links: Collection[Link]) -> None:
        self._file.executemany(
            "INSERT INTO link VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(name) DO UPDATE SET "
            "study = excluded.study, series = excluded.series, instance = excluded.instance, "
            "sha256 = excluded.sha256, state = excluded.state, reason = excluded.reason, "
            "is_told = excluded.is_told",
            [(each.name, *each.uids, each.sha256, each.state, each.reason, each.is_told) for each in links],
        )

    def of(self, names: Collection[str]) -> dict[str, Link]:
        """The links of these names, of those that have one."""
        with self._lock:
            found = [row for name in names for row in self._file.execute("SELECT * FROM link WHERE name = ?", (name,))]
        return {row[0]: _link(row) for row in found}

    def name_of(self, uids: Uids, sha256: str) -> str:
        """What Orthanc calls a file of an instance; empty where it has none."""
        statement = "SELECT name FROM link WHERE instance = ? AND sha256 = ? AND study = ?"
        with self._lock:
            row = next(self._file.execute(statement, (uids.instance, sha256, uids.study)), None)
        return "" if row is None else str(row[0])

    def delete(self, uids: Uids) -> None:
        """Remember that instances are to be found no more, durably."""
        named = ("study", uids.study), ("series", uids.series), ("instance", uids.instance)
        where = " AND ".join(f"{column} = ?" for column, uid in named if uid)
        with self._writing():
            statement = f"UPDATE link SET state = 'deleted' WHERE state = 'held' AND {where}"
            self._file.execute(statement, [uid for _, uid in named if uid])

    def told(self, names: Collection[str]) -> None:
        """Remember that Orthanc's feed told of these."""
        with self._writing():
            self._file.executemany("UPDATE link SET is_told = 1 WHERE name = ?", [(name,) for name in names])

    def forget(self, name: str) -> None:
        """Forget what Orthanc has no more."""
        with self._writing():
            self._file.execute("DELETE FROM link WHERE name = ?", (name,))

    def names(self) -> set[str]:
        """All names."""
        with self._lock:
            return {row[0] for row in self._file.execute("SELECT name FROM link")}

    def count(self) -> int:
        """How many there are."""
        with self._lock:
            return int(next(self._file.execute("SELECT count(*) FROM link"))[0])

    def refused(self) -> Iterator[Link]:
        """Those that cannot be found."""
        with self._lock:
            rows = list(self._file.execute("SELECT * FROM link WHERE state = 'refused' ORDER BY study, instance"))
        return map(_link, rows)

    def place(self) -> int:
        """How far Orthanc's feed was followed."""
        with self._lock:
            return int(next(self._file.execute("SELECT number FROM place"))[0])

    def keep_place(self, number: int) -> None:
        """Remember it."""
        with self._writing():
            self._file.execute("UPDATE place SET number = ?", (number,))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._file.close()


def _link(row: tuple[object, ...]) -> Link:
    name, study, series, instance, sha256, state, reason, is_told = row
    uids = Uids(str(study), str(series), str(instance))
    return Link(str(name), uids, str(sha256), str(state), str(reason), bool(is_told))  # type: ignore[arg-type]
