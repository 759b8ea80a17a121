"""`nhipcau national`: count a period for the ministry, here and now."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from fhir_server.app import Origin, Service
from fhir_server.commands.terminal import (
    AnyStore,
    Data,
    Packages,
    StoreSingle,
    definitions_with,
    print_line,
    stop,
    stored_in,
)
from fhir_server.national.measure_report import counted_in
from fhir_server.national.reporting import days_of, keep, reports_for
from fhir_server.settings import settings

national_app = typer.Typer(help="Reports for the ministry.", no_args_is_help=True)
Audience = Annotated[
    Literal["ministry", "agency", "public"], typer.Option(help="Who will read it: what they may not see is masked.")
]
OnMap = Annotated[
    Literal["today", "reported"], typer.Option("--map", help="Places on today's map, or as they were written.")
]


@national_app.callback()
def national() -> None:
    """Reports for the ministry."""


@national_app.command("report")
def report(
    period: Annotated[str, typer.Argument(metavar="PERIOD", help="2026-03, or 2026-03-01/2026-03-31.")],
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    package: Packages = None,
    audience: Audience = "ministry",
    on: OnMap = "today",
    *,
    store_single: StoreSingle = False,
) -> None:
    """Count the indicators of a period and store them as MeasureReports."""
    days_of(period)
    place = stored_in(store, data, is_single=store_single)
    chosen = settings()
    if not chosen.province:
        stop("This node is of no province: set NHIPCAU_PROVINCE to its code.")
    service = Service(definitions_with(package), chosen, Origin(data, database=place))

    async def reported() -> None:
        async with service.running() as node:
            reports = await reports_for(node, chosen.province, period, audience=audience, on=on)
            changed = await keep(node, reports)
        for each in reports:
            total = counted_in(each).total
            numbers = "masked" if total is None else str(total.numerator)
            if total is not None and total.denominator is not None:
                numbers = f"{numbers}/{total.denominator}"
            print_line(Text(f"{each['measure'].rpartition(':')[2]:14} {numbers}"))
        print_line(Text(f"reports: {len(reports)}, changed: {changed}", "green"))

    asyncio.run(reported())
