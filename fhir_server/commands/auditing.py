"""`nhipcau audit`: is the ledger of accesses as it was made."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from fhir_server.app import DATABASE
from fhir_server.audit.seal import Verdict, verify
from fhir_server.audit.trail import CHECKPOINTS_FILE, KEY_FILE, Trail, kept_checkpoints, signing_key
from fhir_server.commands.terminal import Data, database_of, print_line, stop
from fhir_server.settings import Settings
from fhir_server.store.opening import opened

audit_app = typer.Typer(help="The ledger of who did what to whose data.", no_args_is_help=True)
File = Annotated[str | None, typer.Option("--store", metavar="URL", help="Where resources are kept: sqlite:///FILE.")]
Checkpoints = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Checkpoints that were kept where the database's keeper is not."),
]


@audit_app.command("verify")
def verify_ledger(data: Data = Path("nhipcau-data"), store: File = None, checkpoints: Checkpoints = None) -> None:
    """Look at every entry of the ledger; exit with 1 and name the first that is not as it was made."""
    if not (data / KEY_FILE).exists():
        stop(f"There is no {KEY_FILE} in {data}: nothing was sealed there.")
    found = asyncio.run(_verified(data, store, checkpoints or data / CHECKPOINTS_FILE))
    if found.first_wrong is not None:
        text = f"entry {found.first_wrong}: {found.problem}. Up to entry {found.sealed} a checkpoint answers for all."
        print_line(Text(text, "red"))
        raise typer.Exit(1)
    counts = f"entries: {found.entries}, removed before: {found.removed}, checkpoints: {found.checkpoints}"
    text = f"{counts}, sealed up to: {found.sealed}"
    print_line(Text(text, "green"))


@audit_app.command()
def seal(data: Data = Path("nhipcau-data"), store: File = None) -> None:
    """Enter a signed checkpoint now; a running server does so every hour."""
    count = asyncio.run(_sealed(data, store))
    print_line(Text(f"entries sealed: {count}", "green"))


@audit_app.command()
def forget(
    data: Data = Path("nhipcau-data"),
    store: File = None,
    days: Annotated[int | None, typer.Option(min=366, help="Keep so many days; NHIPCAU_AUDIT_DAYS without it.")] = None,
) -> None:
    """Remove entries that were sealed so many days ago; a running server does so every day."""
    count = asyncio.run(_forgotten(data, store, days or Settings().audit_days))
    print_line(Text(f"entries removed: {count}", "green"))


async def _verified(data: Path, store: str | None, checkpoints: Path) -> Verdict:
    ledger = await opened(database_of(store) or data / DATABASE, time.time)
    try:
        return await verify(ledger.ledger, signing_key(data), kept_checkpoints(checkpoints))
    finally:
        await ledger.close()


async def _sealed(data: Path, store: str | None) -> int:
    ledger = await opened(database_of(store) or data / DATABASE, time.time)
    try:
        return await Trail(ledger, data, time.time, Settings().audit_days).seal()
    finally:
        await ledger.close()


async def _forgotten(data: Path, store: str | None, days: int) -> int:
    ledger = await opened(database_of(store) or data / DATABASE, time.time)
    try:
        return await Trail(ledger, data, time.time, days).forget()
    finally:
        await ledger.close()
