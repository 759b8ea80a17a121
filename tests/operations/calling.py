"""Operations called without a transport, on a node whose parts are given."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode

import orjson

from fhir_server.definitions.registry import Definitions, r4
from fhir_server.errors import NotFound
from fhir_server.resource.parsing import STANDARD_LIMITS, Limits
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation, called
from fhir_server.store.protocol import Version
from fhir_server.terminology.knowledge import Knowledge
from fhir_server.terminology.local import LocalTerminology

AT = 1_763_856_000_000


@dataclass
class Kept:
    """The part of a repository that operations on one resource need."""

    resources: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    async def read(self, kind: str, resource_id: str) -> Version:
        if (kind, resource_id) not in self.resources:
            raise NotFound(f"There is no {kind}/{resource_id}.")
        return Version(kind, resource_id, 1, 1, AT, "PUT", orjson.dumps(self.resources[kind, resource_id]))


@dataclass
class FakeNode:
    """What an operation is handed."""

    definitions: Definitions
    repository: Kept = field(default_factory=Kept)
    limits: Limits = STANDARD_LIMITS

    @property
    def knowledge(self) -> Knowledge:
        return Knowledge(self.definitions, LocalTerminology(self.definitions))

    def clock(self) -> float:
        return AT / 1000


def node(*definitions: dict[str, Any], stored: tuple[dict[str, Any], ...] = ()) -> FakeNode:
    """A node that knows R4, these definitions and these resources."""
    known = r4().extended()
    for resource in definitions:
        known.add(resource)
    return FakeNode(known, Kept({(each["resourceType"], each["id"]): each for each in stored}))


def call(
    operation: Operation, on: FakeNode, body: dict[str, Any] | None = None, *, instance: str = "", **query: Any
) -> dict[str, Any]:
    """The resource that an operation answers with."""
    pairs = [(name.replace("_", "-"), value) for name, values in query.items() for value in _listed(values)]
    exchange = Exchange(
        "GET" if body is None else "POST",
        (),
        query=urlencode(pairs),
        headers={b"content-type": b"application/fhir+json"},
        body=b"" if body is None else orjson.dumps(body),
    )
    exchange.type, exchange.id = operation.types[0], instance
    reply = asyncio.run(called(operation, cast("Node", on), exchange))
    assert reply.status == 200
    answer: dict[str, Any] = orjson.loads(reply.body)
    return answer


def _listed(values: Any) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list | tuple) else [str(values)]


def values(answer: dict[str, Any], name: str) -> list[Any]:
    """The values of the parameters of a name; parts become a dict."""
    return [_value(item) for item in answer.get("parameter", ()) if item["name"] == name]


def value(answer: dict[str, Any], name: str) -> Any:
    """The value of the one parameter of a name; None where there is none."""
    found = values(answer, name)
    assert len(found) < 2
    return found[0] if found else None


def _value(item: dict[str, Any]) -> Any:
    if "part" in item:
        return {part["name"]: _value(part) for part in item["part"]}
    return next(found for key, found in item.items() if key != "name")


def parameters_of(*items: dict[str, Any]) -> dict[str, Any]:
    """A Parameters with these parameters."""
    return {"resourceType": "Parameters", "parameter": list(items)}
