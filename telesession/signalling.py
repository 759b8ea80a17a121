"""WHIP to publish (RFC 9725) and WHEP to view (draft-ietf-wish-whep-04) over HTTP, below a session.

A viewer's connection may have many slots, switched by PATCH of its `slots` without a new offer: the one extension to
the standards, announced by a Link of rel `urn:nhipcau:whep:slots`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from secrets import token_hex
from typing import Any, Literal, Protocol, get_args

import orjson
from starlette.responses import Response

from fhir_server.access.caller import Caller
from fhir_server.errors import (
    Conflict,
    FhirError,
    Invalid,
    InvalidValue,
    NotFound,
    PreconditionFailed,
    TooLarge,
    Unprocessable,
)
from fhir_server.extension import Row, Visit, none_of_ours
from fhir_server.rest.failure import UnknownMediaType
from telesession.ice import IceServers
from telesession.media_engine import (
    CAMERA,
    SCREEN,
    Answer,
    CounterOffer,
    Layer,
    MediaEngine,
    Mode,
    Overloaded,
    Slot,
    Source,
)
from telesession.rate import Rate
from telesession.sdp import LONGEST, read_description, read_fragment

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
JSON = "application/json"
SLOTS = "urn:nhipcau:whep:slots"
SECONDS_TO_RETRY = 2
MOST_SLOTS = 40
MOST_HELD = 10_000
PARTS = {"camera": CAMERA, "screen": SCREEN}
BURST, PER_SECOND = 40, 10
"""Requests that one caller may make at once, and each second after that."""
ENCOUNTER: tuple[tuple[str, str], ...] = (("Encounter", "r"),)

Side = Literal["whip", "whep"]
SIDES: tuple[Side, ...] = get_args(Side)


class Door(Protocol):
    """Knows who is in a session: the room's side of signalling."""

    async def seat(self, visit: Visit, session: str, side: Side, source: str) -> str:
        """Return the id of the caller's participant, who may publish this (`camera`, `screen`), or view.

        Raise NotFound for sessions that the caller knows nothing of, Conflict for one that has not begun or for who
        still waits, Forbidden for who may not, Gone for what has ended.
        """
        ...

    async def occupant(self, visit: Visit, session: str) -> str:
        """Return the id of the caller's participant, whatever they may do now; raise NotFound."""
        ...

    def closed(self, session: str, participant: str, connection: str) -> None:
        """A participant ended a connection on purpose."""
        ...


@dataclass(slots=True)
class Held:
    """A connection as its resource: whose it is, the ICE credentials that it began with, and its entity tag."""

    session: str
    participant: str
    side: Side
    ufrag: str
    tag: str


