"""The operation $break-glass: a patient's record opened in an emergency, for an hour (docs/how-to/break-glass.md)."""

from __future__ import annotations

from fhir_server.errors import Invalid, Issue
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation

REASONS = ("ETREAT", "BTG")
"""Emergency treatment; break the glass (v3 PurposeOfUse)."""

SHORTEST = 10


async def break_glass(node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
    """Open the record; return the Task that opens it. Raise Forbidden, Invalid, or NotFound."""
    reason, text = arguments.text("reason") or "", (arguments.text("text") or "").strip()
    if reason not in REASONS:
        raise Invalid(Issue("error", "value", f"The reason is one of {', '.join(REASONS)}, not {reason[:40]!r}."))
    if len(text) < SHORTEST:
        raise Invalid(Issue("error", "required", f"Say in the parameter text why, in {SHORTEST} letters at least."))
    task = await node.repository.break_glass(exchange.id, reason, text)
    return Reply(201, task.body or b"", task, f"Task/{task.id}/_history/{task.version}")


OPERATION = Operation(
    "break-glass",
    "urn:nhipcau:OperationDefinition:break-glass",
    ("instance",),
    break_glass,
    types=("Patient",),
    inputs=(Input("reason", "code", required=True), Input("text", "string", required=True)),
    by_post=True,
)
