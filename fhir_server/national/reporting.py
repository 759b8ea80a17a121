"""The indicators of a period computed from what a node stores, and kept as its MeasureReports."""

from __future__ import annotations

import asyncio
import calendar
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import orjson

from fhir_server.errors import Invalid, Issue, NotFound
from fhir_server.national.catalogue import own_view
from fhir_server.national.definition import View, read_view
from fhir_server.national.disclosure import RULES, protected
from fhir_server.national.division import Restated, restated, unit_of
from fhir_server.national.indicator import INDICATORS, Indicator
from fhir_server.national.measure_report import Heading, Json, report_of
from fhir_server.national.population import Stored
from fhir_server.national.pseudonym import is_modified
from fhir_server.national.run import engine_of
from fhir_server.national.stratum import Counted
from fhir_server.national.view import Runner
from fhir_server.part import Part
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.resource.instant import instant
from fhir_server.rest.node import Node

Map = Literal["today", "reported"]
Row = dict[str, Any]
COUNTED: Part[Callable[[Sequence[Indicator], Mapping[str, Any], str, str], dict[str, Counted]]] = Part(
    "fhir_server.national.mart:counted"
)
VIEWS = (
    "encounters", "consultation_requests", "appointments", "compositions", "conditions", "homes", "imaging_studies",
    "interruptions", "medication_requests", "reads", "shared_images", "sites",
)  # fmt: skip
"""The views whose rows indicators are counted in."""
PLACED = {"sites": "province", "homes": "ward"}
"""The column of a view with the code of a division; `place` is added for it."""
IS_DAY = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])").fullmatch
IS_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])").fullmatch
AT_ONCE = 50


def days_of(period: str) -> tuple[str, str]:
    """Return the first and the last day of a month (2026-03), or of two days with a slash between; raise Invalid."""
    if IS_MONTH(period):
        last = calendar.monthrange(int(period[:4]), int(period[5:]))[1]
        return f"{period}-01", f"{period}-{last:02}"
    first, _, last_day = period.partition("/")
    if not IS_DAY(first) or not IS_DAY(last_day) or last_day < first:
        text = f"A period is a month such as 2026-03, or two days such as 2026-03-01/2026-03-31, not {period[:60]!r}."
        raise Invalid(Issue("error", "value", text))
    return first, last_day


async def tables_of(node: Node, on: Map) -> dict[str, Any]:
    """Return the columns and rows of the views; each division stands as it was written, or on today's map."""
    found = {}
    for name in VIEWS:
        view = read_view(engine_of(node), own_view(name))
        found[name] = tabulated(view, [row async for row in rows_of(node, view)], on)
    return found


def tabulated(view: View, rows: Sequence[Row], on: Map) -> tuple[Any, Sequence[Row]]:
    """Return the columns and rows of a view, with the column `place` where it has divisions."""
    code = PLACED.get(view.name)
    if code is None:
        return view.columns, rows
    columns = (*view.columns, replace(view.columns[0], name="place"))
    listed = f"{code}_list"
    return columns, [{**row, "place": place_of(row[code], row[listed], row["last_updated"], on)} for row in rows]


def place_of(code: str | None, version: str | None, day: str | None, on: Map) -> str | None:
    """Return a division as reports name it: `code|list` as it was written, or its code today; "uncertain" if split."""
    if not code:
        return None
    unit = unit_of(code, version, day or "")
    if on == "reported":
        return f"{unit.code}|{unit.version}"
    found: Restated = restated(unit)
    if found.certainty == "exact":
        return found.commune or found.province
    return found.certainty if len(code) > 2 else None


async def reports_for(
    node: Node, province: str, period: str, indicators: Sequence[Indicator] = INDICATORS, audience: str = "ministry",
    on: Map = "today",
) -> list[Json]:  # fmt: skip
    """Return the MeasureReports of a period, protected for their audience."""
    first, last = days_of(period)
    tables = await tables_of(node, on)
    counts = await asyncio.to_thread(COUNTED.load(), indicators, tables, first, last)
    date = instant(int(node.clock() * 1000))
    return [
        report_of(
            Heading(each.id, first, last, province, audience, on), protected(counts[each.id], RULES[audience]), date
        )
        for each in indicators
    ]


async def keep(node: Node, reports: Sequence[Json]) -> int:
    """Store MeasureReports, or other resources, that are not what is stored already; return how many those were."""
    changed = [report for report in reports if not await _is_kept(node, report)]
    for start in range(0, len(changed), AT_ONCE):
        part = changed[start : start + AT_ONCE]
        await node.repository.write([
            Write("PUT", body["resourceType"], body["id"], sent=Sent(body, orjson.dumps(body))) for body in part
        ])  # fmt: skip
    return len(changed)


async def _is_kept(node: Node, report: Json) -> bool:
    try:
        stored = await node.repository.read(report["resourceType"], report["id"])
    except NotFound:
        return False
    body = orjson.loads(stored.body or b"{}")
    return all(body.get(key) == report[key] for key in report if key != "date")


async def rows_of(node: Node, view: View) -> AsyncIterator[Row]:
    """Yield the rows of a view, without resources that a modifierExtension may turn into their contrary."""
    runner = Runner(engine_of(node), view)
    async for body in Stored(node).of(view.resource):
        if not is_modified(body):
            for row in runner.rows(body):
                yield row
