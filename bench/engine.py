"""Validation and the whole path of a write, in process, beside fhir.resources on the same resources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from bench.clock import race
from bench.corpus import examples, synthea
from bench.figure import Figure
from fhir_server.definitions.registry import r4
from fhir_server.resource.parsing import parse, repeated_members
from fhir_server.resource.splicing import stamp
from fhir_server.search.index import Indexer
from fhir_server.validation.validator import Validator

PEER_SAMPLE = 150
STAMPED = ("1", "2026-01-01T00:00:00.000Z")


def measure(shared: Path) -> list[Figure]:
    """Resources per CPU-second of each stage, parsing taken off, and microseconds of the whole path."""
    figures: list[Figure] = []
    for name, raws in (("examples", examples(shared)), ("synthea", synthea(shared))):
        forms: dict[str, Callable[[bytes], object]] = {
            "parse": orjson.loads,
            "write": validation(Validator(r4())),
            "full": validation(Validator(r4(), depth="full")),
            "whole": whole_path(Validator(r4()), Indexer(r4())),
        }
        seconds = race(forms, raws)
        for depth in ("write", "full"):
            rate = 1 / (seconds[depth] - seconds["parse"])
            figures.append(Figure(f"validation-{depth}-{name}", rate, "resources per CPU-second"))
        figures.append(Figure(f"whole-path-{name}", seconds["whole"] * 1e6, "us per resource"))
        figures += beside_peer(name, raws)
    return figures


def validation(validator: Validator) -> Callable[[bytes], object]:
    """Parse and validate."""
    return lambda raw: validator.validate(orjson.loads(raw))


def whole_path(validator: Validator, indexer: Indexer) -> Callable[[bytes], object]:
    """Parse, validate, look for repeated members, extract all search parameters, splice id and meta."""

    def work(raw: bytes) -> object:
        body = parse(raw)
        verdict = validator.validate(body)
        repeated_members(raw, body, verdict.members)
        rows = indexer.rows(body)
        return rows, stamp(raw, body, "new", *STAMPED)

    return work


def beside_peer(name: str, raws: Sequence[bytes]) -> list[Figure]:
    """The rate of fhir.resources (R4B) on some of the resources that it accepts, and how many times ours is that."""
    sample = [raw for raw in raws[:: max(1, len(raws) // PEER_SAMPLE)] if peer_accepts(raw)]
    ours = validation(Validator(r4()))
    seconds = race({"parse": orjson.loads, "ours": ours, "peer": peer_validation}, sample)
    peer = seconds["peer"] - seconds["parse"]
    ratio = peer / (seconds["ours"] - seconds["parse"])
    return [
        Figure(f"validation-fhir.resources-{name}", 1 / peer, "resources per CPU-second"),
        Figure(f"validation-write-over-fhir.resources-{name}", ratio, "times"),
    ]


def peer_validation(raw: bytes) -> object:
    """A model of fhir.resources from JSON."""
    body: dict[str, Any] = orjson.loads(raw)
    kind = body["resourceType"]
    return getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind).model_validate(body)


def peer_accepts(raw: bytes) -> bool:
    """True for a resource that fhir.resources reads."""
    try:
        peer_validation(raw)
    except ValueError:
        return False
    return True
