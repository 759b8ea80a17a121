"""What a manifest changes, written down before, so that it can be taken back (Bulk Data 4.0, $bulk-submit).

A line for each resource tells its version before and the one that the manifest makes; a line for each lot of rows what
it is called in the tables. What somebody else has changed since stays as they left it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import orjson

from fhir_server.errors import FhirError, NotFound
from fhir_server.repository.history import Window
from fhir_server.repository.sent import read_sent
from fhir_server.repository.write import Write
from fhir_server.rest.node import Node
from fhir_server.store.protocol import Scope, Version

RESOURCES, ROWS = "resources.ndjson", "rows.ndjson"
T = TypeVar("T")

Key = tuple[str, str]
Row = Mapping[str, Any]


class Tables(Protocol):
    """Takes rows of views, each lot under a name of its own. All of it blocks."""

    def about(self, view: str) -> str:
        """The resource type that a view is about; raise NotFound for a view that takes no rows."""
        ...

    def wrong(self, view: str, rows: list[dict[str, Any]]) -> tuple[int, str] | None:
        """The number of a row that is none of the view's, and why; None where all are."""
        ...

    def put(self, view: str, node: str, rows: list[dict[str, Any]], place: int, name: str) -> None:
        """Add rows of a node; those of one name count once."""
        ...

    def remove(self, view: str, node: str, ids: list[str], place: int, name: str) -> None:
        """Add that resources of a node are gone."""
        ...

    def drop(self, view: str, name: str) -> int:
        """Forget what came under a name; return how many rows were forgotten."""
        ...


class Ledger:
    """What one manifest changes, in its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, name: str, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write lines; they are on disk when this returns."""
        with (self._folder / name).open("ab") as file:
            file.write(b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in lines))
            file.flush()
            os.fsync(file.fileno())

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the lines, without one that an interruption cut short: nothing was done for it yet."""
        with suppress(FileNotFoundError), (self._folder / name).open("rb") as file:
            yield from _whole(file)

    def before(self) -> dict[Key, tuple[int, int]]:
        """The version before, and the version made, of each resource."""
        return {(each["type"], each["id"]): (each["before"], each["made"]) for each in self.lines(RESOURCES)}

    def clear(self) -> None:
        """Nothing is changed any more."""
        for name in (RESOURCES, ROWS):
            (self._folder / name).unlink(missing_ok=True)


def in_lots(items: Iterable[T], most: int) -> Iterator[list[T]]:
    """Yield items so many at a time."""
    lot: list[T] = []
    for item in items:
        lot.append(item)
        if len(lot) >= most:
            yield lot
            lot = []
    if lot:
        yield lot


def _whole(file: BinaryIO) -> Iterator[dict[str, Any]]:
    for line in file:
        if line.endswith(b"\n"):
            yield orjson.loads(line)


async def current(node: Node, kind: str, own_id: str) -> Version | None:
    """The last version of a resource, a deletion too; None where there is none."""
    found = await node.repository.versions(Scope((kind,), own_id), Window(), 1)
    return found[0] if found else None


async def note(node: Node, ledger: Ledger, keys: Iterable[Key], former: Mapping[Key, tuple[int, int]]) -> None:
    """Write down what resources are before they are changed; `former` is of the manifest that is being replaced.

    What that one made goes back, in the end, to what was before it.
    """
    lines = []
    for kind, own_id in keys:
        version = await current(node, kind, own_id)
        now = 0 if version is None else version.version
        before, made = former.get((kind, own_id), (now, 0))
        lines.append({"type": kind, "id": own_id, "before": before if made == now else now, "made": now + 1})
    await asyncio.to_thread(ledger.keep, RESOURCES, lines)


async def undo(node: Node, tables: Tables, ledger: Ledger, sender: str, place: int) -> int:
    """Take back what a ledger tells of; return how many resources could not be, since others hold on to them."""
    for line in list(ledger.lines(ROWS)):
        await asyncio.to_thread(_undo_rows, tables, line, sender, place)
    left = 0
    waiting = list(ledger.before().items())
    while waiting:
        held = []
        for key, versions in reversed(waiting):
            try:
                await _undo(node, key, *versions)
            except FhirError:  # another that is undone later refers to it, or somebody's does
                held.append((key, versions))
        if len(held) == len(waiting):
            left = len(held)
            break
        waiting = list(reversed(held))
    return left


def _undo_rows(tables: Tables, line: Mapping[str, Any], sender: str, place: int) -> None:
    dropped = tables.drop(line["view"], line["name"])
    if dropped < line["rows"] and not line["deleted"]:  # compacted: the rows cannot be told from others any more
        tables.remove(line["view"], sender, line["ids"], place + 1, f"{line['name']}-undone")


async def _undo(node: Node, key: Key, before: int, made: int) -> None:
    version = await current(node, *key)
    if version is None or version.version < made:
        return
    if version.version > made and content(version.body) != content(await _body(node, key, made)):
        return
    former = await _body(node, key, before)
    kind, own_id = key
    match = None if version.body is None else (version.version,)
    if former is not None:
        sent = read_sent(former, node.definitions, node.bundle_limits)
        await node.repository.write([Write("PUT", kind, own_id, sent=sent, match=match)])
    elif version.body is not None:
        await node.repository.write([Write("DELETE", kind, own_id, match=match)])


async def _body(node: Node, key: Key, number: int) -> bytes | None:
    """A version's body; None where there was nothing, or it is a deletion."""
    try:
        return (await node.repository.version(*key, number)).body if number else None
    except NotFound:
        return None


def content(raw: bytes | None) -> Any:
    """What a version says but for its number and time: a later one that says the same is the state that was left."""
    if raw is None:
        return None
    body = orjson.loads(raw)
    meta = {name: value for name, value in body.pop("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    return body, meta
