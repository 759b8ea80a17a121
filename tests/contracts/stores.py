"""The stores that the contract is held against, each opened on the folder of a test."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from fhir_server.resource.instant import Clock
from fhir_server.store.mongodb.store import MongoStore
from fhir_server.store.protocol import Store
from fhir_server.store.sqlite.store import SqliteStore

STORES = ("sqlite", "sqlite-merging-early", "mongodb")


async def open_store(name: str, folder: Path, server: str | None, clock: Clock = time.time) -> Store:
    """A store of this kind, on the folder's own file, or the folder's own database of a server."""
    if name == "mongodb":
        assert server is not None
        database = f"contract-{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"
        return await MongoStore.open(f"{server}/{database}", clock, is_single=True)
    most_waiting = 3 if name == "sqlite-merging-early" else 20_000
    return SqliteStore(folder / "store.db", clock, most_waiting)
