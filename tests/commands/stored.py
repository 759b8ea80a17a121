"""What is in the folder of a node, and files to import."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import orjson

from fhir_server.app import DATABASE
from fhir_server.search.plan import EVERYTHING, Plan
from fhir_server.store.protocol import Version
from fhir_server.store.sqlite.store import SqliteStore

Resource = dict[str, Any]


def versions(data: Path, kind: str) -> list[Version]:
    """The current versions of a type."""

    async def read() -> list[Version]:
        store = SqliteStore(data / DATABASE)
        try:
            return list((await store.run(Plan({kind: EVERYTHING}), 10_000)).matches)
        finally:
            await store.close()

    return asyncio.run(read())


def resources(data: Path, kind: str) -> list[Resource]:
    """The current resources of a type, by id."""
    found = [orjson.loads(version.body or b"") for version in versions(data, kind)]
    return sorted(found, key=lambda each: str(each["id"]))


def ndjson(path: Path, *bodies: Resource | str) -> Path:
    """A file of resources, or of other lines."""
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in bodies) + "\n")
    return path


def patient(name: str, **more: Any) -> Resource:
    """A patient with an id."""
    return {"resourceType": "Patient", "id": name} | more
