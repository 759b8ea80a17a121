"""Operations as rows of a table, and what HTTP makes of each: routes, arguments, a reply (FHIR R4, 3.2.0)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.errors import Invalid
from fhir_server.formats import receive
from fhir_server.resource.exact import dump_exact
from fhir_server.rest.argument import Arguments, Input, arguments_of, from_pairs, from_parameters
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.rest.representation import format_of

Level = Literal["system", "type", "instance"]
Answer = Mapping[str, Any] | Reply
PATHS: Mapping[Level, str] = {"system": "/${name}", "type": "/{type}/${name}", "instance": "/{type}/{id}/${name}"}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation: where it can be called, what it takes and what answers it.

    `answer` gets the context of the service, the exchange and the arguments, and returns a resource or a reply.
    `definition` is the canonical of its OperationDefinition. Without `types` it is for every type. `scope` holds the
    letters of SMART scopes that it needs. One that `changes` what is stored cannot be called by GET.
    """

    name: str
    definition: str
    levels: tuple[Level, ...]
    answer: Callable[[Any, Exchange, Arguments], Awaitable[Answer]]
    inputs: tuple[Input, ...] = ()
    types: tuple[str, ...] = ()
    scope: str = "r"
    changes: bool = False


def routes_of(operation: Operation) -> Iterator[Route]:
    """Yield the rows of the route table for an operation: by POST, and by GET where it changes nothing."""

    async def handler(context: Any, exchange: Exchange) -> Reply:
        return await called(operation, context, exchange)

    for level in operation.levels:
        path = PATHS[level].replace("{name}", operation.name)
        for method in ("POST",) if operation.changes else ("GET", "POST"):
            yield Route(
                operation.name,
                method,
                path,
                handler,
                operation.scope,
                takes="resource" if method == "POST" else "nothing",
                definition=operation.definition,
                types=operation.types,
            )


async def called(operation: Operation, context: Any, exchange: Exchange) -> Reply:
    """Answer one call of an operation."""
    arguments = arguments_of(operation.name, operation.inputs, values_in(operation, context, exchange))
    answer = await operation.answer(context, exchange, arguments)
    return answer if isinstance(answer, Reply) else Reply(200, dump_exact(answer))


def values_in(operation: Operation, context: Any, exchange: Exchange) -> dict[str, list[Any]]:
    """Return the values in the query and in the body, which is a Parameters or the one resource that is taken."""
    values = from_pairs(operation.inputs, exchange.pairs)
    body = sent(context, exchange)
    if body is None:
        return values
    if body.get("resourceType") == "Parameters":
        given = from_parameters(operation.inputs, body)
    else:
        given = {_resource_input(operation, body): [body]}
    for name, more in given.items():
        values.setdefault(name, []).extend(more)
    return values


def sent(context: Any, exchange: Exchange) -> dict[str, Any] | None:
    """Return the resource in the body; None where there is no body. Raise Invalid for members that repeat."""
    if exchange.content is not None:
        return exchange.content
    if not exchange.body.strip():
        return None
    format_of(exchange.headers.get(b"content-type"))
    found = receive(exchange.body, context.definitions, context.limits)
    faults = [issue for issue in found.issues if issue.is_error]
    if faults:
        raise Invalid(*faults)
    return found.body


def _resource_input(operation: Operation, body: Mapping[str, Any]) -> str:
    """The name of the parameter that a resource sent alone is for (FHIR R4, 3.2.0.1)."""
    kind = body.get("resourceType")
    for each in operation.inputs:
        if each.type in ("Resource", kind):
            return each.name
    raise Invalid(f"${operation.name} takes a Parameters, not a {kind}.")