class Signalling:
    """Answers the requests. `engine` gives what carries the media, `door` knows who may."""

    def __init__(
        self, engine: Callable[[], Awaitable[MediaEngine]], door: Door, ice: IceServers, clock: Callable[[], float]
    ) -> None:
        self.engine = engine
        self.door = door
        self.ice = ice
        self._rate = Rate(BURST, PER_SECOND, clock)
        self._held: OrderedDict[str, Held] = OrderedDict()

    def rows(self, knows: Callable[[str | None], Awaitable[Caller | None]] = none_of_ours) -> tuple[Row, ...]:
        """The routes, below the extension's prefix."""
        one, many = "/sessions/{session}/{side}", "/sessions/{session}/{side}/{connection}"
        table: list[tuple[str, str, Callable[[Visit], Awaitable[Response]]]] = []
        for side in SIDES:
            endpoint, resource = one.replace("{side}", side), many.replace("{side}", side)
            table += [
                ("POST", endpoint, self._on(self._open, side)),
                ("GET", endpoint, self._on(self._look, side)),
                ("GET", resource, self._on(self._look, side)),
                ("PATCH", resource, self._on(self._patch, side)),
                ("DELETE", resource, self._on(self._close, side)),
            ]
        slots = many.replace("{side}", "whep") + "/slots"
        table += [("GET", slots, self._on(self._slots, "whep")), ("PATCH", slots, self._on(self._switch, "whep"))]
        return tuple(
            Row(method, path, answer, ENCOUNTER, knows, SDP if method == "POST" else "")
            for method, path, answer in table
        )

    def _on(
        self, answer: Callable[[Visit, Side], Awaitable[Response]], side: Side
    ) -> Callable[[Visit], Awaitable[Response]]:
        async def answered(visit: Visit) -> Response:
            self._rate.needs(visit.caller.subject)
            try:
                return await answer(visit, side)
            except Overloaded as failure:
                return _refused(failure, HTTPStatus.SERVICE_UNAVAILABLE, failure.seconds)
            except PreconditionFailed:
                raise
            except Conflict as failure:
                return _refused(failure, HTTPStatus.CONFLICT, SECONDS_TO_RETRY)

        return answered

    # POST

    async def _open(self, visit: Visit, side: Side) -> Response:
        session = visit.request.path_params["session"]
        part, layer, shown = _asked_for(visit.request.query_params, side)
        participant = await self.door.seat(visit, session, side, part)
        offer = await _text(visit, SDP)
        made: Answer | CounterOffer
        engine = await self.engine()
        if side == "whip":
            made = await engine.publish(session, Source(participant, PARTS[part], layer), offer)
        else:
            made = await engine.subscribe(session, participant, offer, shown)
        tag = f'"{token_hex(8)}"' if engine.abilities.restarts else ""
        self._hold(made.connection, Held(session, participant, side, _ufrag(offer), tag))
        visit.audited("E", f"{side}-open", (f"Encounter/{session}",), text=part if side == "whip" else "")
        where = f"{visit.request.url.path}/{made.connection}"
        answer = Response(made.sdp, HTTPStatus.CREATED, {"location": where}, SDP)
        if isinstance(made, CounterOffer):
            answer.status_code = HTTPStatus.NOT_ACCEPTABLE
        if tag:
            answer.headers["etag"] = tag
        for server in self.ice.for_(session, participant):
            answer.headers.append("link", server.link())
        if side == "whep":
            answer.headers.append("link", f'<{where}/slots>; rel="{SLOTS}"')
        return answer

    def _hold(self, connection: str, held: Held) -> None:
        self._held[connection] = held
        while len(self._held) > MOST_HELD:
            self._held.popitem(last=False)

    # GET, HEAD

    async def _look(self, visit: Visit, side: Side) -> Response:
        """Say that there is something, and no more (RFC 9725, 4.2); of a viewer's endpoint, what it takes."""
        if "connection" in visit.request.path_params:
            await self._found(visit, side)
            return Response(status_code=HTTPStatus.NO_CONTENT)
        await self.door.occupant(visit, visit.request.path_params["session"])
        return Response(status_code=HTTPStatus.OK, headers={"accept-post": SDP}, media_type=SDP)

    async def _found(self, visit: Visit, side: Side) -> tuple[str, Held]:
        """The connection of a URL, which must be the caller's own and go on; raise NotFound."""
        connection, held = await self._own(visit, side)
        if not (await self.engine()).has(connection):
            self._held.pop(connection, None)
            raise NotFound(GONE)
        return connection, held

    async def _own(self, visit: Visit, side: Side) -> tuple[str, Held]:
        """The connection of a URL, which must be the caller's own; raise NotFound."""
        connection, session = visit.request.path_params["connection"], visit.request.path_params["session"]
        held = self._held.get(connection)
        if held is None or (held.session, held.side) != (session, side):
            raise NotFound(GONE)
        if await self.door.occupant(visit, session) != held.participant:
            raise NotFound(GONE)
        return connection, held

    # PATCH

    async def _patch(self, visit: Visit, side: Side) -> Response:
        connection, held = await self._found(visit, side)
        engine = await self.engine()
        if side == "whep" and _media_type(visit) == SDP:
            await engine.accept(connection, await _text(visit, SDP))
            return Response(status_code=HTTPStatus.NO_CONTENT)
        text = await _text(visit, FRAGMENT)
        fragment = read_fragment(text)
        match = visit.request.headers.get("if-match", "").strip()
        if match == "*" or (fragment.ufrag and fragment.ufrag != held.ufrag):
            return await self._restart(connection, held, text, fragment.ufrag)
        refusal = _check_tag(held, match)
        if refusal is not None:
            return refusal
        await engine.trickle(connection, text)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _restart(self, connection: str, held: Held, text: str, ufrag: str) -> Response:
        """Restart ICE (RFC 9725, 4.3.3)."""
        engine = await self.engine()
        if not engine.abilities.restarts:
            raise Unprocessable("This engine takes no ICE restart: make the connection anew.")
        answer = await engine.restart(connection, text)
        held.ufrag, held.tag = ufrag, f'"{token_hex(8)}"'
        return Response(answer, HTTPStatus.OK, {"etag": held.tag}, FRAGMENT)

    # DELETE

    async def _close(self, visit: Visit, side: Side) -> Response:
        connection, held = await self._own(visit, side)
        self._held.pop(connection, None)
        # A browser that closes before it asks has ended it already.
        with suppress(NotFound):
            await (await self.engine()).close(connection)
        self.door.closed(held.session, held.participant, connection)
        visit.audited("E", f"{side}-close", (f"Encounter/{held.session}",))
        return Response(status_code=HTTPStatus.OK)

    # Slots

    async def _slots(self, visit: Visit, side: Side) -> Response:
        connection, _ = await self._found(visit, side)
        slots = await (await self.engine()).slots(connection)
        shown = [{"mid": each.mid, "kind": each.kind, "source": each.source, "layer": each.layer} for each in slots]
        return Response(orjson.dumps({"slots": shown}), media_type=JSON)

    async def _switch(self, visit: Visit, side: Side) -> Response:
        connection, _ = await self._found(visit, side)
        slots, mode = _wishes(await _text(visit, JSON))
        await (await self.engine()).switch(connection, slots, mode)
        return await self._slots(visit, side)


