"""`nhipcau reindex`: give stored resources the index rows that they should have, with a bar."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from uuid import uuid4

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from fhir_server.app import Origin, Service
from fhir_server.commands.terminal import (
    AnyStore,
    Data,
    Kinds,
    Packages,
    StoreSingle,
    definitions_with,
    print_line,
    stop,
    stored_in,
)
from fhir_server.definitions.registry import Definitions
from fhir_server.search.suggestion import hint
from fhir_server.settings import settings


def reindex(
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    kinds: Kinds = None,
    package: Packages = None,
    *,
    store_single: StoreSingle = False,
) -> None:
    """Index what is stored anew, also while the server runs. What was interrupted, a server goes on with."""
    place = stored_in(store, data, is_single=store_single)
    definitions = definitions_with(package)
    chosen = known(kinds or (), definitions)
    service = Service(definitions, settings(), Origin(data, database=place))
    found = asyncio.run(_reindexed(service, chosen))
    if found is None:
        print_line(Text("Another process is indexing; it does this afterwards."))
        return
    print_line(Text(f"indexed: {found}", "green"))


def known(kinds: Collection[str], definitions: Definitions) -> frozenset[str]:
    """Return the types, all where none is named; stop the command for what is none."""
    for kind in kinds:
        if kind not in definitions.resource_types:
            stop(f"{kind!r} is not a resource type.{hint(kind, definitions.resource_types)}")
    return frozenset(kinds) or definitions.resource_types


async def _reindexed(service: Service, kinds: frozenset[str]) -> int | None:
    """Return how many resources were indexed; None where another process is at work."""
    async with service.running():
        jobs = service.jobs
        task_id = f"reindex-{uuid4()}"
        await jobs.request(kinds, task_id)
        with progress_bar() as bar:
            row = bar.add_task("reindex", total=None)
            done = await jobs.do(task_id, lambda indexed, total: bar.update(row, completed=indexed, total=total))
        return int(bar.tasks[0].completed) if done else None


def progress_bar() -> Progress:
    """The bar; it stands on stderr, so that what a script reads stays clean."""
    columns = (BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), TextColumn("resources"), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))
