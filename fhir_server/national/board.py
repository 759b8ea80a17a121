"""What a dashboard draws, below /national: counts for an audience, how old and how complete they are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson
from starlette.responses import Response

from fhir_server.access.caller import Caller
from fhir_server.errors import Forbidden
from fhir_server.extension import Row, Visit
from fhir_server.national.cube import Cube, figures, question_of, rule_of
from fhir_server.national.differencing import allow
from fhir_server.national.disclosure import Rule
from fhir_server.national.division import provinces
from fhir_server.national.indicator import INDICATORS
from fhir_server.national.measure_report import Json
from fhir_server.national.stratum import Count
from fhir_server.repository.history import Window
from fhir_server.resource.instant import instant
from fhir_server.rest.node import Node
from fhir_server.store.protocol import Scope, Version

SEE = (("MeasureReport", "s"),)
FACILITY = "facility"
STRICTNESS = ("ministry", "agency", "public")
AT_ONCE = 500


class Board:
    """Answers from the counts in memory, which are brought up to what is stored before each answer."""

    def __init__(self) -> None:
        self._cube = Cube()
        self._node: Node | None = None

    @asynccontextmanager
    async def opened(self, node: Node) -> AsyncIterator[None]:
        """Read through the node's own eyes: what is told of it is decided here."""
        self._node = node
        yield
        self._node = None

    def rows(self) -> tuple[Row, ...]:
        """The routes."""
        return (
            Row("GET", "/indicators", self.indicators, SEE),
            Row("GET", "/figures", self.figures, SEE),
            Row("GET", "/state", self.state, SEE),
        )

    async def indicators(self, visit: Visit) -> Response:
        """The indicators and the provinces by their names."""
        listed = [
            {"id": each.id, "vi": each.vi, "en": each.en, "numerator": each.numerator, "denominator": each.denominator,
             "minutes": each.minutes, "dimensions": each.dimensions, "basis": each.basis}
            for each in INDICATORS
        ]  # fmt: skip
        return _json({"indicators": listed, "provinces": provinces()})

    async def figures(self, visit: Visit) -> Response:
        """The counts that a question asks for."""
        question = question_of(visit.request.query_params)
        rule = self._rule(visit, question.provinces)
        if rule.threshold:
            if FACILITY in question.by:
                raise Forbidden("Counts of single facilities are for the ministry, and a province's own.")
            await allow(visit.node.notes, _subject(visit.caller), question, visit.node.clock())
        cube = await self._current()
        visit.audited("Q", "search-type")
        return _json({
            "indicator": question.indicator.id, "audience": rule.code, "rule": rule.text,
            "rows": figures(cube, question, rule), **self._told_when(cube, question.last),
        })  # fmt: skip

    async def state(self, visit: Visit) -> Response:
        """How old and complete what is known of a month is, which sites are active or silent, and who waits."""
        rule = self._rule(visit, frozenset())
        month = visit.request.query_params.get("month") or instant(int(visit.node.clock() * 1000))[:7]
        question_of({"indicator": "T1", "from": month})
        cube = await self._current()
        visit.audited("Q", "search-type")
        sites = [entry.counted for entry in cube.of("T1") if entry.month == month]
        total = _sum([each.total for each in sites])
        silent = sorted(
            name
            for each in sites
            for name, count in each.strata.get(FACILITY, {}).items()
            if count is not None and count.numerator == 0
        )
        waiting = {entry.province: entry for entry in cube.of("W1") if entry.month <= month}
        told: Json = {
            "month": month, "audience": rule.code, "rule": rule.text, **self._told_when(cube, month),
            "sites": {"active": _shown(total.numerator, rule),
                      "silent": _shown((total.denominator or 0) - total.numerator, rule)},
            "waiting": _shown(_sum([entry.counted.total for entry in waiting.values()]).numerator, rule),
        }  # fmt: skip
        return _json(told if rule.threshold else {**told, "silent_sites": silent})

    def _told_when(self, cube: Cube, month: str) -> Json:
        """Which provinces told of a month, and when the last of them did."""
        told = {entry.province: entry.date for entry in cube.of("T2") if entry.month == month}
        missing = {code: name for code, name in provinces().items() if code not in told}
        return {
            "updated": max(told.values(), default=None),
            "complete": f"{len(provinces()) - len(missing)}/{len(provinces())}",
            "missing": [{"province": code, "name": name} for code, name in missing.items()],
        }

    def _rule(self, visit: Visit, asked: frozenset[str]) -> Rule:
        """What a caller sees: at least as much is masked as their role asks for; they may ask for more."""
        own = rule_of(audience_of(visit, asked))
        wanted = visit.request.query_params.get("audience")
        if wanted is None:
            return own
        return max((own, rule_of(wanted)), key=lambda rule: STRICTNESS.index(rule.code))

    async def _current(self) -> Cube:
        node, cube = self._node, self._cube
        if node is None:
            raise Forbidden("The server is stopping.")
        newest, before = cube.seen, None
        found: list[Version] = []
        while True:
            window = Window(after=cube.seen, before=before)
            versions = await node.repository.versions(Scope(("MeasureReport",)), window, AT_ONCE)
            found += versions
            if len(versions) < AT_ONCE:
                break
            before = versions[-1].place
        for version in reversed(found):
            cube.take(version.id, None if version.body is None else orjson.loads(version.body))
            newest = max(newest, version.place)
        cube.seen = newest
        return cube


def audience_of(visit: Visit, asked: frozenset[str]) -> str:
    """Return whom a caller is: the ministry, a province at its own counts, another authority, or the public."""
    caller = visit.caller
    if caller.kind == "local" or "ministry" in caller.roles:
        return "ministry"
    if "province" in caller.roles:
        own = visit.node.settings.province
        return "ministry" if own and asked <= {own} and visit.node.settings.ministry else "agency"
    return "public"


def _subject(caller: Caller) -> str:
    return re.sub(r"[^A-Za-z0-9._@\-]", "_", f"{caller.kind} {caller.subject}")[:120]


def _sum(counts: Sequence[Count | None]) -> Count:
    known = [count for count in counts if count is not None]
    return Count(sum(each.numerator for each in known), sum(each.denominator or 0 for each in known))


def _shown(value: int, rule: Rule) -> int | None:
    return None if 0 < value < rule.threshold else rule.rounded(value)


def _json(body: Json) -> Response:
    return Response(orjson.dumps(body), media_type="application/json", headers={"cache-control": "no-store"})
