"""The operation $lastn: the last observations of each kind (FHIR R4, OperationDefinition/Observation-lastn)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from fhir_server.errors import Invalid, Issue, TooCostly
from fhir_server.resource.parsing import parse
from fhir_server.rest.argument import PRESENTATION, Arguments, Input
from fhir_server.rest.bundle import bundle, link, match_entry
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.store.protocol import Version

PAGE = 500
MOST_LOOKED_AT = 50_000
OWNERS = frozenset({"patient", "subject"})
NEWEST_FIRST = ("_sort", "-date")


async def lastn(node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
    """Return a Bundle of the newest observations of each code, the newest first; `max` says how many of each."""
    pairs = [pair for pair in arguments.pairs(without=("max",)) if pair[0] not in PRESENTATION]
    if not any(name.partition(":")[0].partition(".")[0] in OWNERS for name, _ in pairs):
        raise Invalid(Issue("error", "required", "$lastn needs the parameter patient, or subject."))
    kinds = Kinds(arguments.one("max", int) or 1)
    found = [version async for version in _newest_first(node, pairs) if kinds.takes(version)]
    entries = [match_entry(exchange.base, version, version.body or b"", "match") for version in found]
    links = [("self", link(exchange.base, "Observation/$lastn", arguments.pairs()))]
    return Reply(200, bundle("searchset", entries, links=links, total=len(found)))


async def _newest_first(node: Node, pairs: list[tuple[str, str]]) -> AsyncIterator[Version]:
    plan = node.repository.query(("Observation",), [*pairs, NEWEST_FIRST]).plan
    cursor, looked_at = None, 0
    while True:
        page = await node.repository.page(plan, PAGE, cursor)
        for version in page.matches:
            yield version
        looked_at += len(page.matches)
        cursor = page.following
        if cursor is None:
            return
        if looked_at >= MOST_LOOKED_AT:
            text = f"More than {MOST_LOOKED_AT:,} observations match. Name a category, a code or a date."
            raise TooCostly(text)


class Kinds:
    """Counts observations by what they are of: two are of one kind when they share a coding, or else their text."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kinds: dict[tuple[str, str], int] = {}
        self._counts: Counter[int] = Counter()

    def takes(self, version: Version) -> bool:
        """Whether an observation is among the first of its kind."""
        names = list(names_of(parse(version.body or b"").get("code")))
        kind = next((self._kinds[name] for name in names if name in self._kinds), len(self._kinds))
        for name in names:
            self._kinds.setdefault(name, kind)
        self._counts[kind] += 1
        return self._counts[kind] <= self._most


def names_of(concept: Any) -> Iterator[tuple[str, str]]:
    """Yield what a CodeableConcept is known by."""
    body: dict[str, Any] = concept if isinstance(concept, dict) else {}
    codings: Iterable[Any] = body.get("coding") or ()
    named = [(str(c.get("system", "")), str(c["code"])) for c in codings if isinstance(c, dict) and "code" in c]
    yield from named or [("", f"text: {body.get('text')}")]


OPERATION = Operation(
    "lastn",
    "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
    ("type",),
    lastn,
    types=("Observation",),
    inputs=(Input("max", "positiveInt"),),
    scope="rs",
    searches=True,
)
