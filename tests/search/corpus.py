"""Real resources, and random searches about them with what they are to find."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import orjson

from fhir_server.definitions.registry import r4
from fhir_server.search.index import Indexer
from fhir_server.search.query import Query, Searcher
from fhir_server.store.protocol import Numbered
from tests.contracts.model import Key
from tests.search.naive import World
from tests.search.random_query import Author, Condition

NOW = 1_795_000_000_000
SEED = 20261123
CONDITIONAL = re.compile(rb'"([A-Z][A-Za-z]+)\?identifier=[^"|]*\|([^"|]*)"')
"""A conditional reference, as only a transaction has it."""
NOT_SEARCHED = ("Bundle", "Parameters", "Binary")


def spread(r4_examples: Mapping[str, bytes], synthea_resources: list[bytes]) -> list[dict[str, Any]]:
    """A spread of the official examples, and some linked synthetic records."""
    found: dict[Key, dict[str, Any]] = {}
    examples = [raw for name, raw in sorted(r4_examples.items()) if b'"resourceType"' in raw][::6]
    linked = [line for line in synthea_resources if len(line) < 20_000]
    for raw in (*examples, *linked[::12]):
        body = orjson.loads(CONDITIONAL.sub(rb'"\1/\2"', raw))
        if "id" in body and body.get("resourceType") in r4().resource_types.difference(NOT_SEARCHED):
            found.setdefault((body["resourceType"], body["id"]), body)
    for body in list(found.values()):
        if body["resourceType"] == "Encounter":
            found.update(patients_of(body, synthea_resources))
    return list(found.values())


def patients_of(body: dict[str, Any], lines: list[bytes]) -> dict[Key, dict[str, Any]]:
    """The patient of a synthetic encounter, so that chains lead somewhere."""
    identity = body.get("subject", {}).get("reference", "").removeprefix("Patient/").encode()
    marks = (b'"resourceType":"Patient"', b'"id":"' + identity + b'"')
    chosen = [orjson.loads(line) for line in lines if identity and all(mark in line[:200] for mark in marks)]
    return {("Patient", one["id"]): one for one in chosen}


def written(
    world: World, searcher: Searcher, searches: int
) -> Iterator[tuple[str, tuple[Condition, ...], Query, set[Key]]]:
    random = Random(SEED)
    author = Author(world, random, NOW)
    kinds = sorted({kind for kind, _ in world.resources})
    common = ["Observation", "Patient", "Encounter", "Condition", "MedicationRequest", "Procedure"]
    for _ in range(searches):
        kind = random.choice(kinds + common * 8)
        windows = author.window(kind) if random.random() < 0.2 else []
        conditions = (*windows, *(author.condition(kind) for _ in range(random.choice((1, 1, 2, 3)) - bool(windows))))
        query = searcher.query((kind,), [(c.name, c.value) for c in conditions], now=NOW)
        found = {(kind, r["id"]) for r in world.of_type(kind) if all(c.judge(r) for c in conditions)}
        yield kind, conditions, query, found


def described(kind: str, conditions: tuple[Condition, ...]) -> str:
    return f"{kind}?{'&'.join(f'{c.name}={c.value}' for c in conditions)}"


def numbered(resources: Sequence[dict[str, Any]], indexer: Indexer) -> list[Numbered]:
    """The parameters of all types of the resources."""
    return [
        Numbered(f"{kind}.{code}", parameter.number, parameter.type)
        for kind in sorted({body["resourceType"] for body in resources})
        for code, parameter in indexer.parameters.of(kind).items()
    ]
