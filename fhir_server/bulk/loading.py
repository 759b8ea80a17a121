"""Files of resources stored through the repository, many at a time, the rejected ones reported.

A resource with an id is stored under it (update as create); one without gets an id made from its place and its text, so
that an interrupted import can be repeated. Transactions and batches are carried out; other Bundles that only carry
resources are taken apart. What refers conditionally to something that is not there yet is tried again at the end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from uuid import NAMESPACE_URL, uuid5

import orjson

from fhir_server.bulk.deferred import Deferred
from fhir_server.bulk.journal import Journal
from fhir_server.bulk.known import KnownReferences
from fhir_server.bulk.source import Item, Source
from fhir_server.errors import FhirError, Invalid, Issue, PreconditionFailed, operation_outcome
from fhir_server.formats import is_xml
from fhir_server.repository.sent import Sent, entries_of, read_bundle, read_sent
from fhir_server.repository.write import Write
from fhir_server.resource.parsing import repeated_members
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.router import IS_ID

AT_ONCE = 1000
"""How many items are written together: more makes fewer commits and a longer step back after an interruption."""

BYTES_AT_ONCE = 8_000_000

CARRIERS = frozenset({"collection", "searchset"})
ACTING = frozenset({"transaction", "batch"})
FILE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-file"
LINE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-line"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """How many resources were stored, were there already as they are, and were rejected; and the bytes read."""

    stored: int = 0
    unchanged: int = 0
    rejected: int = 0
    read: int = 0
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why something at a place was not stored."""

    item: Item
    issues: tuple[Issue, ...]

    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome of the report: it names the file and the line."""
        body = operation_outcome(self.issues)
        for issue in body["issue"]:
            issue["extension"] = [
                {"url": FILE, "valueString": self.item.place},
                {"url": LINE, "valueInteger": self.item.number},
            ]
        return body


class Loading:
    """An import into a node; `report` takes a line for each rejection."""

    def __init__(self, node: Node, journal: Journal, report: BinaryIO, deferred: Deferred) -> None:
        self._node = node
        self._journal = journal
        self._report = report
        self._deferred = deferred
        self._references = KnownReferences(node.repository, node.bundle_limits)
        self._last_chance = False
        self.tally = Tally()
        # One after the other: transactions of one file tend to create the same things conditionally.
        self._acting = asyncio.Lock()

    async def load(self, sources: Sequence[Source], progress: Callable[[Tally], None]) -> Tally:
        """Store what the files hold; those that the journal says are done are skipped."""
        for source in sorted(sources, key=lambda each: each.rank):
            name, identity = str(source.path.resolve()), source.identity
            known = self._journal.entry(name)
            same = known.get("identity") == identity
            if same and known.get("finished"):
                self.tally.skipped.append(str(source.path))
                self.tally.read += source.size
                continue
            before = self.tally.read
            done = int(known.get("done", 0)) if same else 0
            async for last in self._file(source, done):
                self._journal.keep(name, identity=identity, done=last.number)
                self.tally.read = before + last.read
                progress(self.tally)
            self._journal.keep(name, identity=identity, finished=True)
            self.tally.read = before + source.size
            progress(self.tally)
        self._last_chance = True
        for lot in lots(self._deferred.items()):
            await self._lot(lot)
            progress(self.tally)
        self._deferred.clear()
        return self.tally

    async def _file(self, source: Source, after: int) -> AsyncIterator[Item]:
        """Store the items of a file; yield the last of each lot that is done."""
        for lot in lots(source.items(after)):
            await self._lot(lot)
            self._deferred.flush()
            yield lot[-1]

    async def _lot(self, lot: Iterable[Item]) -> None:
        await asyncio.gather(*(self._item(item) for item in lot))
        self._report.flush()

    async def _item(self, item: Item) -> None:
        try:
            sent = self._read(item)
            kind = sent.body.get("type") if sent.type == "Bundle" else None
            if kind in ACTING:
                async with self._acting:
                    await self._act(item, sent)
            elif kind in CARRIERS:
                await self._carry(item)
            else:
                await self._store(item, sent)
        except PreconditionFailed as failure:
            if self._last_chance:
                self._reject(item, failure.issues)
            else:
                self._deferred.keep(item)
        except FhirError as failure:
            self._reject(item, failure.issues)
        except Exception:
            log.exception("%s could not be imported", item.place)
            self._reject(item, (Issue("fatal", "exception", "The server failed; the fault is in its log."),))

    def _read(self, item: Item) -> Sent:
        text = item.text.strip()
        sent = read_sent(text, self._node.definitions, self._node.bundle_limits)
        if sent.raw is not None and (repeated := repeated_members(sent.raw, sent.body)):
            raise Invalid(*repeated)
        sent.members_counted = True
        return sent

    async def _carry(self, item: Item) -> None:
        """Store what a Bundle carries; one that is rejected does not keep the others away."""
        body, exact = read_bundle(item.text, self._node.definitions, self._node.bundle_limits)
        for _, sent in entries_of(body, exact, item.text):
            if sent is not None:
                try:
                    await self._store(item, sent)
                except FhirError as failure:
                    self._reject(item, failure.issues)

    async def _store(self, item: Item, sent: Sent) -> None:
        own_id = sent.body.get("id")
        if own_id is None:
            own_id = str(uuid5(NAMESPACE_URL, f"{Path(item.place).name} {sent.json().decode()}"))
        elif not isinstance(own_id, str) or IS_ID(own_id) is None:
            raise Invalid(Issue("error", "value", f"The id {str(own_id)[:80]!r} is none.", (f"{sent.type}.id",)))
        sent = await self._references.resolved(sent)
        (saved,) = await self._node.repository.write([Write("PUT", sent.type, own_id, sent=sent)])
        if saved.effect == "unchanged":
            self.tally.unchanged += 1
        else:
            self.tally.stored += 1

    async def _act(self, item: Item, sent: Sent) -> None:
        """Carry out a transaction or a batch, as if it had come to the base URL."""
        kind = b"application/fhir+xml" if is_xml(item.text) else b"application/fhir+json"
        exchange = Exchange("POST", (), headers={b"content-type": kind}, body=item.text, request_id=item.place)
        reply = await self._node.dispatch(exchange)
        answer = orjson.loads(reply.body)
        if reply.status == 412:
            raise PreconditionFailed(*issues_in(answer))
        if reply.status != 200:
            self._reject(item, tuple(issues_in(answer)))
            return
        for index, entry in enumerate(answer.get("entry", ())):
            response = entry.get("response", {})
            if str(response.get("status", "")).startswith("2"):
                self.tally.stored += 1
            else:
                issues = tuple(issues_in(response.get("outcome", {}), f"Bundle.entry[{index}]"))
                self._reject(item, issues)

    def _reject(self, item: Item, issues: tuple[Issue, ...]) -> None:
        self.tally.rejected += 1
        self._report.write(orjson.dumps(Rejection(item, issues).outcome(), option=orjson.OPT_APPEND_NEWLINE))


def lots(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items in lots that are written together."""
    lot: list[Item] = []
    size = 0
    for item in items:
        lot.append(item)
        size += len(item.text)
        if len(lot) >= AT_ONCE or size >= BYTES_AT_ONCE:
            yield lot
            lot, size = [], 0
    if lot:
        yield lot


def issues_in(outcome: dict[str, Any], place: str | None = None) -> Iterable[Issue]:
    """The issues of an OperationOutcome, at a place where one is given."""
    for issue in outcome.get("issue", ()):
        text = issue.get("details", {}).get("text") or issue.get("diagnostics") or "It was refused."
        where = tuple(issue.get("expression", ())) or ((place,) if place else ())
        yield Issue(issue.get("severity", "error"), issue.get("code", "processing"), text, where)
