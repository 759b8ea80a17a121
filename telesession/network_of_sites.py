"""The operation by which sites join the network of a hub: $tele-join (FHIR R4, 3.2.0 operations)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.errors import Conflict, Issue, NotFound, PreconditionFailed, Unprocessable
from fhir_server.extension import Extension, Surroundings
from fhir_server.repository.check import Around, WriteCheck, Written
from fhir_server.repository.write import Write
from fhir_server.resource.exact import parse_exact
from fhir_server.resource.identity import time_ordered_ids
from fhir_server.resource.instant import instant
from fhir_server.rest.argument import Arguments, Input, parameters
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from telesession.gathering import NO_LIMITS, of_server, sent_of
from telesession.joining import (
    EVENTS,
    Given,
    affiliation_id,
    allowed,
    fault_of,
    parties,
    sides_of,
    state_of,
    step_of,
    stepped,
)
from telesession.vocabulary import SURVEY_OF_SITES, Body, Json, path_of

KIND = "OrganizationAffiliation"
ATTEMPTS = 5
INPUTS = (
    Input("event", "code", required=True),
    Input("hub", "Reference", required=True),
    Input("text", "string"),
    Input("evidence", "Reference", many=True),
    Input("answers", "QuestionnaireResponse"),
)


def operations() -> Sequence[Operation]:
    """The rows of the table of operations."""
    definition = "urn:nhipcau:OperationDefinition:tele-join"
    row = Operation(
        "tele-join", definition, ("instance",), join, types=("Organization",), inputs=INPUTS, scope="u", by_post=True
    )
    return (row,)


def checks() -> Sequence[WriteCheck]:
    """The rows for the door of the server."""
    return (WriteCheck(frozenset({KIND}), check),)


async def join(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Bring a site a step further; return its state. Raise Conflict, Forbidden or Unprocessable where it may not be."""
    site, hub = f"Organization/{exchange.id}", path_of(arguments.resource("hub"))
    event = arguments.text("event") or ""
    if event not in EVENTS:
        raise Unprocessable(Issue("error", "value", f"event is one of {', '.join(EVENTS)}, not {event[:40]!r}."))
    await node.repository.read("Organization", exchange.id)
    if not hub.startswith("Organization/") or hub == site:
        raise Unprocessable(Issue("error", "value", "hub is another Organization, such as Organization/x."))
    await node.repository.read("Organization", hub.partition("/")[2])
    sides = sides_of(await node.repository.identities(), hub, site, is_local=exchange.caller.kind == "local")
    for _ in range(ATTEMPTS):
        former, match = await _affiliation(node, hub, site)
        answers = arguments.resource("answers")
        given = Given(
            (arguments.text("text") or "").strip(),
            tuple(filter(None, map(path_of, arguments.many("evidence")))),
            has_answers=answers is not None,
        )
        step = step_of(state_of(former), event, sides, given)
        writes = []
        if answers is not None:
            kept = _answers(answers, site, time_ordered_ids(node.clock)())
            given = Given(given.text, (f"QuestionnaireResponse/{kept['id']}", *given.evidence), has_answers=True)
            writes.append(Write("PUT", "QuestionnaireResponse", kept["id"], sent=sent_of(kept), unless_exists=True))
        now = instant(int(node.clock() * 1000))
        body = stepped(former, hub, site, step, given, now)
        writes.append(Write("PUT", KIND, body["id"], sent=sent_of(body), match=match, unless_exists=former is None))
        try:
            await of_server(node, [path.partition("/")[2] for path in (hub, site)]).write(writes)
        except PreconditionFailed:
            continue
        return parameters(
            ("state", "code", step.target),
            *(("allowed", "code", each) for each in allowed(step.target, sides)),
            ("affiliation", "Reference", {"reference": f"{KIND}/{body['id']}"}),
        )
    raise Conflict("Others change the same affiliation again and again; nothing was written. Try again.")


async def _affiliation(node: Node, hub: str, site: str) -> tuple[Json | None, tuple[int, ...] | None]:
    try:
        found = await of_server(node).read(KIND, affiliation_id(hub, site))
    except NotFound:
        return None, None
    return parse_exact(found.body or b"", NO_LIMITS), (found.version,)


def _answers(answers: Body, site: str, resource_id: str) -> Json:
    """The answers of a survey as they are kept; raise Unprocessable for those of another, or not finished."""
    if answers.get("questionnaire") != SURVEY_OF_SITES or answers.get("status") not in ("completed", "amended"):
        text = f"answers are a completed QuestionnaireResponse of {SURVEY_OF_SITES}."
        raise Unprocessable(Issue("error", "value", text))
    return {**answers, "id": resource_id, "subject": {"reference": site}}


async def check(written: Written, around: Around) -> Sequence[Issue]:
    """Raise Conflict for a plain write that takes a step which the table does not have."""
    if written.body is None or not (state_of(written.former) or state_of(written.body)):
        return ()
    hub, site = parties(written.former or written.body)
    sides = sides_of(await around.identities(), hub, site, is_local=written.caller.kind == "local")
    if (fault := fault_of(written.former, written.body, sides)) is not None:
        raise fault
    return ()


def centres(_surroundings: Surroundings) -> Extension:
    """Return the extension."""
    return Extension("centres", operations=operations(), checks=checks())
