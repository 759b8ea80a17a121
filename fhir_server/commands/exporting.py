"""`nhipcau export`: everything, or some types, as NDJSON files of one moment."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from fhir_server.bulk.exporting import Exported, Exporting
from fhir_server.bulk.journal import Journal
from fhir_server.commands.terminal import AnyStore, Data, StoreSingle, made, print_line, stop, stored_in
from fhir_server.definitions.registry import r4
from fhir_server.resource.instant import epoch_milliseconds
from fhir_server.rest.failure import nearest
from fhir_server.store.opening import Place, opened

JOURNAL = "export.journal"


def dump(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="The folder for the files.")],
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    kind: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only this resource type; may be repeated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="Only what was changed at or after this moment.")
    ] = None,
    *,
    store_single: StoreSingle = False,
) -> None:
    """Write the stored resources to NDJSON files, one for each type. What was interrupted goes on where it was."""
    types = _types(kind)
    moment = None if since is None else epoch_milliseconds(since)
    place = stored_in(store, data, is_single=store_single)
    files = made(folder)
    asked = {
        "types": sorted(types),
        "since": moment,
        "store": str(place.resolve() if isinstance(place, Path) else place),
    }
    with Journal(files / JOURNAL) as journal:
        before = journal.entry("asked")
        if before and before != asked:
            stop(f"{files} holds an export of something else: choose an empty folder, or repeat the same command.")
        if not before and any(files.glob("*.ndjson")):
            stop(f"{files} holds NDJSON files that are not of an export: choose an empty folder.")
        journal.keep("asked", **asked)
        written = asyncio.run(_exported(place, files, journal, types, moment))
    (files / JOURNAL).unlink()
    for each in written:
        print_line(Text(f"{each.resources:>10,} {each.type} ({each.size:,} bytes)"))
    print_line(Text(f"resources: {sum(each.resources for each in written)}, files: {len(written)}", "green"))


async def _exported(
    place: Place, folder: Path, journal: Journal, types: list[str], since: int | None
) -> list[Exported]:
    store = await opened(place, time.time)
    columns = SpinnerColumn(), TextColumn("{task.fields[kind]} {task.completed:,}"), TimeElapsedColumn()
    try:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("export", total=None, kind="")
            return await Exporting(store, folder, journal, since).export(
                types, lambda name, count: bar.update(task, advance=count, kind=name)
            )
    finally:
        await store.close()


def _types(asked: list[str] | None) -> list[str]:
    known = r4().resource_types
    for name in asked or ():
        if name not in known:
            stop(f"R4 has no resource type {name}.{nearest(name, known)}")
    return sorted(set(asked) if asked else known)
