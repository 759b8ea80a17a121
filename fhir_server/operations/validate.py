"""The operation $validate: all that can be said of a resource (FHIR R4, OperationDefinition/Resource-validate)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fhir_server.errors import Forbidden, Gone, Invalid, Issue, NotFound, operation_outcome
from fhir_server.formats import Received, receive
from fhir_server.repository.intake import REFERRING
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.failure import nearest
from fhir_server.rest.linked import Links
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.rest.representation import format_of
from fhir_server.search.plan import Plan, Row, Test

WHERE = ("Parameters.parameter",)
MODES = ("create", "update", "delete", "profile")
EVERY_TYPE = "Resource"
NAMED = 5
LONG = 100_000
"""Bytes from which on a resource is checked in a thread, so that others need not wait for it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: about which resource (None: the stored one), against which profiles, before which act."""

    resource: Any
    profiles: tuple[str, ...] = ()
    mode: str | None = None
    issues: tuple[Issue, ...] = ()


async def validate(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Return an OperationOutcome; raise Invalid for what cannot be asked, NotFound or Gone for what is not stored."""
    asked = _asked(node, exchange, arguments)
    _refuse_contradiction(exchange, asked)
    if asked.mode == "delete":
        return operation_outcome(await _of_deletion(node, exchange))
    if asked.resource is None:
        stored = await node.repository.read(exchange.type, exchange.id)
        asked = Question(receive(stored.body or b"", node.definitions, node.limits).body, asked.profiles, asked.mode)
    validate_it = partial(node.validator.validate, asked.resource, profiles=asked.profiles)
    verdict = validate_it() if len(exchange.body) < LONG else await asyncio.to_thread(validate_it)
    issues = [*asked.issues, *_of_identity(exchange, asked), *verdict.issues]
    if asked.mode in ("create", "update") and node.settings.referential_integrity:
        issues += await _of_references(node, exchange, asked.resource)
    return operation_outcome(issues)


def _asked(node: Node, exchange: Exchange, arguments: Arguments) -> Question:
    received: Received | None = None
    if exchange.sent is not None:
        received = Received(exchange.sent.body)
    elif exchange.method == "POST":
        format_of(exchange.headers.get(b"content-type"))
        limits = node.bundle_limits if exchange.type in ("", "Bundle") else node.limits
        received = receive(exchange.body, node.definitions, limits)
    found = question(received.body) if received else Question(None)
    profiles = (*arguments.many("profile"), *found.profiles)
    issues = received.issues if received else ()
    return Question(found.resource, profiles, arguments.text("mode") or found.mode, issues)


def question(body: dict[str, Any]) -> Question:
    """Return what a body asks: about itself, or what a Parameters holds.

    A Parameters without a parameter `resource` or `mode` is itself the resource.
    """
    items = _parameters(body)
    held = [item["resource"] for item in items if item.get("name") == "resource" and "resource" in item]
    modes = [item.get("valueCode", item.get("valueString")) for item in items if item.get("name") == "mode"]
    if not held and not modes:
        return Question(body)
    if len(held) > 1 or len(modes) > 1:
        raise Invalid("$validate takes one parameter 'resource' and one 'mode'.", expression=WHERE)
    named = (item.get("valueUri") or item.get("valueCanonical") for item in items if item.get("name") == "profile")
    profiles = tuple(url for url in named if isinstance(url, str))
    return Question(held[0] if held else None, profiles, str(modes[0]) if modes else None)


def _parameters(body: dict[str, Any]) -> list[dict[str, Any]]:
    items = body.get("parameter") if body.get("resourceType") == "Parameters" else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _refuse_contradiction(exchange: Exchange, asked: Question) -> None:
    if asked.mode is not None and asked.mode not in MODES:
        raise Invalid(f"$validate has no mode {asked.mode[:40]!r}.{nearest(asked.mode, MODES)}", expression=WHERE)
    if asked.mode == "profile" and not asked.profiles:
        raise Invalid("The mode 'profile' needs the parameter profile: the profile to check against.", expression=WHERE)
    if asked.mode == "delete" and not exchange.id:
        raise Invalid("The mode 'delete' is about a stored resource: POST [type]/[id]/$validate.", expression=WHERE)
    if asked.resource is None:
        if not exchange.id:
            raise Invalid("$validate needs a resource: in the body, or stored under the URL.", expression=WHERE)
        return
    kind = asked.resource.get("resourceType") if isinstance(asked.resource, dict) else None
    if exchange.type and kind != exchange.type:
        raise Invalid(f"The URL announces {exchange.type}, and the resource sent is {kind or 'of no type'}.")


def _of_identity(exchange: Exchange, asked: Question) -> Sequence[Issue]:
    """What an update at this URL would say of the id (FHIR R4, 3.1.0.4)."""
    own_id = asked.resource.get("id") if isinstance(asked.resource, dict) else None
    if not exchange.id or asked.mode == "profile" or own_id == exchange.id:
        return ()
    what = "has no id" if own_id is None else f"has the id {str(own_id)[:80]!r}"
    text = f"An update of {exchange.type}/{exchange.id} would be refused: the resource {what}."
    return (Issue("error", "invalid", text, (f"{exchange.type}.id",)),)


async def _of_deletion(node: Node, exchange: Exchange) -> Sequence[Issue]:
    """What a delete would be refused for."""
    await node.repository.read(exchange.type, exchange.id)
    if not node.settings.referential_integrity:
        return ()
    tests = Test("v", "=", exchange.id), Test("x", "=", exchange.type)
    page = await node.repository.page(Plan({EVERY_TYPE: Row(REFERRING, tests)}), NAMED + 1)
    key = exchange.type, exchange.id
    referring = [f"{each.type}/{each.id}" for each in page.matches if (each.type, each.id) != key]
    if not referring:
        return ()
    more = " and others" if len(referring) > NAMED else ""
    text = f"A delete would be refused: {'/'.join(key)} is referred to by {', '.join(referring[:NAMED])}{more}."
    return (Issue("error", "conflict", text),)


async def _of_references(node: Node, exchange: Exchange, resource: Any) -> Sequence[Issue]:
    """What a write would be refused for: references that lead nowhere on this server."""
    links = Links(node.repository, exchange.base, node.definitions.resource_types)
    issues = []
    for key in links.within(resource):
        try:
            await node.repository.read(*key)
        except (NotFound, Gone, Forbidden):
            text = f"A write would be refused: a reference leads to {'/'.join(key)}, which does not exist."
            issues.append(Issue("error", "not-found", text))
    return issues


DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-validate"
INPUTS = (Input("mode", "code"), Input("profile", "canonical", many=True))
OPERATIONS = (
    Operation("validate", DEFINITION, ("system", "type"), validate, INPUTS, by_post=True, reads_body=False),
    Operation("validate", DEFINITION, ("instance",), validate, INPUTS, reads_body=False),
)
