"""Views, exports and imports: rows and resources per CPU-second; and 100,000 resources there and back."""

from __future__ import annotations

import asyncio
import gzip
import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from bench.figure import Figure
from fhir_server.app import Origin, Service
from fhir_server.bulk.export_work import work
from fhir_server.bulk.wish import Wish, moment_of
from fhir_server.definitions.registry import r4
from fhir_server.jobs.folder import Job
from fhir_server.national.catalogue import own_view
from fhir_server.national.definition import read_view
from fhir_server.national.view import Runner, view_engine
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.rest.node import Node
from fhir_server.settings import Settings

RESOURCES = int(os.environ.get("NHIPCAU_BENCH_RESOURCES", "100000"))
AT_ONCE = 500
ROUNDS = 3


def measure(shared: Path) -> list[Figure]:
    """Return the rates."""
    return [*of_views(shared), *asyncio.run(of_bulk(shared))]


def of_views(shared: Path) -> Iterator[Figure]:
    """Yield how fast a view of this server runs over encounters in memory."""
    raws = (shared / "data" / "synthea" / "Encounter.000.ndjson").read_bytes().splitlines()
    bodies = [orjson.loads(raw) for raw in raws]
    engine = view_engine(r4())
    runner = Runner(engine, read_view(engine, own_view("encounters")))
    runner.rows(bodies[0])
    begun = time.process_time()
    for _ in range(ROUNDS):
        rows = sum(len(runner.rows(body)) for body in bodies)
    seconds = time.process_time() - begun
    yield Figure("national-view-encounters", ROUNDS * rows / seconds, "rows per CPU-second")


async def of_bulk(shared: Path) -> list[Figure]:
    """Return how fast resources are exported, and stored again after they were deleted, equal byte for byte."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        settings = Settings(referential_integrity=False)
        service = Service(r4().extended(), settings, Origin(place))
        async with service.running() as node:
            await _store(node, _copies(shared))
            before = time.process_time()
            exported = await _export(node, place / "first")
            export_seconds = time.process_time() - before
            keys = [(each["resourceType"], each["id"]) for each in map(orjson.loads, exported)]
            await _in_lots([Write("DELETE", *key) for key in keys], node)
            before = time.process_time()
            await _store(node, (orjson.loads(line) for line in exported), exported)
            import_seconds = time.process_time() - before
            again = await _export(node, place / "second")
            assert sorted(map(_without_version, again)) == sorted(map(_without_version, exported))
    count = len(exported)
    return [
        Figure("national-export", count / export_seconds, "resources per CPU-second"),
        Figure("national-import", count / import_seconds, "resources per CPU-second"),
        Figure("national-there-and-back-equal", count, "resources"),
    ]


def _copies(shared: Path) -> Iterator[dict[str, Any]]:
    """Yield so many resources of the synthetic patients, each copy with ids of its own."""
    raws = [
        line
        for path in sorted((shared / "data" / "synthea").glob("*.ndjson"))
        for line in path.read_bytes().splitlines()
        if b"?identifier=" not in line  # what refers to others by a condition needs them all
    ]
    for number in range(RESOURCES):
        body: dict[str, Any] = orjson.loads(raws[number % len(raws)])
        if number >= len(raws):
            body["id"] = f"{number}"
        yield body


async def _store(node: Node, bodies: Iterator[dict[str, Any]], raws: list[bytes] | None = None) -> None:
    texts = iter(raws) if raws is not None else None
    writes = []
    for body in bodies:
        raw = orjson.dumps(body) if texts is None else next(texts)
        writes.append(Write("PUT", body["resourceType"], body["id"], sent=Sent(body, raw)))
        if len(writes) == AT_ONCE:
            await node.repository.write(writes)
            writes = []
    await node.repository.write(writes)


async def _in_lots(writes: list[Write], node: Node) -> None:
    for first in range(0, len(writes), AT_ONCE):
        await node.repository.write(writes[first : first + AT_ONCE])


async def _export(node: Node, folder: Path) -> list[bytes]:
    """Export everything; return the lines."""
    before = (await node.repository.window(None, None, None)).before or 0
    job = _begun(folder, Wish("", moment_of(0, 0), (), before))
    await work(node, job)
    return _lines(folder)


def _begun(folder: Path, wish: Wish) -> Job:
    folder.mkdir()
    (folder / "request.json").write_bytes(orjson.dumps(wish.as_json()))
    return Job(folder)


def _lines(folder: Path) -> list[bytes]:
    files = sorted(folder.glob("*.gz"))
    return [line for path in files for line in gzip.decompress(path.read_bytes()).splitlines()]


def _without_version(raw: bytes) -> bytes:
    meta = orjson.loads(raw)["meta"]
    for name in ("versionId", "lastUpdated"):
        raw = raw.replace(orjson.dumps({name: meta[name]})[1:-1], b"")
    return raw
