"""`nhipcau audit`: is the ledger of accesses as it was made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.text import Text

from fhir_server.audit.seal import Verdict, verify
from fhir_server.audit.trail import CHECKPOINTS_FILE, KEY_FILE, Trail, kept_checkpoints, signing_key
from fhir_server.commands.terminal import AnyStore, Data, StoreSingle, print_line, stop, stored_in
from fhir_server.settings import Settings
from fhir_server.store.opening import Place, opened
from fhir_server.store.protocol import Store

audit_app = typer.Typer(help="The ledger of who did what to whose data.", no_args_is_help=True)
Answer = TypeVar("Answer")
Checkpoints = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Checkpoints that were kept where the database's keeper is not."),
]


@audit_app.command("verify")
def verify_ledger(
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    checkpoints: Checkpoints = None,
    *,
    store_single: StoreSingle = False,
) -> None:
    """Look at every entry of the ledger; exit with 1 and name the first that is not as it was made."""
    if not (data / KEY_FILE).exists():
        stop(f"There is no {KEY_FILE} in {data}: nothing was sealed there.")
    kept = kept_checkpoints(checkpoints or data / CHECKPOINTS_FILE)
    key = signing_key(data)
    place = stored_in(store, data, is_single=store_single)
    found: Verdict = asyncio.run(_of_ledger(place, lambda ledger: verify(ledger.ledger, key, kept)))
    if found.first_wrong is not None:
        text = f"entry {found.first_wrong}: {found.problem}. Up to entry {found.sealed} a checkpoint answers for all."
        print_line(Text(text, "red"))
        raise typer.Exit(1)
    counts = f"entries: {found.entries}, removed before: {found.removed}, checkpoints: {found.checkpoints}"
    text = f"{counts}, sealed up to: {found.sealed}"
    print_line(Text(text, "green"))


@audit_app.command()
def seal(data: Data = Path("nhipcau-data"), store: AnyStore = None, *, store_single: StoreSingle = False) -> None:
    """Enter a signed checkpoint now; a running server does so every hour."""
    place = stored_in(store, data, is_single=store_single)
    count = asyncio.run(_of_ledger(place, lambda ledger: _trail(ledger, data, Settings().audit_days).seal()))
    print_line(Text(f"entries sealed: {count}", "green"))


@audit_app.command()
def forget(
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    days: Annotated[int | None, typer.Option(min=366, help="Keep so many days; NHIPCAU_AUDIT_DAYS without it.")] = None,
    *,
    store_single: StoreSingle = False,
) -> None:
    """Remove entries that were sealed so many days ago; a running server does so every day."""
    place = stored_in(store, data, is_single=store_single)
    kept = days or Settings().audit_days
    count = asyncio.run(_of_ledger(place, lambda ledger: _trail(ledger, data, kept).forget()))
    print_line(Text(f"entries removed: {count}", "green"))


def _trail(ledger: Store, data: Path, days: int) -> Trail:
    return Trail(ledger, data, time.time, days)


async def _of_ledger(place: Place, asked: Callable[[Store], Awaitable[Answer]]) -> Answer:
    """What a store answers, which is open for that alone."""
    ledger = await opened(place, time.time)
    try:
        return await asked(ledger)
    finally:
        await ledger.close()
