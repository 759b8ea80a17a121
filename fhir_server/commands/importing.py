"""`nhipcau import`: files of resources into a node, with a bar, a journal and a report of what was rejected."""

from __future__ import annotations

import asyncio
import gc
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from fhir_server.app import DATABASE, Origin, Service
from fhir_server.bulk.deferred import Deferred
from fhir_server.bulk.journal import Journal
from fhir_server.bulk.loading import Loading, Tally
from fhir_server.bulk.source import Source
from fhir_server.commands.terminal import (
    AnyStore,
    Data,
    Packages,
    StoreSingle,
    definitions_with,
    made,
    place_of,
    print_line,
    stop,
)
from fhir_server.settings import settings
from fhir_server.store.opening import MongoDatabase
from fhir_server.store.sqlite.upkeep import analyze, settle

JOURNAL = "import.journal"
DEFERRED = "import.deferred"
REPORT = "import-rejected.ndjson"
COLLECTOR = (20_000, 50, 100)
FILES = "NDJSON, JSON or XML, also as .gz; .tgz archives of JSON and XML files."


def load(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", exists=True, dir_okay=False, help=FILES)],
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    validation: Annotated[
        Literal["off", "base", "profiles"] | None, typer.Option(help="What a resource is checked against.")
    ] = None,
    package: Packages = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Where the rejected resources are told of.")
    ] = None,
    *,
    store_single: StoreSingle = False,
    again: Annotated[bool, typer.Option("--again", help="Read files that were imported before once more.")] = False,
) -> None:
    """Store the resources in files; exit with 1 when one was rejected. What was interrupted goes on where it was."""
    folder = made(data)
    told = report or folder / REPORT
    # A file may refer to what stands in a later one.
    chosen = settings().model_copy(update={"referential_integrity": False})
    if validation is not None:
        chosen = chosen.model_copy(update={"validation": validation})
    place = place_of(store, is_single=store_single)
    service = Service(definitions_with(package), chosen, Origin(folder, database=place))
    try:
        tally = asyncio.run(_loaded(service, [Source(file) for file in files], folder, told, again=again))
    except (OSError, EOFError, tarfile.TarError) as error:
        stop(f"A file cannot be read to its end ({error}). What stood before that is stored; mend it and repeat.")
    if tally.stored and not isinstance(place, MongoDatabase):
        database = place or folder / DATABASE
        settle(database)
        analyze(database)
    for name in tally.skipped:
        print_line(Text(f"{name}: imported before, skipped (--again reads it once more)"))
    print_line(_summary(tally))
    if tally.rejected:
        print_line(Text(f"Why, with file and line, one OperationOutcome on each line: {told}"))
    raise typer.Exit(int(tally.rejected > 0))


async def _loaded(service: Service, sources: Sequence[Source], folder: Path, told: Path, *, again: bool) -> Tally:
    async with service.running() as node:
        # Definitions are never garbage: the collector would look through them again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECTOR)
        with Journal(folder / JOURNAL) as journal, _bar() as bar:
            if again:
                journal.forget()
            # What was rejected before an interruption stays told.
            goes_on = any(journal.entry(str(source.path.resolve())) for source in sources)
            task = bar.add_task("import", total=sum(source.size for source in sources), stored=0, rejected=0)

            def progress(tally: Tally) -> None:
                stored = tally.stored + tally.unchanged
                bar.update(task, completed=tally.read, stored=stored, rejected=tally.rejected)

            with told.open("ab" if goes_on else "wb") as report, Deferred(folder / DEFERRED) as deferred:
                return await Loading(node, journal, report, deferred).load(sources, progress)


def _bar() -> Progress:
    """The bar; it stands on stderr, so that what a script reads stays clean."""
    return Progress(
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[stored]:,} stored, {task.fields[rejected]:,} rejected"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _summary(tally: Tally) -> Text:
    colour = "red" if tally.rejected else "green"
    return Text(f"stored: {tally.stored}, unchanged: {tally.unchanged}, rejected: {tally.rejected}", colour)
