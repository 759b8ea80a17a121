"""The operations $meta, $meta-add and $meta-delete: profiles, tags and security labels of a resource.

FHIR R4, OperationDefinition/Resource-meta, Resource-meta-add and Resource-meta-delete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.errors import Conflict, Invalid, Issue, PreconditionFailed
from fhir_server.operations.labels import LISTS, labels_in_use
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.parsing import parse
from fhir_server.rest.argument import Arguments, Input, parameters
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.store.protocol import Version

Meta = dict[str, Any]
ATTEMPTS = 10


async def meta(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Return the meta of the current version."""
    return returned(await node.repository.read(exchange.type, exchange.id))


async def meta_in_use(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Return the profiles, tags and labels that the current resources of a type, or of all types, have."""
    kinds = (exchange.type,) if exchange.type else tuple(sorted(node.definitions.resource_types))
    found: Meta = {}
    for name in LISTS:
        listed: dict[Any, Any] = {}
        for kind in kinds:
            listed |= await labels_in_use(node, kind, name)
        if listed:
            found[name] = [listed[key] for key in sorted(listed)]
    return parameters(("return", "meta", found))


async def meta_add(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Add profiles, tags and labels that are not there yet; return the meta that results."""
    return await _changed(node, exchange, arguments, added)


async def meta_delete(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Take profiles, tags and labels away; those that are not there are no failure. Return the meta that results."""
    return await _changed(node, exchange, arguments, deleted)


async def _changed(
    node: Node, exchange: Exchange, arguments: Arguments, change: Callable[[Meta, Meta], Meta]
) -> dict[str, Any]:
    """Store the resource with another meta as a new version, again where somebody else was faster."""
    given = arguments.resource("meta") or {}
    _refuse_malformed(given)
    for _ in range(ATTEMPTS):
        current = await node.repository.read(exchange.type, exchange.id)
        body = parse_exact(current.body or b"", node.limits)
        body["meta"] = change(body.get("meta", {}), given)
        raw = dump_exact(body)
        sent = Sent(parse(raw, node.limits), raw, members_counted=True)
        try:
            (saved,) = await node.repository.write(
                [Write("PUT", exchange.type, exchange.id, sent=sent, match=(current.version,))]
            )
        except PreconditionFailed:
            continue
        return returned(saved.version or current)
    raise Conflict("Others change the same resource again and again; nothing was written. Try again.")


def _refuse_malformed(given: Mapping[str, Any]) -> None:
    for name in LISTS:
        wanted = str if name == "profile" else dict
        listed = given.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(item, wanted) for item in listed):
            text = f"meta.{name} must be a list of {'canonicals' if wanted is str else 'Codings'}."
            raise Invalid(Issue("error", "structure", text, (f"Parameters.parameter.value.{name}",)))


def added(own: Meta, given: Meta) -> Meta:
    """Return a meta with what is given beside its own."""
    result = dict(own)
    for name in LISTS:
        has = {_identity(item) for item in own.get(name, ())}
        fresh = [item for item in given.get(name, ()) if _identity(item) not in has]
        if fresh:
            result[name] = [*own.get(name, ()), *fresh]
    return result


def deleted(own: Meta, given: Meta) -> Meta:
    """Return a meta without what is given."""
    result = dict(own)
    for name in LISTS:
        gone = {_identity(item) for item in given.get(name, ())}
        kept = [item for item in own.get(name, ()) if _identity(item) not in gone]
        if kept:
            result[name] = kept
        else:
            result.pop(name, None)
    return result


def _identity(item: Any) -> Any:
    """What makes two labels the same: system and code, whatever they are called."""
    return (item.get("system"), item.get("code")) if isinstance(item, Mapping) else item


def returned(version: Version) -> dict[str, Any]:
    """Return the Parameters with the meta of a version."""
    return parameters(("return", "meta", parse(version.body or b"").get("meta", {})))


GIVEN = (Input("meta", "Meta", required=True),)
DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-"
OPERATIONS = (
    Operation("meta", f"{DEFINITION}meta", ("instance",), meta),
    Operation("meta", f"{DEFINITION}meta", ("system", "type"), meta_in_use),
    Operation("meta-add", f"{DEFINITION}meta-add", ("instance",), meta_add, GIVEN, scope="ru", by_post=True),
    Operation("meta-delete", f"{DEFINITION}meta-delete", ("instance",), meta_delete, GIVEN, scope="ru", by_post=True),
)
