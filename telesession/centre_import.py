"""`nhipcau centres import`: facilities, their rooms, services and hubs from a table, with a report of bad rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from fhir_server.app import Origin, Service
from fhir_server.commands.terminal import (
    AnyStore,
    Data,
    StoreSingle,
    definitions_with,
    made,
    place_of,
    print_line,
    stop,
)
from fhir_server.errors import FhirError, NotFound
from fhir_server.repository.repository import Repository
from fhir_server.repository.write import Write
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.instant import instant
from fhir_server.settings import settings
from telesession.centre_table import FACILITY_CODE, Fault, Row, faults_in, resources_of, rows_of
from telesession.gathering import NO_LIMITS, found_by, sent_of
from telesession.vocabulary import Json, objects

centres_app = typer.Typer(help="The registry of centres of remote care.", no_args_is_help=True)
LARGEST = 64 * 2**20


@centres_app.callback()
def centres() -> None:
    """The registry of centres of remote care."""


@centres_app.command("import")
def bring(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="CSV in UTF-8.")],
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    *,
    store_single: StoreSingle = False,
    check: Annotated[bool, typer.Option("--check", help="Tell what is wrong, and store nothing.")] = False,
) -> None:
    """Store the centres of a table; exit with 1 when a row is bad. The same table again changes nothing."""
    rows, faults = rows_of(text_of(file))
    origin = Origin(made(data), database=place_of(store, is_single=store_single))
    service = Service(definitions_with(None), settings(), origin)
    stored, unchanged, more = asyncio.run(_stored(service, rows, checks_only=check))
    faults += more
    for fault in sorted(faults, key=lambda each: each.row):
        print_line(Text(str(fault), "red"), to_errors=True)
    bad = len({fault.row for fault in faults})
    print_line(Text(f"centres stored: {stored}, unchanged: {unchanged}, bad rows: {bad}", "red" if bad else "green"))
    raise typer.Exit(int(bad > 0))


def text_of(file: Path) -> str:
    """The text of a table; stop the command for one that cannot be read."""
    if file.stat().st_size > LARGEST:
        stop(f"{file} has more than {LARGEST} bytes: split it.")
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        stop(f"{file} is not in UTF-8: save it as “CSV UTF-8”.")


async def _stored(service: Service, rows: Sequence[Row], *, checks_only: bool) -> tuple[int, int, list[Fault]]:
    """How many centres were stored, how many stood there so already, and which rows are bad."""
    stored = unchanged = 0
    async with service.running() as node:
        repository = node.repository
        known = await _known(repository, rows)
        faults = list(faults_in(rows, known))
        bad = {fault.row for fault in faults}
        # A row that leads to a bad one would refer to what is not there.
        while fallen := list(_orphans(rows, bad, known)):
            faults += fallen
            bad |= {fault.row for fault in fallen}
        good = [row for row in rows if row.number not in bad and not checks_only]
        for row in in_order(good):
            now = instant(int(node.clock() * 1000))
            try:
                has_changed = await _put(repository, list(resources_of(row, known, now)))
            except FhirError as failure:
                faults.append(Fault(row.number, "code", str(failure)))
                continue
            stored, unchanged = stored + has_changed, unchanged + (not has_changed)
    return stored, unchanged, faults


def _orphans(rows: Iterable[Row], bad: set[int], known: dict[str, str]) -> Iterable[Fault]:
    there = {row["code"] for row in rows if row.number not in bad} | known.keys()
    for row in rows:
        for column in ("above", "hub"):
            if row.number not in bad and row[column] and row[column] not in there:
                yield Fault(row.number, column, f"The row of {row[column]} is bad: mend it first.")


def in_order(rows: Sequence[Row]) -> list[Row]:
    """The rows, each after those that it leads to; rings among them stand last."""
    waiting, found, ready = list(rows), [], set[str]()
    names = {row["code"] for row in rows}
    while waiting:
        free = [row for row in waiting if not ({row["above"], row["hub"]} & names) - ready] or waiting
        found += free
        ready |= {row["code"] for row in free}
        waiting = [row for row in waiting if row["code"] not in ready]
    return found


async def _known(repository: Repository, rows: Sequence[Row]) -> dict[str, str]:
    """The ids of the facilities that the rows name and that are stored, by their codes."""
    found: dict[str, str] = {}
    for code in dict.fromkeys(row[column] for row in rows for column in ("code", "above", "hub") if row[column]):
        for body in await found_by(repository, "Organization", [("identifier", f"{FACILITY_CODE}|{_plain(code)}")], 1):
            found[code] = str(body["id"])
    return found


def _plain(code: str) -> str:
    return "".join(each for each in code if each.isalnum())


async def _put(repository: Repository, bodies: Iterable[Json]) -> bool:
    """Store the resources of a row in one transaction; False where all stand there so already.

    What else a resource says stays; how far a site is with its hub is told by $tele-join, once it has begun.
    """
    writes: list[Write] = []
    for body in bodies:
        kept = await _read(repository, body)
        if kept is not None and (body["resourceType"] == "OrganizationAffiliation" or not _differs(kept, body)):
            continue
        merged = _merged(kept or {}, body)
        writes.append(Write("PUT", body["resourceType"], body["id"], sent=sent_of(merged), place=len(writes)))
    if writes:
        await repository.write(writes)
    return bool(writes)


def _merged(kept: Json, body: Json) -> Json:
    merged = {**{name: value for name, value in kept.items() if name != "meta"}, **body}
    if body["resourceType"] == "Organization":
        others = [each for each in objects(kept, "identifier") if each.get("system") != FACILITY_CODE]
        merged["identifier"] = [*body["identifier"], *others]
    return merged


def _differs(kept: Json, body: Json) -> bool:
    merged = _merged(kept, body)
    return any(dump_exact({"a": merged[name]}) != dump_exact({"a": kept.get(name)}) for name in body)


async def _read(repository: Repository, body: Json) -> Json | None:
    try:
        found = await repository.read(body["resourceType"], body["id"])
    except NotFound:
        return None
    return parse_exact(found.body or b"", NO_LIMITS)
