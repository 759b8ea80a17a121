"""Invariants tested on raw JSON say the same as the general engine, at a fraction of its cost."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.definitions.structure import Constraint
from fhir_server.definitions.tables import Tables
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.environment import NullEnvironment
from fhir_server.fhirpath.errata import CORRECTIONS, corrected
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.node import Node

LARGEST_EXAMPLE = 100_000
EVERY = 40
MUTANTS = 2
REPLACEMENTS = ["x", "2020", "2020-01-01", "#a", "*", "0", "group", "display", "home", "2020-01-01T10:00:00Z"]
VALUELESS = {"extension": [{"url": "http://example.org/why", "valueString": "unknown"}]}


@dataclass
class Around:
    """What a predicate is told besides the value."""

    resource: dict[str, Any]
    root: dict[str, Any]
    environment = NullEnvironment()


@cache
def engine() -> Engine:
    return Engine(r4())


def constraints() -> Iterator[tuple[Constraint, str]]:
    """Every constraint of R4 with each type that it stands on."""
    definitions = r4()
    waiting = sorted(definitions.resource_types | definitions.complex_types)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        kind = definitions.type(name)
        yield from ((constraint, name) for constraint in kind.constraints)
        for member in kind.members.values():
            yield from ((constraint, member.type) for constraint in member.constraints)
            waiting += [member.type] if "." in member.type else []


def test_every_constraint_of_r4_has_a_predicate() -> None:
    found = {(constraint.expression, name) for constraint, name in constraints()}
    assert len(found) > 1000
    for expression, name in found:
        assert callable(engine().predicate(expression, name))


def test_every_correction_is_of_a_published_constraint() -> None:
    published = {invariant["expression"] for invariant in Tables().invariants.values()}
    assert published >= CORRECTIONS.keys()


def values(body: dict[str, Any], name: str, around: Around, own: tuple[Constraint, ...]) -> Iterator[Any]:
    """Each object and constrained primitive of a resource with its constraints and surroundings."""
    kind = r4().type(name)
    yield body, name, around, {c.expression for c in (*kind.constraints, *own)}
    for key, value in body.items():
        member = kind.members.get(key)
        if member is None:
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and "resourceType" in one:
                root = around.root if key == "contained" else one
                yield from values(one, one["resourceType"], Around(one, root), ())
            elif isinstance(one, dict):
                yield from values(one, member.type, around, member.constraints)
            elif one is not None and member.constraints:
                yield one, member.type, around, {c.expression for c in member.constraints}


def mutated(value: Any, chance: random.Random) -> Any:
    """A copy with members dropped, texts replaced, and values taken from their extensions."""
    if isinstance(value, list):
        return [item for item in (mutated(part, chance) for part in value) if item not in ({}, [])]
    if not isinstance(value, dict):
        return value
    body: dict[str, Any] = {}
    for key, part in value.items():
        dice = chance.random()
        if key in ("resourceType", "div") or not isinstance(part, str):
            changed = part if key == "resourceType" else mutated(part, chance)
            if changed not in ({}, []) and (key == "resourceType" or dice > 0.15):
                body[key] = changed
        elif dice < 0.1:
            body[key] = chance.choice(REPLACEMENTS)
        elif dice < 0.15:
            body["_" + key] = VALUELESS
        elif dice < 0.9:
            body[key] = part
    return body


def outcome(predicate: Any, value: Any, around: Around) -> bool | str:
    try:
        return bool(predicate(value, around))
    except FHIRPathError:
        return "error"


def differences(body: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Constraints on which the specialised and the general form disagree."""
    for value, name, around, expressions in values(body, body["resourceType"], Around(body, body), ()):
        for expression in expressions:
            special = outcome(engine().predicate(expression, name), value, around)
            general = outcome(engine().general_predicate(corrected(expression), name), value, around)
            if special != general:
                yield expression, f"{special}, generally {general}", json.dumps(value)[:300]


def test_specialised_and_general_forms_agree_on_examples_and_mutants(r4_examples: Mapping[str, bytes]) -> None:
    chance = random.Random(4)
    names = [name for name in sorted(r4_examples) if len(r4_examples[name]) < LARGEST_EXAMPLE]
    for name in names[::EVERY]:
        body = json.loads(r4_examples[name])
        for one in [body, *(mutated(body, chance) for _ in range(MUTANTS))]:
            assert list(differences(one)) == [], name


