"""Two nodes hold one consultation: requests travel to the node of the hub, and what becomes of them comes back.

What could not be sent is sent later, from what is stored: a node that was down catches up, and nothing is doubled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from fhir_server.access.caller import LOCAL
from fhir_server.errors import Conflict, FhirError, Forbidden, Invalid, NotFound, Unavailable, Unprocessable
from fhir_server.part import Part
from fhir_server.repository.repository import Repository
from fhir_server.repository.write import Write
from fhir_server.resource.parsing import parse
from fhir_server.rest.node import Node
from fhir_server.settings import Settings
from telesession import vocabulary as words
from telesession.case import Case, Given, Moment
from telesession.consultation import Event, State
from telesession.gathering import NO_LIMITS, Unwatched, gathered, of_server, sent_of, stored
from telesession.notice import NOTICES, announce
from telesession.peer import MASTER, MIRROR, bare, bundle_of, is_sent, masters_in, references_in, returned, searches
from telesession.vocabulary import Json, objects, path_of

CLIENT: Part[Any] = Part("telesession.peer_client:PeerClient")
MOST_SENT = 200
MOST_OPEN = 1000
STATUSES = "requested,received,accepted,on-hold,in-progress"

REFUSALS: Mapping[int, type[FhirError]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    422: Unprocessable,
}
KEPT_HERE = (words.SENT, words.ANNOUNCED, words.RING)
"""Extensions that each node has for itself."""
EVENT_OF: Mapping[State, Event] = {
    "accepted": "accept",
    "rejected": "reject",
    "asked": "ask",
    "held": "ask",
    "booked": "book",
    "finished": "finish",
    "cancelled": "cancel",
}
"""The event that people here are told of when a consultation has come to a state at another node."""

log = logging.getLogger(__name__)


class Relay:
    """The other nodes of one node, by the base URLs that the settings allow."""

    def __init__(self, settings: Settings, moment: Callable[[Node], Moment]) -> None:
        self._settings = settings
        self._moment = moment
        self._seconds = settings.peer_seconds
        self._bases = {each.rstrip("/") for each in settings.peers}
        self._clients: dict[str, Any] = {}

    async def work(self, node: Node) -> None:
        """Send and fetch again and again; do nothing where no other node is allowed."""
        while True:
            if self._bases:
                await self.exchange(node)
            await asyncio.sleep(self._seconds)

    async def exchange(self, node: Node) -> None:
        """Send what is to be sent, and fetch what has changed."""
        around = Unwatched(of_server(node))
        by_base: dict[str, list[str]] = {}
        for task in await around.found("Task", [("status", STATUSES)], MOST_OPEN):
            request, base = path_of(task.get("focus")), await self.base_of(node, path_of(task.get("owner")))
            if not base or not request.startswith("ServiceRequest/") or list(objects(task, "partOf")):
                continue
            try:
                if not is_sent(task):
                    await self._send(node, base, request.partition("/")[2])
                by_base.setdefault(base, []).append(request.partition("/")[2])
            except FhirError as failure:
                log.warning("a consultation waits for another node: %s", failure.issues[0].text)
        for base, requests in by_base.items():
            try:
                await self.fetch(node, base, requests)
            except FhirError as failure:
                log.warning("another node tells nothing: %s", failure.issues[0].text)

    async def base_of(self, node: Node, organization: str) -> str:
        """The node of a facility, as its Endpoint says; empty where that is this node, or none that is allowed."""
        kind, _, name = organization.partition("/")
        if not self._bases or kind != "Organization":
            return ""
        around = Unwatched(of_server(node))
        body = await around.read(kind, name) or {}
        for path in map(path_of, objects(body, "endpoint")):
            endpoint = await around.read("Endpoint", path.partition("/")[2]) or {}
            address = str(endpoint.get("address", "")).rstrip("/")
            if endpoint.get("status") == "active" and address in self._bases:
                return address
        return ""

    def client(self, base: str) -> Any:
        """The client of a node."""
        if base not in self._clients:
            self._clients[base] = CLIENT.load()(base, self._settings.peer_client, self._settings.peer_key)
        return self._clients[base]

    async def _send(self, node: Node, base: str, request: str) -> None:
        """Let the other node have a request with all that it refers to, and note that it has."""
        case = await gathered(node, request)
        task = case.task
        if task is None:
            return
        client = self.client(base)
        status, _ = await client.ask("GET", f"Task/{task['id']}")
        if status != 200:  # else it arrived before, and only the answer was lost
            resources = await self._closure(node, [case.service_request], case.patient)
            status, answer = await client.ask("POST", "", bundle_of([*resources, task]))
        if status != 200:
            raise Invalid(f"The node {base} refuses {case.path}: {_why(answer)}")
        words.extended(task, [{"url": words.SENT, "valueUrl": base}], instead_of=words.SENT)
        await stored(node, case)

    @staticmethod
    async def _closure(node: Node, first: Sequence[Json], patient: str = "") -> Sequence[Json]:
        """Resources and what they refer to, directly and from there; the patient's Consents too. Targets first."""
        around = Unwatched(of_server(node))
        found: dict[str, Json] = {}
        waiting = list(first)
        if patient:
            asked = [("patient", patient), ("status", "active")]
            waiting += await around.found("Consent", asked, MOST_SENT)
        while waiting and len(found) < MOST_SENT:
            body = waiting.pop()
            path = f"{body['resourceType']}/{body['id']}"
            if path in found:
                continue
            found[path] = body
            for target in references_in(body):
                kind, _, name = target.partition("/")
                if target not in found and kind != "Organization" and (each := await around.read(kind, name)):
                    waiting.append(each)
        return list(reversed(found.values()))

    async def fetch(self, node: Node, base: str, requests: Sequence[str]) -> None:
        """Store what a node tells of requests, where it is other than what is here."""
        for search in searches(requests):
            _, bundle = await self.client(base).ask("GET", search)
            masters = [write for body in masters_in(bundle, requests) if (write := await difference(node, body))]
            if masters:
                await mirror(node, ()).write(masters)
            for request in requests:
                await self._follow(node, request, returned(bundle, request))

    async def _follow(self, node: Node, request: str, bodies: Sequence[Json]) -> None:
        """Let this node say of one consultation what the other says, and tell people here."""
        writes = [write for body in bodies if (write := await difference(node, body)) is not None]
        if not writes:
            return
        case = await gathered(node, request)
        before = case.consultation
        for write in writes:
            assert write.sent is not None
            case.resources[write.type, str(write.id)] = write.sent.body
        after = case.consultation
        if before is not None and after is not None and after.state != before.state and after.state in EVENT_OF:
            told = announce(case, NOTICES[EVENT_OF[after.state]], self._moment(node))
            if told is not None:
                writes.append(Write("PUT", "Communication", told["id"], sent=sent_of(told), unless_exists=True))
        await mirror(node, case.owners()).write(writes)

    # ---- events of this side

    async def forwarded(self, node: Node, case: Case, event: Event, given: Given) -> bool:
        """Let the node of the hub decide about an event; False where that is this node.

        Raise what it refused, or Unavailable.
        """
        task = case.task
        base = await self.base_of(node, case.hub) if task is not None and event != "submit" else ""
        if not base or task is None:
            return False
        if not is_sent(task):
            raise Unavailable(f"{case.path} waits to be sent to {base}, which does not answer now.")
        client = self.client(base)
        around = Unwatched(of_server(node))
        brought = [await around.read(*path.split("/", 1)) for path in given.info if "/" in path]
        if brought:
            bundle = bundle_of(await self._closure(node, [each for each in brought if each is not None]))
            status, answer = await client.ask("POST", "", bundle)
            if status != 200:
                raise REFUSALS.get(status, Unavailable)(_why(answer))
        status, answer = await client.ask("POST", f"{case.path}/$tele-{event}", as_parameters(given))
        if status != 200:
            raise REFUSALS.get(status, Unavailable)(_why(answer))
        await self.fetch(node, base, [case.request])
        return True


