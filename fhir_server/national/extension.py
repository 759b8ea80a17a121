"""National reports as an extension of the server: the board below /national, two operations, and the hourly work."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import cast

from starlette.responses import Response

from fhir_server.access.caller import Caller
from fhir_server.access.scope import EVERYTHING
from fhir_server.errors import FhirError, Forbidden, Invalid, Issue
from fhir_server.extension import Extension, Row, Surroundings, Visit
from fhir_server.national.board import Board
from fhir_server.national.disclosure import RULES
from fhir_server.national.division import concept_map
from fhir_server.national.indicator import INDICATORS
from fhir_server.national.measure_report import Json, measure_of
from fhir_server.national.province import PREFIX, SHARED, Province, month_at, month_before
from fhir_server.national.reconciliation import reconcile
from fhir_server.national.reporting import Map, keep, reports_for
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation

LAKE = "lake"
TURN = "national: whose turn"
DEFINITION = "urn:nhipcau:OperationDefinition:"
ROLES = frozenset({"province", "ministry"})
WHOEVER = Caller("guest", "a name that was told", EVERYTHING)
"""Who asks for a shared file: its name is the secret."""

log = logging.getLogger(__name__)


def national(surroundings: Surroundings) -> Extension:
    """Return the extension."""
    settings = surroundings.settings
    board = Board()
    province = Province(settings, surroundings.data, surroundings.base)
    lake = surroundings.data / LAKE

    async def work(node: Node) -> None:
        while True:
            await asyncio.sleep(settings.report_seconds)
            if await has_turn(node, settings.report_seconds):
                await worked(node, province, lake)

    async def known(_header: str | None) -> Caller:
        return WHOEVER

    async def file(visit: Visit) -> Response:
        return await province.file(visit.request)

    operations = (
        Operation("national-report", f"{DEFINITION}national-report", ("system",), report, INPUTS, scope="cu",
                  by_post=True),
        Operation("national-reconcile", f"{DEFINITION}national-reconcile", ("system",), lambda *call: held(lake, *call),
                  (Input("period", "string", required=True),), scope="cu", by_post=True),
    )  # fmt: skip
    shared = Row("GET", f"/{SHARED}/{{secret}}/{{name}}", file, (), known)
    return Extension(
        "national", PREFIX, rows=(*board.rows(), shared), operations=operations, work=(work,), opened=board.opened
    )


async def has_turn(node: Node, seconds: float) -> bool:
    """Whether it is this process's turn: one of them has it, so often."""
    former = await node.notes.note(TURN)
    if former is not None and float(former) > node.clock() - seconds * 0.9:
        return False
    return await node.notes.keep(TURN, str(node.clock()), former)


async def worked(node: Node, province: Province, lake: Path) -> None:
    """Send what a province has, and hold what the ministry has to rows; what fails is tried again next time."""
    try:
        if node.settings.province and node.settings.ministry:
            await province.send(node)
        if await asyncio.to_thread(lake.exists):
            now = month_at(node.clock())
            for month in (month_before(now), now):
                await reconcile(node, lake, month)
    except FhirError as failure:
        log.warning("national reports: %s; it is tried again", failure)


async def report(node: Node, exchange: Exchange, arguments: Arguments) -> Json:
    """Count a period, keep the MeasureReports, and return them as a collection."""
    check_role(exchange.caller)
    province = node.settings.province
    if not province:
        raise Invalid("This node is of no province: set NHIPCAU_PROVINCE.")
    audience, on = arguments.text("audience") or "ministry", arguments.text("map") or "today"
    if audience not in RULES or on not in ("today", "reported"):
        text = f"audience is one of {', '.join(RULES)}; map is today or reported."
        raise Invalid(Issue("error", "value", text))
    period = arguments.text("period") or ""
    reports = await reports_for(node, province, period, INDICATORS, audience, cast("Map", on))
    await keep(node, [*(measure_of(each) for each in INDICATORS), concept_map(), *reports])
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in reports]}


async def held(lake: Path, node: Node, exchange: Exchange, arguments: Arguments) -> Json:
    """Hold the reports of a period to the rows that provinces share; return how many do not agree."""
    check_role(exchange.caller)
    differing = await reconcile(node, lake, arguments.text("period") or "")
    return {"resourceType": "Parameters", "parameter": [{"name": "differing", "valueInteger": differing}]}


def check_role(caller: Caller) -> None:
    """Raise Forbidden for who is neither of a province nor of the ministry."""
    if caller.kind != "local" and not caller.roles & ROLES:
        raise Forbidden("This is for people and programs of a province or the ministry.")


INPUTS = (Input("period", "string", required=True), Input("audience", "code"), Input("map", "code"))