GONE = "There is no such connection, or it has ended."


def _asked_for(query: Mapping[str, str], side: Side) -> tuple[str, Layer, str | None]:
    """What a URL says: which source is published, in which quality, and which one is viewed; raise InvalidValue."""
    source, layer = query.get("source"), query.get("layer", "high")
    part = (source or "camera") if side == "whip" else "camera"
    if part not in PARTS:
        raise InvalidValue(f"source is {' or '.join(PARTS)}.")
    if layer not in ("high", "low"):
        raise InvalidValue("layer is high or low.")
    return part, "low" if layer == "low" else "high", source


def _media_type(visit: Visit) -> str:
    return visit.request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _text(visit: Visit, media_type: str) -> str:
    """The body; raise UnknownMediaType, TooLarge or Invalid."""
    if _media_type(visit) != media_type:
        raise UnknownMediaType(f"The body must be {media_type}.")
    body = b""
    async for chunk in visit.request.stream():
        body += chunk
        if len(body) > LONGEST:
            raise TooLarge(f"The body may have {LONGEST:,} bytes.")
    try:
        return body.decode()
    except UnicodeDecodeError as failure:
        raise Invalid("The body is not UTF-8.") from failure


def _ufrag(offer: str) -> str:
    description = read_description(offer)
    attributes = (*description.attributes, *(each for media in description.media for each in media.attributes))
    return next((each[10:] for each in attributes if each.startswith("ice-ufrag:")), "")


def _check_tag(held: Held, match: str) -> Response | None:
    """What to answer where the entity tag is not the right one (RFC 9725, 4.3); None where it is, or none is needed."""
    if not held.tag or match == held.tag:
        return None
    if match:
        raise PreconditionFailed("The connection was restarted since: use its latest ETag.")
    text = "Send If-Match with the ETag of the connection."
    return _refused(Invalid(text), HTTPStatus.PRECONDITION_REQUIRED)


def _refused(failure: FhirError, status: HTTPStatus, seconds: int | None = None) -> Response:
    headers = {} if seconds is None else {"retry-after": str(seconds)}
    return Response(orjson.dumps(failure.operation_outcome()), status, headers, "application/fhir+json")


WISHES = 'The body is {"slots": [{"mid": "0", "source": "...", "layer": "high"}], "video": "auto"}.'


def _wishes(text: str) -> tuple[list[Slot], Mode | None]:
    """What a viewer wishes for: slots, and whether pictures come (`video`: auto, on, off); raise Invalid."""
    try:
        body = orjson.loads(text)
        slots = [_wish(each) for each in body.get("slots", [])]
        mode = body.get("video")
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as failure:
        raise Invalid(
            'The body is {"slots": [{"mid": "0", "source": "...", "layer": "high"}], "video": "auto"}.'
        ) from failure
    if len(slots) > MOST_SLOTS:
        raise TooLarge(f"A connection has {MOST_SLOTS} slots at most.")
    if mode is not None and mode not in get_args(Mode):
        raise Invalid(f"video is one of {', '.join(get_args(Mode))}.")
    return slots, mode


def _wish(each: dict[str, Any]) -> Slot:
    mid, source, layer = each["mid"], each.get("source"), each.get("layer", "high")
    if not isinstance(mid, str) or not (source is None or isinstance(source, str)) or layer not in ("high", "low"):
        raise TypeError(each)
    return Slot(mid, source, layer)
