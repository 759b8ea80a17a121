"""What an archive holds, in SQLite: studies, series, instances, and the changes to them in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import apsw
import orjson

from dicom_bridge.archive import DUPLICATE, UNFITTING, Action, Change, Found, Held, Refused, Uids
from dicom_bridge.attribute import ATTRIBUTES, LEVELS, Attribute, Level, columns
from dicom_bridge.dicom_json import Json, text_of, texts_of
from dicom_bridge.frame import Frames
from dicom_bridge.question import Condition, Question
from fhir_server.search.folding import fold

if TYPE_CHECKING:
    from dicom_bridge.instance import Instance

SCHEMA = 1
MOST_RECALLED = 10_000
BUSY_MILLISECONDS = 20_000
TABLES: Mapping[Level, str] = {"study": "study", "series": "series", "instance": "instance"}
ADDRESS = "bulk:"
"""What stands in stored JSON for the address of the archive; it is put in when JSON is sent."""
RETRIEVE_URL = "00081190"


def _columns(level: Level) -> str:
    return "".join(f"{each.keyword}, " for each in columns(level))


STATEMENTS = f"""
CREATE TABLE study(id INTEGER PRIMARY KEY, {_columns("study")} json TEXT, at INTEGER NOT NULL);
CREATE UNIQUE INDEX study_uid ON study(StudyInstanceUID);
CREATE INDEX study_patient ON study(PatientID);
CREATE INDEX study_accession ON study(AccessionNumber);
CREATE INDEX study_date ON study(StudyDate);
CREATE TABLE series(id INTEGER PRIMARY KEY, study INTEGER NOT NULL, {_columns("series")} json TEXT);
CREATE UNIQUE INDEX series_uid ON series(study, SeriesInstanceUID);
CREATE TABLE instance(
    id INTEGER PRIMARY KEY, series INTEGER NOT NULL, {_columns("instance")} json TEXT, metadata BLOB NOT NULL,
    transfer_syntax TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, frames BLOB NOT NULL
);
CREATE UNIQUE INDEX instance_uid ON instance(SOPInstanceUID);
CREATE INDEX instance_series ON instance(series, InstanceNumber);
CREATE TABLE change(
    number INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL, study TEXT NOT NULL, series TEXT NOT NULL,
    instance TEXT NOT NULL, at INTEGER NOT NULL
);
CREATE TABLE position(name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {SCHEMA};
"""
JOINED = "instance JOIN series ON series.id = instance.series JOIN study ON study.id = series.study"


class UnknownIndex(Exception):
    """The index was made by a later version."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An instance to be entered: what its file says, its SHA-256 and its length."""

    instance: Instance
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Known:
    """What is entered under the UID of an instance."""

    sha256: str
    series: int


@dataclass(frozen=True, slots=True)
class Located:
    """Where the frames of an instance are to be read."""

    held: Held
    frames: Frames


class Index:
    """The index of one archive; used from threads, and by several processes. Who reads never waits for who writes."""

    def __init__(self, path: Path) -> None:
        self._lock, self._reading = Lock(), Lock()
        self._file = apsw.Connection(str(path))
        self._file.set_busy_timeout(BUSY_MILLISECONDS)
        self._file.pragma("journal_mode", "wal")
        self._file.pragma("synchronous", "full")
        with self._writing():
            version = int(self._file.pragma("user_version") or 0)
            if version > SCHEMA:
                raise UnknownIndex(f"{path} has schema {version}, and this program knows {SCHEMA}")
            if version == 0:
                self._file.execute(STATEMENTS)
        self._reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self._reader.set_busy_timeout(BUSY_MILLISECONDS)
        self._recalled: dict[Uids, list[Located]] = {}
        self._recalled_at: Any = None

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        with self._lock:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield self._file
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")

    def _rows(self, statement: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._reading:
            return list(self._reader.execute(statement, arguments))

    def refusals(self, entries: Iterable[Entry], *, replaces: bool) -> list[Refused | None]:
        """Why instances would be refused now; None for those that would not be."""
        with self._reading:
            return [self._refusal_of(entry, replaces=replaces) for entry in entries]

    def _refusal_of(self, entry: Entry, *, replaces: bool) -> Refused | None:
        try:
            _known(self._reader, entry, replaces=replaces)
        except Refused as refused:
            return refused
        return None

    def enter(self, entries: Iterable[Entry], at: int, *, replaces: bool) -> list[bool | Refused]:
        """Enter instances, all in one durable step; tell of each whether it is new, or why it is refused."""
        results: list[bool | Refused] = []
        changed: dict[int, None] = {}
        with self._writing() as file:
            for entry in entries:
                try:
                    series, action = self._entered(file, entry, at, replaces=replaces)
                except Refused as refused:
                    results.append(refused)
                    continue
                results.append(action is not None)
                if action is not None:
                    changed[series] = None
                    _note(file, action, entry.instance.uids, at)
            for study in _summed_up(file, changed):
                file.execute("UPDATE study SET at = ? WHERE id = ?", (at, study))
        return results

    def _entered(self, file: apsw.Connection, entry: Entry, at: int, *, replaces: bool) -> tuple[int, Action | None]:
        json = entry.instance.json
        known = _known(file, entry, replaces=replaces)
        if known is not None and known.sha256 == entry.sha256:
            return known.series, None
        study = _row(file, "study", {**values("study", json), "at": at}, "StudyInstanceUID")
        series = _row(file, "series", {"study": study, **values("series", json)}, "study, SeriesInstanceUID")
        frames = entry.instance.frames
        kept = {
            **values("instance", json),
            "series": series,
            "json": told("instance", json),
            "metadata": orjson.dumps(json),
            "transfer_syntax": entry.instance.transfer_syntax,
            "sha256": entry.sha256,
            "bytes": entry.bytes,
            "frames": orjson.dumps((frames.start, frames.size, frames.count, frames.ranges)),
        }
        _row(file, "instance", kept, "SOPInstanceUID")
        file.execute("UPDATE series SET json = ? WHERE id = ?", (told("series", json), series))
        file.execute("UPDATE study SET json = ? WHERE id = ?", (told("study", json), study))
        return series, "create" if known is None else "update"

    def remove(self, uids: Uids, at: int) -> list[Uids]:
        """Take instances out, in one durable step; return which."""
        with self._writing() as file:
            where, arguments = _below(uids)
            found = list(file.execute(
                "SELECT StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, instance.id, series.id "
                f"FROM {JOINED} WHERE {where} ORDER BY instance.id",
                arguments,
            ))  # fmt: skip
            removed = [Uids(*each[:3]) for each in found]
            for row, each in zip(found, removed, strict=True):
                file.execute("DELETE FROM instance WHERE id = ?", (row[3],))
                _note(file, "delete", each, at)
            list(_summed_up(file, dict.fromkeys(row[4] for row in found)))
        return removed

    def held(self, uids: Uids) -> list[Held]:
        """The instances below UIDs, in the order of series and their numbers."""
        return [located.held for located in self.located(uids)]

    def located(self, uids: Uids) -> list[Located]:
        """The same, with where their frames are."""
        with self._reading:
            return _located(self._reader, uids)

    def recall(self, uids: Uids) -> Sequence[Located] | None:
        """The same, remembered as long as nothing changes; None where somebody else is reading."""
        if not self._reading.acquire(blocking=False):
            return None
        try:
            version = self._reader.pragma("data_version")
            if version != self._recalled_at or len(self._recalled) >= MOST_RECALLED:
                self._recalled.clear()
                self._recalled_at = version
            found = self._recalled.get(uids)
            if found is None:
                found = self._recalled[uids] = _located(self._reader, uids)
            return found
        finally:
            self._reading.release()

    def metadata(self, uids: Uids) -> list[bytes]:
        """The data sets of instances, as they were entered."""
        where, arguments = _below(uids)
        order = "SeriesNumber, series.id, InstanceNumber, instance.id"
        return [
            row[0] for row in self._rows(f"SELECT metadata FROM {JOINED} WHERE {where} ORDER BY {order}", arguments)
        ]

    def find(self, question: Question) -> Found:
        """What a search finds."""
        conditions, arguments = _conditions(question)
        depth = LEVELS.index(question.level)
        tables = ("study", "study JOIN series ON series.study = study.id", JOINED)[depth]
        shown = ", ".join(f"{level}.json" for level in LEVELS[: depth + 1])
        order = ("study.at DESC, study.id DESC", "SeriesNumber, series.id", "InstanceNumber, instance.id")
        rows = self._rows(
            f"SELECT {shown}, {question.level}.id FROM {tables} WHERE {' AND '.join(conditions) or '1'} "
            f"ORDER BY {', '.join(order[: depth + 1])} LIMIT ? OFFSET ?",
            (*arguments, question.limit + 1, question.offset),
        )
        rows, is_cut = rows[: question.limit], len(rows) > question.limit
        if question.fields:
            return Found([self._fuller(question, row) for row in rows], is_cut)
        return Found([("{" + ",".join(filter(None, row[:-1])) + "}").encode() for row in rows], is_cut)

    def _fuller(self, question: Question, row: tuple[Any, ...]) -> bytes:
        """An answer with the fields that were asked for, as one of its instances has them."""
        tables = {"study": "series.study", "series": "instance.series", "instance": "instance.id"}
        (metadata,) = self._rows(
            f"SELECT metadata FROM {JOINED} WHERE {tables[question.level]} = ? ORDER BY instance.id LIMIT 1", row[-1:]
        )
        answer = orjson.loads("{" + ",".join(filter(None, row[:-1])) + "}")
        every = orjson.loads(metadata[0])
        for tag, element in every.items():
            if tag in question.fields or "all" in question.fields:
                answer.setdefault(tag, element)
        return orjson.dumps(answer)

    def changes(self, after: int, limit: int) -> list[Change]:
        """The changes behind a number, in their order."""
        rows = self._rows(
            "SELECT number, action, study, series, instance, at FROM change WHERE number > ? ORDER BY number LIMIT ?",
            (after, limit),
        )
        return [Change(number, action, Uids(*uids), at) for number, action, *uids, at in rows]

    def position(self, name: str) -> int:
        """How far a follower of changes came."""
        rows = self._rows("SELECT number FROM position WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else 0

    def keep_position(self, name: str, number: int) -> None:
        """Remember it."""
        with self._writing() as file:
            file.execute("INSERT OR REPLACE INTO position VALUES (?, ?)", (name, number))

    def close(self) -> None:
        """Let go of the file."""
        with self._reading, self._lock:
            self._reader.close()
            self._file.close()


def _refusal(reason: Any, text: str, entry: Entry) -> Refused:
    instance = entry.instance
    return Refused(reason, text, sop_class=instance.sop_class, uid=instance.uids.instance)


def _note(file: apsw.Connection, action: Action, uids: Uids, at: int) -> None:
    file.execute("INSERT INTO change(action, study, series, instance, at) VALUES (?, ?, ?, ?, ?)", (action, *uids, at))


def _known(file: apsw.Connection, entry: Entry, *, replaces: bool) -> Known | None:
    """What is here under an instance's UID; raise Refused where the instance cannot be entered beside or above it."""
    uids, json = entry.instance.uids, entry.instance.json
    row = next(file.execute(
        f"SELECT sha256, series.id, StudyInstanceUID, SeriesInstanceUID FROM {JOINED} WHERE SOPInstanceUID = ?",
        (uids.instance,),
    ), None)  # fmt: skip
    if row is not None and row[0] == entry.sha256:
        return Known(*row[:2])
    if row is not None and (not replaces or row[2:] != uids[:2]):
        raise _refusal(DUPLICATE, "Another instance has this SOPInstanceUID, and stays.", entry)
    sql = "SELECT PatientID, IssuerOfPatientID FROM study WHERE StudyInstanceUID = ?"
    patient = next(file.execute(sql, (uids.study,)), None)
    here = values("study", json)
    if patient is not None and patient != (here["PatientID"], here["IssuerOfPatientID"]):
        raise _refusal(UNFITTING, "Its study is here already, under another patient.", entry)
    return None if row is None else Known(*row[:2])


def _row(file: apsw.Connection, table: str, kept: Mapping[str, Any], unique: str) -> int:
    """The id of a row, made, or brought up to date."""
    names = ", ".join(kept)
    marks = ", ".join("?" * len(kept))
    changed = ", ".join(f"{name} = excluded.{name}" for name in kept)
    sql = f"INSERT INTO {table}({names}) VALUES ({marks}) ON CONFLICT({unique}) DO UPDATE SET {changed} RETURNING id"
    return int(next(file.execute(sql, tuple(kept.values())))[0])


def _summed_up(file: apsw.Connection, series: Iterable[int]) -> Iterator[int]:
    """Put numbers and modalities into the answers of changed series and their studies; yield the studies' ids.

    What has no instance any more is forgotten.
    """
    studies: dict[int, None] = {}
    for each in series:
        (study,) = next(file.execute("SELECT study FROM series WHERE id = ?", (each,)))
        studies[study] = None
        (count,) = next(file.execute("SELECT count(*) FROM instance WHERE series = ?", (each,)))
        if count:
            _put(file, "series", each, {"00201209": {"vr": "IS", "Value": [count]}})
        else:
            file.execute("DELETE FROM series WHERE id = ?", (each,))
    for study in studies:
        found = list(file.execute("SELECT DISTINCT Modality FROM series WHERE study = ? ORDER BY 1", (study,)))
        if not found:
            file.execute("DELETE FROM study WHERE id = ?", (study,))
            continue
        counted = (
            "SELECT count(DISTINCT series.id), count(*) FROM instance JOIN series ON series.id = series WHERE study = ?"
        )
        of_series, of_instances = next(file.execute(counted, (study,)))
        summary: Json = {
            "00080056": {"vr": "CS", "Value": ["ONLINE"]},
            "00080061": {"vr": "CS", "Value": [modality for (modality,) in found if modality]},
            "00201206": {"vr": "IS", "Value": [of_series]},
            "00201208": {"vr": "IS", "Value": [of_instances]},
        }
        _put(file, "study", study, summary)
        yield study


def _put(file: apsw.Connection, table: str, row: int, more: Json) -> None:
    (text,) = next(file.execute(f"SELECT json FROM {table} WHERE id = ?", (row,)))
    body = orjson.dumps({**orjson.loads("{" + (text or "") + "}"), **more})[1:-1].decode()
    file.execute(f"UPDATE {table} SET json = ? WHERE id = ?", (body, row))


def values(level: Level, json: Json) -> dict[str, Any]:
    """Return what an instance is found by on a level, as it is compared."""
    return {each.keyword: _compared(each, json) for each in columns(level)}


def _compared(attribute: Attribute, json: Json) -> Any:
    text = text_of(json, attribute.tag)
    match attribute.kind:
        case "name" | "text":
            return folded(" ".join(texts_of(json, attribute.tag)))
        case "number":
            digits = text.partition(".")[0]
            return int(digits) if digits.lstrip("-").isdigit() and len(digits) < 16 else None
        case "date" | "time":
            return text.replace(":", "") or None
        case _:
            return text


def folded(text: str) -> str:
    """Return text as names and descriptions are compared: the parts of a name are words."""
    return fold(text.replace("^", " ").replace("=", " "))


def told(level: Level, json: Json) -> str:
    """Return what answers of a level say, as the inside of a JSON object."""
    found = {each.tag: json[each.tag] for each in ATTRIBUTES if each.level == level and each.tag in json}
    uids = [text_of(json, tag) for tag in ("0020000D", "0020000E", "00080018")]
    words = ("studies", "series", "instances")
    steps = [f"{word}/{uid}" for word, uid in zip(words, uids[: LEVELS.index(level) + 1], strict=False)]
    found[RETRIEVE_URL] = {"vr": "UR", "Value": [f"{ADDRESS}/{'/'.join(steps)}"]}
    return orjson.dumps(found)[1:-1].decode()


def _located(file: apsw.Connection, uids: Uids) -> list[Located]:
    where, arguments = _below(uids)
    rows = file.execute(
        "SELECT StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, SOPClassUID, transfer_syntax, sha256, bytes, "
        f"frames FROM {JOINED} WHERE {where} ORDER BY SeriesNumber, series.id, InstanceNumber, instance.id",
        arguments,
    )
    return [Located(Held(Uids(*row[:3]), *row[3:7]), Frames(*orjson.loads(row[7]))) for row in rows]


def _below(uids: Uids) -> tuple[str, list[str]]:
    named = ("StudyInstanceUID", uids.study), ("SeriesInstanceUID", uids.series), ("SOPInstanceUID", uids.instance)
    return " AND ".join(f"{name} = ?" for name, uid in named if uid), [uid for _, uid in named if uid]


def _conditions(question: Question) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    arguments: list[Any] = []
    for condition in question.conditions:
        sql, given = _condition(condition)
        conditions.append(sql)
        arguments += given
    return conditions, arguments


def _condition(condition: Condition) -> tuple[str, list[Any]]:
    name = condition.attribute.keyword
    match condition.attribute.kind:
        case "date" | "time":
            # A shorter time means all that begin with it.
            parts = [(f"{name} >= ?", condition.low), (f"{name} <= ? || '~'", condition.high)]
            return " AND ".join(sql for sql, value in parts if value), [value for _, value in parts if value]
        case "modalities":
            inner = "EXISTS (SELECT 1 FROM series AS any_series WHERE any_series.study = study.id AND {})"
            sql, given = _any_of("any_series.Modality", condition.values)
            return inner.format(sql), given
        case "number":
            return f"{name} IN ({', '.join('?' * len(condition.values))})", [int(value) for value in condition.values]
        case "uid":
            return f"{name} IN ({', '.join('?' * len(condition.values))})", list(condition.values)
        case "name" | "text":
            return _any_of(name, [_folded_pattern(value) for value in condition.values])
        case _:
            return _any_of(name, condition.values)


def _any_of(column: str, patterns: Sequence[str]) -> tuple[str, list[Any]]:
    """One of several values, each with wildcards or without."""
    parts = [f"{column} GLOB ?" if {"*", "?"} & set(pattern) else f"{column} = ?" for pattern in patterns]
    return f"({' OR '.join(parts)})", [
        pattern.replace("[", "[[]") if {"*", "?"} & set(pattern) else pattern for pattern in patterns
    ]


def _folded_pattern(pattern: str) -> str:
    """A pattern for folded text: what is between its wildcards is folded, but for blanks at the edges."""
    found: list[str] = []
    piece = ""
    for character in f"{pattern}\0":
        if character not in "*?\0":
            piece += character
            continue
        bare = folded(piece)
        before = " " if found and piece[:1] in (" ", "^") else ""
        after = " " if character != "\0" and bare and piece[-1:] in (" ", "^") else ""
        found.append(f"{before}{bare}{after}" if bare else before)
        if character != "\0":
            found.append(character)
        piece = ""
    return "".join(found)