@pytest.mark.parametrize(
    ("expression", "name", "value", "holds"),
    [
        ("obs-6", "Observation", {"valueString": "x", "dataAbsentReason": {"text": "y"}}, False),
        ("obs-6", "Observation", {"_valueString": VALUELESS, "dataAbsentReason": {"text": "y"}}, False),
        ("obs-6", "Observation", {"valueString": "x"}, True),
        ("per-1", "Period", {"start": "2020-01-02", "end": "2020-01-01"}, False),
        ("per-1", "Period", {"start": "2020-01-02T10:00:00Z", "end": "2020-01-02"}, True),
        ("per-1", "Period", {"start": "2020-01-02T10:00:00+07:00", "end": "2020-01-02T09:00:00+07:00"}, False),
        ("per-1", "Period", {"start": "2020-01-02"}, True),
        ("rng-2", "Range", {"low": {"value": 2}, "high": {"value": 1}}, False),
        ("rng-2", "Range", {"low": {"value": 1.5}, "high": {"value": 2}}, True),
        ("ref-1", "Reference", {"reference": "#there"}, True),
        ("ref-1", "Reference", {"reference": "#nowhere"}, False),
        ("ref-1", "Reference", {"display": "x"}, True),
        ("ref-1", "Reference", {"reference": "#"}, True),
        ("ext-1", "Extension", {"url": "x", "valueString": "y"}, True),
        ("ext-1", "Extension", {"url": "x", "valueString": "y", "extension": [{"url": "z"}]}, False),
        ("ext-1", "Extension", {"url": "x"}, False),
        ("ele-1", "Coding", {"id": "x"}, False),
        ("ele-1", "Coding", {"id": "x", "code": "y"}, True),
        ("tim-9", "Timing.repeat", {"offset": 1, "when": ["MORN"]}, True),
        ("tim-9", "Timing.repeat", {"offset": 1, "when": ["C"]}, False),
        ("tim-9", "Timing.repeat", {"offset": 1, "when": ["MORN", "EVE"]}, True),
        ("tim-9", "Timing.repeat", {"offset": 1, "when": ["MORN", "C"]}, False),
        ("tim-4", "Timing.repeat", {"duration": -1.5}, False),
        ("org-1", "Organization", {"name": "x"}, True),
        ("org-1", "Organization", {}, False),
        ("inv-1", "TestReport.setup.action", {"operation": {}, "assert": {}}, False),
        ("que-7", "Questionnaire.item.enableWhen", {"operator": "exists", "answerBoolean": True}, True),
        ("que-7", "Questionnaire.item.enableWhen", {"operator": "exists", "answerString": "x"}, False),
        ("ras-2", "RiskAssessment.prediction", {"probabilityDecimal": 101}, False),
        ("ras-2", "RiskAssessment.prediction", {"probabilityRange": {}}, True),
        ("vsd-0", "ValueSet", {"name": "Good"}, True),
        ("vsd-0", "ValueSet", {"name": "not good"}, False),
        ("vsd-0", "ValueSet", {}, True),
        ("bdl-8", "Bundle.entry", {}, True),
        ("bdl-11", "Bundle", {"type": "document", "entry": [{"resource": {"resourceType": "Composition"}}]}, True),
        ("bdl-11", "Bundle", {"type": "document", "entry": [{"resource": {"resourceType": "Patient"}}]}, False),
        ("bdl-7", "Bundle", {"type": "collection", "entry": [{"fullUrl": "a"}, {"fullUrl": "a"}]}, False),
        ("bdl-7", "Bundle", {"type": "history", "entry": [{"fullUrl": "a"}, {"fullUrl": "a"}]}, True),
    ],
)
def test_what_constraints_say(expression, name, value, holds) -> None:
    resource = {"resourceType": "Basic", "contained": [{"resourceType": "Patient", "id": "there"}]}
    (text,) = {c.expression for c, kind in constraints() if c.key == expression and kind == name}
    assert engine().predicate(text, name)(value, Around(resource, resource)) is holds


def test_the_value_of_a_primitive_may_come_as_a_node() -> None:
    holds = engine().predicate("empty() or ($this = '*') or (toInteger() >= 0)", "string")
    around = Around({}, {})
    assert holds("*", around)
    assert not holds("x", around)
    assert holds(Node("3", "string"), around)
    assert not holds(Node(None, "string", VALUELESS), around)


def test_an_expression_with_loop_variables_is_evaluated_generally() -> None:
    holds = engine().predicate("name.select($index).count() = name.count()", "Patient")
    assert holds({"name": [{"text": "a"}, {"text": "b"}]}, Around({}, {}))


def test_constraints_of_an_observation_cost_little() -> None:
    body = {"resourceType": "Observation", "status": "final", "code": {"coding": [{"code": "x"}]}, "valueString": "y"}
    around = Around(body, body)
    tests = [engine().predicate(c.expression, "Observation") for c in r4().type("Observation").constraints]
    rounds = 2000
    best = min(timed(tests, body, around, rounds) for _ in range(5))
    assert best / rounds / len(tests) < 2e-6


def timed(tests: list[Any], body: dict[str, Any], around: Around, rounds: int) -> float:
    started = time.process_time()
    for _ in range(rounds):
        for test in tests:
            test(body, around)
    return time.process_time() - started
