"""Index extraction: rows of all search parameters, in process, beside fhirpathpy on the same resources."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fhirpathpy
import orjson
from fhirpathpy.models import models

from bench.clock import cpu_seconds, race
from bench.corpus import examples, synthea
from bench.figure import Figure
from fhir_server.definitions.registry import r4
from fhir_server.fhirpath.syntax import text
from fhir_server.search.index import Indexer

PEER_SAMPLE = 60
FIRST_ROUNDS = 3
LACKING = re.compile(r"\.where\(resolve\(\) is \w+\)|hasExtension\('[^']*'\)")
ABSTRACT = re.compile(r"\b(?:Domain)?Resource(?=\.)")
"""What fhirpathpy cannot evaluate; without it the rest of the expression costs it less than the whole would."""


def measure(shared: Path) -> list[Figure]:
    """Resources per CPU-second, all parameters: once warm, on a first pass, and how many times that is fhirpathpy's."""
    figures: list[Figure] = []
    for name, raws in (("examples", examples(shared)), ("synthea", synthea(shared))):
        bodies = [orjson.loads(raw) for raw in raws]
        rows = Indexer(r4()).rows
        seconds = race({"ours": rows}, bodies)["ours"]
        count = sum(len(rows(body)) for body in bodies)
        figures += [
            Figure(f"extraction-{name}", 1 / seconds, "resources per CPU-second"),
            Figure(f"extraction-rows-{name}", count / len(bodies), "rows per resource"),
            Figure(f"extraction-first-pass-{name}", 1 / first_pass(bodies), "resources per CPU-second"),
            *beside_peer(name, bodies[:: max(1, len(bodies) // PEER_SAMPLE)]),
        ]
    return figures


def first_pass(bodies: Sequence[Any]) -> float:
    """CPU seconds per resource when no value has been seen before; compiling the types is not counted."""
    best = float("inf")
    for _ in range(FIRST_ROUNDS):
        indexer = Indexer(r4())
        for kind in {body["resourceType"] for body in bodies}:
            indexer.rows({"resourceType": kind})
        best = min(best, cpu_seconds(indexer.rows, bodies) / len(bodies))
    return best


def beside_peer(name: str, sample: Sequence[Any]) -> list[Figure]:
    """The rate of fhirpathpy selecting the elements of all parameters, and how many times ours is that."""
    peer = peer_selection(Indexer(r4()), {body["resourceType"] for body in sample})
    peer_seconds = cpu_seconds(peer, sample) / len(sample)
    ours = race({"ours": Indexer(r4()).rows}, sample)["ours"]
    return [
        Figure(f"extraction-fhirpathpy-{name}", 1 / peer_seconds, "resources per CPU-second"),
        Figure(f"extraction-over-fhirpathpy-{name}", peer_seconds / ours, "times"),
    ]


def peer_selection(indexer: Indexer, kinds: Iterable[str]) -> Callable[[Any], object]:
    """What evaluates the expression of each parameter of a resource's type by fhirpathpy, compiled before."""
    compiled: dict[str, list[Callable[..., Any]]] = {}

    def select(body: Mapping[str, Any]) -> object:
        return [evaluate(body) for evaluate in compiled[body["resourceType"]]]

    for kind in kinds:
        trees = [p.expression for p in indexer.parameters.of(kind).values() if p.expression is not None]
        sources = [ABSTRACT.sub(kind, LACKING.sub("", text(tree))).replace("where()", "exists()") for tree in trees]
        compiled[kind] = [fhirpathpy.compile(source, models["r4"]) for source in sources]
    return select
