"""Operations as rows of a table, and what HTTP makes of each: routes, arguments, a reply (FHIR R4, 3.2.0)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.errors import Invalid
from fhir_server.repository.sent import Sent, read_sent
from fhir_server.resource.exact import dump_exact
from fhir_server.resource.parsing import repeated_members
from fhir_server.rest.argument import Arguments, Input, arguments_of, from_pairs, from_parameters
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.rest.node import Node
from fhir_server.rest.representation import format_of

Level = Literal["system", "type", "instance"]
Answer = Mapping[str, Any] | Reply
PATHS: Mapping[Level, str] = {"system": "/${name}", "type": "/{type}/${name}", "instance": "/{type}/{id}/${name}"}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: where it can be called, what it takes and what answers it.

    `answer` returns a resource, or a reply that is complete.
    `definition` is the canonical of its OperationDefinition. Without `types` it is for every type. `scope` holds the
    letters of SMART scopes that it needs. What changes the store, or needs a body, is called `by_post` alone. What
    `searches` takes search parameters beside its own. With `reads_body` off, `answer` reads the body itself. What is
    `native` answers in forms of its own, which `_format` or Accept may name. `place` stands in the path where the type
    of a resource does, for what R4 has no type for.
    """

    name: str
    definition: str
    levels: tuple[Level, ...]
    answer: Callable[[Node, Exchange, Arguments], Awaitable[Answer]]
    inputs: tuple[Input, ...] = ()
    types: tuple[str, ...] = ()
    scope: str = "r"
    by_post: bool = False
    searches: bool = False
    reads_body: bool = True
    native: bool = False
    place: str = ""


def routes_of(operation: Operation) -> Iterator[Route]:
    """Yield the rows of the route table for an operation: by POST, and by GET where that is safe."""

    async def handler(node: Node, exchange: Exchange) -> Reply:
        return await called(operation, node, exchange)

    for level in operation.levels:
        path = PATHS[level].replace("{name}", operation.name)
        if operation.place:
            path = path.replace("{type}", operation.place)
        for method in ("POST",) if operation.by_post else ("GET", "POST"):
            yield Route(
                operation.name,
                method,
                path,
                handler,
                operation.scope,
                takes="resource" if method == "POST" else "nothing",
                definition=operation.definition,
                types=operation.types,
                native=operation.native,
            )


async def called(operation: Operation, node: Node, exchange: Exchange) -> Reply:
    """Answer one call of an operation."""
    arguments = arguments_of(operation.name, operation.inputs, values_in(operation, node, exchange))
    answer = await operation.answer(node, exchange, arguments)
    return answer if isinstance(answer, Reply) else Reply(200, dump_exact(answer))


def values_in(operation: Operation, node: Node, exchange: Exchange) -> dict[str, list[Any]]:
    """Return the values in the query and in the body, which is a Parameters or the one resource that is taken."""
    values = from_pairs(operation.inputs, exchange.pairs, others=operation.searches)
    sent = sent_in(node, exchange) if operation.reads_body else None
    if sent is None:
        return values
    if sent.type == "Parameters":
        given = from_parameters(operation.inputs, sent.body, others=operation.searches)
    else:
        given = {_resource_input(operation, sent.body): [sent.body]}
    for name, more in given.items():
        values.setdefault(name, []).extend(more)
    return values


def sent_in(node: Node, exchange: Exchange) -> Sent | None:
    """Return the resource in the body; None where there is no body. Raise Invalid for members that repeat."""
    if exchange.sent is not None:
        return exchange.sent
    if not exchange.body.strip():
        return None
    format_of(exchange.headers.get(b"content-type"))
    sent = read_sent(exchange.body, node.definitions, node.limits)
    if sent.raw is not None and (repeated := repeated_members(sent.raw, sent.body)):
        raise Invalid(*repeated)
    return sent


def _resource_input(operation: Operation, body: Mapping[str, Any]) -> str:
    """The name of the parameter that a resource sent alone is for (FHIR R4, 3.2.0.1)."""
    kind = body.get("resourceType")
    for each in operation.inputs:
        if each.type in ("Resource", kind):
            return each.name
    raise Invalid(f"${operation.name} takes a Parameters, not a {kind}.")
