"""The operations $bulk-submit and $bulk-submit-status, on the side that receives (Bulk Data Access 4.0, ballot)."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from fhir_server.bulk.bring import FORMATS, FULL, Fetching
from fhir_server.bulk.export import GUIDE, SECONDS_BETWEEN_LOOKS, SECONDS_TO_ASK_AGAIN
from fhir_server.bulk.receiving import OUTCOME, Receipt
from fhir_server.bulk.submission import (
    COMPLETED,
    IN_PROGRESS,
    STOPPED,
    UNDONE,
    Asked,
    Delivery,
    Submission,
    Submissions,
)
from fhir_server.bulk.undoing import Ledger, Tables, undo
from fhir_server.errors import FhirError, Forbidden, Invalid, Issue, NoStore, NotFound, operation_outcome
from fhir_server.jobs.folder import put
from fhir_server.resource.instant import instant
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation, routes_of

STATUS, REPORT = "$bulk-submit-status", "$bulk-submit-outcome"
STATES = {
    IN_PROGRESS: IN_PROGRESS, COMPLETED: COMPLETED, STOPPED: STOPPED, "complete": COMPLETED, "aborted": STOPPED,
}  # fmt: skip
"""The statuses of a submission, those of the Argonaut draft among them."""

IS_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}").fullmatch
IS_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9\-]{0,63}").fullmatch
IS_VALUE = re.compile(r"[ -~]{0,8000}").fullmatch
KEPT_BACK = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
MOST_CHARACTERS = 200

WHO = (Input("submitter", "Identifier", required=True), Input("submissionId", "string", required=True))
INPUTS = (
    *WHO,
    Input("submissionStatus", "Coding"),
    Input("manifestUrl", "url"),
    Input("fhirBaseUrl", "url"),
    Input("replacesManifestUrl", "url"),
    Input("outputFormat", "string"),
    Input("fileRequestHeader", "parts", many=True),
    Input("metadata", "parts", many=True),
    Input("import", "parts", many=True, supported=False, reason="everything is stored under the ids that it has"),
    Input("oauthMetadataUrl", "url", supported=False, reason="send a token along in fileRequestHeader"),
    Input("fileEncryptionKey", "parts", supported=False, reason="files travel by https"),
)

log = logging.getLogger(__name__)


class Submits:
    """What others submit to a node, kept below a folder; `tables` makes what takes rows of views."""

    def __init__(self, folder: Path, outbound: Callable[[], Fetching], tables: Callable[[], Tables]) -> None:
        self._submissions = Submissions(folder)
        self._outbound = outbound
        self._tables = tables
        self._asked = asyncio.Event()
        operations = (
            Operation(
                "bulk-submit", f"{GUIDE}/bulk-submit", ("system",), self.submit, INPUTS, scope="cu", by_post=True
            ),
            Operation(
                "bulk-submit-status",
                f"{GUIDE}/bulk-submit-status",
                ("system",),
                self.begin_status,
                (*WHO, Input("_outputFormat", "string")),
                scope="cu",
                by_post=True,
            ),
        )
        self.routes: tuple[Route, ...] = (
            *(route for operation in operations for route in routes_of(operation)),
            Route("bulk-submit-manifest", "GET", f"/{STATUS}/{{id}}", self.status, "", native=True),
            Route("bulk-submit-outcome", "GET", f"/{REPORT}/{{id}}/{{version}}", self.report, "", native=True),
        )

    async def submit(self, node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
        """Take a manifest, or a word about a submission: 200, and the work goes on after it."""
        asked = asked_in(arguments)
        sender = sender_of(exchange, asked)
        outbound = self._outbound()
        try:
            if asked.url:
                await asyncio.to_thread(outbound.check, asked.url)
        except FhirError as error:
            raise Invalid(Issue("error", "value", f"{asked.url[:200]} is not fetched: {error}.")) from None
        now = int(node.clock() * 1000)
        try:
            await asyncio.to_thread(self._submissions.accept, asked, exchange.caller, sender, now)
        except OSError:
            raise NoStore(FULL) from None
        self._asked.set()
        text = f"The submission is {asked.status}; ask {exchange.base}/{STATUS} what becomes of it."
        return Reply(200, orjson.dumps(operation_outcome([Issue("information", "informational", text)])))

    async def begin_status(self, node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
        """Say where the status of a submission is told: 202."""
        submission = self._submission(exchange, asked_in(arguments).id_of(exchange.caller))
        url = f"{exchange.base}/{STATUS}/{submission.id}"
        told = Issue("information", "informational", f"Ask {url} how far it is.")
        return Reply(202, orjson.dumps(operation_outcome([told])), headers=[(b"content-location", url.encode())])

    async def status(self, node: Node, exchange: Exchange) -> Reply:
        """Tell what became of the manifests: 202 while one is worked on."""
        submission = self._submission(exchange, exchange.id)
        if not submission.is_at_rest:
            done = len(submission.deliveries) - len(submission.waiting)
            text = f"{done} of {len(submission.deliveries)} manifests done"
            return Reply(202, headers=[(b"x-progress", text.encode()), (b"retry-after", b"%d" % SECONDS_TO_ASK_AGAIN)])
        told = manifest(exchange, submission, node.clock(), needs_token=node.settings.auth == "on")
        return Reply(200, orjson.dumps(told), media_type=b"application/json")

    async def report(self, node: Node, exchange: Exchange) -> Reply:
        """Send what became of a manifest: an OperationOutcome, or what is wrong with file and line."""
        submission = self._submission(exchange, exchange.id)
        found = [each for each in submission.deliveries if str(each.number) == exchange.version]
        path = submission.folder(found[0]) / OUTCOME if found else None
        if path is None or not path.exists():
            raise NotFound("There is no such outcome of this submission.")
        return Reply(200, await asyncio.to_thread(path.read_bytes), media_type=b"application/fhir+ndjson")

    def _submission(self, exchange: Exchange, submission_id: str) -> Submission:
        submission = self._submissions.of(submission_id)
        caller = submission.caller
        if (exchange.caller.kind, exchange.caller.subject) != (caller.kind, caller.subject):
            raise NotFound("There is no such submission.")
        return submission

    async def follow(self, node: Node) -> None:
        """Work on manifests, one after another, until it is cancelled."""
        while True:
            self._asked.clear()
            try:
                for submission in await asyncio.to_thread(self._submissions.open):
                    await self._work(node, submission)
            except Exception:
                log.exception("submissions cannot be worked on; it is tried again")
            try:
                async with asyncio.timeout(SECONDS_BETWEEN_LOOKS):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def _work(self, node: Node, submission: Submission) -> None:
        with submission.job.held() as mine:
            if not mine:
                return
            submission = Submission(submission.job)
            while not submission.is_at_rest:
                for delivery in submission.waiting[:1]:
                    await Receipt(node, submission, delivery, self._outbound(), self._tables()).receive()
                submission = Submission(submission.job)
                for delivery in submission.to_undo:
                    await self._undo(node, submission, delivery)
            await asyncio.to_thread(self._submissions.rest, submission.id)

    async def _undo(self, node: Node, submission: Submission, delivery: Delivery) -> None:
        folder = submission.folder(delivery)
        bound = node.bound(submission.caller)
        left = await undo(bound, self._tables(), Ledger(folder), submission.node, delivery.place)
        await asyncio.to_thread(put, folder / UNDONE, {"left": left})


def asked_in(arguments: Arguments) -> Asked:
    """Return what a call asks for; raise Invalid for what is none."""
    submitter = arguments.resource("submitter") or {}
    value, system = submitter.get("value"), submitter.get("system", "")
    name = arguments.text("submissionId") or ""
    if not isinstance(value, str) or not value or not isinstance(system, str):
        raise Invalid(Issue("error", "required", "submitter is an Identifier with a value.", ("submitter",)))
    if max(len(value), len(system), len(name)) > MOST_CHARACTERS:
        raise Invalid(Issue("error", "too-long", f"submitter and submissionId have {MOST_CHARACTERS} characters."))
    code = str((arguments.resource("submissionStatus") or {}).get("code", IN_PROGRESS))
    if code not in STATES:
        raise Invalid(Issue("error", "code-invalid", f"submissionStatus is one of {', '.join(STATES)}."))
    if (arguments.text("outputFormat") or "ndjson") not in FORMATS:
        raise Invalid(Issue("error", "value", f"outputFormat is one of {', '.join(sorted(FORMATS))}."))
    url, replaces = arguments.text("manifestUrl") or "", arguments.text("replacesManifestUrl") or ""
    if url and "fhirBaseUrl" not in arguments:
        raise Invalid(Issue("error", "required", "A manifestUrl needs the fhirBaseUrl of its sender."))
    if replaces and not url:
        raise Invalid(Issue("error", "required", "replacesManifestUrl needs the manifestUrl that takes its place."))
    headers = tuple(_header(each) for each in arguments.many("fileRequestHeader"))
    return Asked(system, value, name, STATES[code], url, replaces, headers)


def _header(parts: Mapping[str, Any]) -> tuple[str, str]:
    name, value = parts.get("headerName"), parts.get("headerValue")
    if not isinstance(name, str) or IS_HEADER(name) is None or name.lower() in KEPT_BACK:
        raise Invalid(Issue("error", "value", "A fileRequestHeader has a headerName that may be sent."))
    if not isinstance(value, str) or IS_VALUE(value) is None:
        raise Invalid(Issue("error", "value", f"The fileRequestHeader {name} has no headerValue that may be sent."))
    return name.lower(), value


def sender_of(exchange: Exchange, asked: Asked) -> str:
    """Return the name under which rows are kept: the client's id, or, where nobody is asked, the submitter's value.

    Raise Forbidden for a client that gives itself out for another, or a person.
    """
    caller = exchange.caller
    if caller.kind not in ("client", "local"):
        raise Forbidden("Submitting is for programs with a key of their own.")
    if caller.kind == "client" and asked.submitter != caller.subject:
        raise Forbidden(f"The submitter's value is the id of the client, {caller.subject}.")
    if IS_WORD(asked.submitter) is None:
        text = "The submitter's value has up to 64 letters, digits, dots, hyphens and _."
        raise Invalid(Issue("error", "value", text, ("submitter",)))
    return asked.submitter


def manifest(exchange: Exchange, submission: Submission, now: float, *, needs_token: bool) -> dict[str, Any]:
    """Return what became of the manifests, with the names of the versions 3 and 4 of the guide."""
    outcomes = [_told(exchange, submission, each) for each in submission.deliveries]
    refused = [
        told for told, each in zip(outcomes, submission.deliveries, strict=True) if not submission.is_stored(each)
    ]
    return {
        "transactionTime": instant(int(now * 1000)),
        "submissionId": submission.name,
        "submissionStatus": submission.status,
        "requiresAccessToken": needs_token,
        "outputFormat": "application/fhir+ndjson",
        "output": [],
        "outcome": outcomes,
        "error": refused,
    }


def _told(exchange: Exchange, submission: Submission, delivery: Delivery) -> dict[str, Any]:
    done = submission.done(delivery) or {}
    stored = submission.is_stored(delivery)
    return {
        "type": "OperationOutcome",
        "manifestUrl": delivery.url,
        "url": f"{exchange.base}/{REPORT}/{submission.id}/{delivery.number}",
        "countSeverity": [{"severity": "information" if stored else "error", "count": 1}],
        "extension": {
            "status": done.get("status", 0),
            "counts": {key: value for key, value in done.items() if key != "status"},
            "withdrawn": stored and submission.is_withdrawn(delivery),
        },
    }