def as_parameters(given: Given) -> Json | None:
    """What came with an event, as an operation takes it; None for nothing."""
    items: list[Json] = [
        {"name": name, "valueString": value}
        for name, value in (("reason", given.reason), ("question", given.question), ("answer", given.answer))
        if value
    ]
    items += [
        {"name": name, "valueInstant": value} for name, value in (("start", given.start), ("end", given.end)) if value
    ]
    items += [{"name": "info", "valueReference": {"reference": path}} for path in given.info]
    items += [{"name": "message", "valueId": given.message}] if given.message else []
    return {"resourceType": "Parameters", "parameter": items} if items else None


async def difference(node: Node, body: Json) -> Write | None:
    """The write that makes this node say what another says of a resource; None where it does."""
    kind, name = str(body["resourceType"]), str(body["id"])
    wanted = bare(body)
    words.extended(wanted, (), instead_of=KEPT_HERE)
    try:
        version = await of_server(node).read(kind, name)
    except NotFound:
        return Write("PUT", kind, name, sent=sent_of(wanted), unless_exists=True)
    if kind in MASTER:
        return None
    there = parse(version.body or b"", NO_LIMITS)
    own = [each for url in KEPT_HERE for each in words.extensions(there, url)]
    words.extended(wanted, own)
    plain = bare(there)
    words.extended(plain, own, instead_of=KEPT_HERE)
    return None if plain == wanted else Write("PUT", kind, name, sent=sent_of(wanted), match=(version.version,))


def mirror(node: Node, facilities: Sequence[str]) -> Repository:
    """The resources of this node, to be made what another node says."""
    return node.repository.as_(replace(LOCAL, subject=MIRROR, organizations=tuple(facilities)))


def _why(answer: Json) -> str:
    issue = next(objects(answer, "issue"), {})
    details = issue.get("details")
    text = details.get("text") if isinstance(details, dict) else None
    more = issue.get("diagnostics")
    return " ".join(str(each)[:500] for each in (text or orjson.dumps(answer).decode(), more) if each)
