"""The ministry counts the rows that provinces share, and holds their reports to it: a difference is a Task.

The Task names province, month, indicator and both numbers; it is completed when they agree again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import orjson

from fhir_server.errors import NotFound
from fhir_server.national.catalogue import own_view
from fhir_server.national.definition import View, read_view
from fhir_server.national.division import provinces
from fhir_server.national.indicator import INDICATORS, Indicator
from fhir_server.national.measure_report import Heading, Json, counted_in
from fhir_server.national.pseudonym import ALLOWED
from fhir_server.national.reporting import COUNTED, days_of, tabulated
from fhir_server.national.run import engine_of
from fhir_server.national.stratum import Count
from fhir_server.part import Part
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.resource.instant import instant
from fhir_server.rest.node import Node

CODE = "urn:nhipcau:CodeSystem:national-task"
MISMATCH = "mismatch"
OPEN = "requested"
NODE = "province-"
"""What the name of a province's node begins with: its code follows."""


class Rows(Protocol):
    """The rows of nodes."""

    def of(self, view: str, node: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of a view that a node shares."""
        ...

    def nodes(self, view: str) -> list[str]:
        """Which nodes share rows of a view."""
        ...


SHARED_ROWS: Part[Callable[[Path], Rows]] = Part("fhir_server.national.shared_rows:SharedRows")


async def reconcile(node: Node, lake: Path, period: str) -> int:
    """Hold the reports of a month to rows, for each province that shares them; return how many do not agree."""
    rows = SHARED_ROWS.load()(lake)
    found = 0
    for sender in await asyncio.to_thread(rows.nodes, "encounters"):
        province = sender.removeprefix(NODE)
        if sender.startswith(NODE) and province in provinces():
            found += await _held(node, rows, (sender, province), period)
    return found


async def _held(node: Node, rows: Rows, who: tuple[str, str], period: str) -> int:
    sender, province = who
    first, last = days_of(period)
    views = [read_view(engine_of(node), own_view(name)) for name in ALLOWED]
    counts = await asyncio.to_thread(_counted, rows, views, sender, (first, last))
    differing = 0
    for indicator in INDICATORS:
        reported = await _reported(node, Heading(indicator.id, first, last, province))
        own = counts[indicator.id].total
        agrees = _numbers(reported) == _numbers(own)
        await _tell(node, indicator, (province, period), (_numbers(reported), _numbers(own)), agrees=agrees)
        differing += not agrees
    return differing


def _counted(rows: Rows, views: Sequence[View], sender: str, days: tuple[str, str]) -> Mapping[str, Any]:
    tables = {}
    for view in views:
        names = [column.name for column in view.columns]
        tables[view.name] = tabulated(view, rows.of(view.name, sender, names), "today")
    return COUNTED.load()(INDICATORS, tables, *days)


async def _reported(node: Node, heading: Heading) -> Count | None:
    try:
        stored = await node.repository.read("MeasureReport", heading.id)
    except NotFound:
        return None
    return counted_in(orjson.loads(stored.body or b"{}")).total


def _numbers(count: Count | None) -> str:
    if count is None:
        return "nothing"
    return str(count.numerator) if not count.denominator else f"{count.numerator}/{count.denominator}"


async def _tell(
    node: Node, indicator: Indicator, where: tuple[str, str], numbers: tuple[str, str], *, agrees: bool
) -> None:
    province, period = where
    name = f"rc-{sha256(f'{indicator.id}|{province}|{period}'.encode()).hexdigest()[:40]}"
    before = await _task(node, name)
    if agrees and (before is None or before.get("status") != OPEN):
        return
    reported, counted = numbers
    text = (
        f"{provinces()[province]} ({province}), {period}, {indicator.id}:"
        f" {reported} reported, {counted} counted in the rows that the province shares."
    )
    now = instant(int(node.clock() * 1000))
    if before is not None and (before.get("status"), before.get("description")) == (OPEN, text) and not agrees:
        return
    body = _body(name, indicator, where, numbers) | {
        "status": "completed" if agrees else OPEN, "description": text, "lastModified": now,
        "authoredOn": (before or {}).get("authoredOn", now),
    }  # fmt: skip
    await node.repository.write([Write("PUT", "Task", name, sent=Sent(body, orjson.dumps(body)))])


def _body(name: str, indicator: Indicator, where: tuple[str, str], numbers: tuple[str, str]) -> Json:
    values = dict(zip(("province", "month", "indicator", "reported", "counted"),
                      (*where, indicator.id, *numbers), strict=True))  # fmt: skip
    return {
        "resourceType": "Task", "id": name, "intent": "order",
        "code": {"coding": [{"system": CODE, "code": MISMATCH}]},
        "input": [
            {"type": {"coding": [{"system": CODE, "code": key}]}, "valueString": value} for key, value in values.items()
        ],
    }  # fmt: skip


async def _task(node: Node, name: str) -> Json | None:
    try:
        stored = await node.repository.read("Task", name)
    except NotFound:
        return None
    found: Json = orjson.loads(stored.body or b"{}")
    return found
