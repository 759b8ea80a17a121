"""Every search parameter over every official example: the rows of one walk against fhirpathpy and a naive conversion.

fhirpathpy selects the elements, with the R4 model and the expressions of the raw package; `naive_rows` turns them into
rows. One result per resource type and parameter; the table below says where the expression had to be put differently,
because fhirpathpy cannot evaluate it as R4 wrote it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import fhirpathpy
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

from fhir_server.definitions.registry import r4
from fhir_server.search.index import Indexer
from fhir_server.search.parameters import Parameter
from fhir_server.search.path import paths
from fhir_server.search.row import FACETS
from tests.conformance.engine_rows import EngineReader, differences
from tests.conformance.examples_round_trip import examples
from tests.conformance.naive_rows import Cells, Json, Package, Writer, joined
from tests.conformance.result import Result

CORE = "data/fhir/hl7.fhir.r4.core-4.0.1.tgz"

REWRITTEN: tuple[tuple[str, str, str], ...] = (
    (r"\(\s*([\w.]+) as (\w+)\s*\)", r"\1.ofType(\2)", "`as` fails on lists, where R4 means ofType()"),
    (r"([\w.]+) as (\w+)", r"\1.ofType(\2)", "the same without parentheses"),
    (r"\.as\((\w+)\)", r".ofType(\1)", "the same as a function"),
    (r"ofType\(DateTime\)", "ofType(dateTime)", "R4 writes DateTime for dateTime in Observation's code-value-date"),
    (r"\b(?:Domain)?Resource\.", "", "fhirpathpy takes the names of abstract types for elements"),
    (r"hasExtension\(('[^']*')\)", r"extension(\1).exists()", "fhirpathpy lacks hasExtension()"),
)
"""Pattern, replacement and reason."""

RESOLVING = re.compile(r"(.*)\.where\(resolve\(\) is (\w+)\)")
"""fhirpathpy lacks resolve(): the references before it are filtered by the type that their text shows."""

SWAPPED = {"DocumentReference-relationship": ("token", "reference")}
"""R4 gives these components each other's definitions; they are read by what their elements are."""

SAMPLES: dict[str, Json] = {
    "CodeableConcept": {
        "coding": [{"system": "http://loinc.org", "code": "8480-6", "display": "Huyết áp"}], "text": "Đo",
    },
    "Coding": {"system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
    "Identifier": {"system": "urn:a", "value": "A-1", "type": {"text": "Sổ", "coding": [{"code": "MR"}]}},
    "ContactPoint": {"system": "phone", "value": "+84 (24) 3.123-456"},
    "code": "active", "boolean": True, "string": "Nguyễn Văn, Ơn", "markdown": "Đường *Trần*", "id": "a-1",
    "uri": "http://a/b", "url": "http://a/b", "canonical": "http://a/b|1.0#c", "oid": "urn:oid:1.2",
    "HumanName": {"family": "Nguyễn Thị", "given": ["An"], "text": "Nguyễn Thị An"},
    "Address": {"line": ["12/3 Lê Lợi"], "city": "Huế", "text": "12/3 Lê Lợi, Huế"},
    "date": "2020-02", "dateTime": "2020-02-29T23:59:59.5+07:00", "instant": "2020-12-31T23:59:59Z",
    "Period": {"start": "2020"},
    "Timing": {"event": ["2020-02-29", "2019"], "repeat": {"boundsPeriod": {"end": "2021"}}},
    "integer": 3, "positiveInt": 3, "unsignedInt": 3, "decimal": 1.5,
    "Quantity": {"value": 5.4, "system": "http://unitsofmeasure.org", "code": "mg", "unit": "milligram"},
    "Age": {"value": 40, "comparator": "<", "system": "http://unitsofmeasure.org", "code": "a"},
    "Duration": {"value": 90, "system": "http://unitsofmeasure.org", "code": "min"},
    "Money": {"value": 15000, "currency": "VND"},
    "Range": {"low": {"value": 1, "unit": "cm"}, "high": {"value": 2, "unit": "cm"}},
    "SampledData": {"origin": {"value": 2}, "period": 1, "dimensions": 1, "factor": 0.5, "data": "1 E -3 4.5"},
    "Reference": {
        "reference": "http://x.org/fhir/Patient/1/_history/2", "identifier": {"system": "urn:a", "value": "1"},
    },
    "Location.position": {"latitude": 21.03, "longitude": 105.85},
}  # fmt: skip
"""A value of each type that parameters look at."""

Selected = Iterator[tuple[str, Json]]


class Selector:
    """Selects by fhirpathpy."""

    def __init__(self) -> None:
        self.compiled: dict[str, Callable[..., list[Any]]] = {}

    def select(self, expression: str, value: Any, resource: Json) -> Selected:
        """Type and value of what an expression yields; an extension gives its value."""
        if expression not in self.compiled:
            self.compiled[expression] = fhirpathpy.compile(expression, models["r4"], {"returnRawData": True})
        for item in self.compiled[expression](value, {"resource": resource}):
            name, data = (item.path, item.data) if isinstance(item, ResourceNode) else ("", item)
            if isinstance(data, bool):
                name = "boolean"
            if name == "Extension":
                key = next((key for key in data if key.startswith("value")), "")
                name, data = key[5:], data.get(key)
                name = name if name[:1] + name[1:] in models["r4"]["type2Parent"] else name[:1].lower() + name[1:]
            yield {"System.String": "id"}.get(name, name), data


def branches(expression: str, resource_type: str) -> list[str]:
    """The alternatives that are about a resource type, as fhirpathpy can evaluate them."""
    for pattern, replacement, _ in REWRITTEN:
        expression = re.sub(pattern, replacement, expression)
    parts = [part.strip() for part in re.split(r"\s\|\s", expression)]
    return [part for part in parts if not part[0].isupper() or re.match(r"\w+", part)[0] == resource_type]  # type: ignore[index]


def element_path(expression: str, resource_type: str) -> str:
    """The dotted path of an expression without its functions."""
    bare = re.sub(r"\.(where|ofType|extension)\((?:[^()]|\([^()]*\))*\)", "", expression)
    return bare if bare.startswith(resource_type + ".") else f"{resource_type}.{bare}"


class Oracle:
    """The rows of parameters, found independently."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.writer = Writer(package)
        self.selector = Selector()

    def cells(self, parameter: Parameter, resource: Json) -> Cells:
        """The cells of a parameter."""
        definition = self.package.search_parameters[parameter.url]
        kind = parameter.resource_type
        found: Cells = set()
        for branch in branches(definition["expression"], kind):
            if parameter.type == "composite":
                found |= self.composite(definition, branch, resource)
            else:
                found |= self.simple(parameter.type, branch, kind, resource, resource, definition.get("target", ()))
        return found

    def simple(
        self, kind: str, expression: str, start: str, value: Any, resource: Json, target: Iterable[str]
    ) -> Cells:
        """The cells of one alternative."""
        resolving = RESOLVING.fullmatch(expression)
        path = element_path(resolving[1] if resolving else expression, start)
        found: Cells = set()
        for name, data in self.selector.select(resolving[1] if resolving else expression, value, resource):
            if data is None or (resolving and self.writer.target_type(data, resource, path) != resolving[2]):
                continue
            if name not in self.writer.types or name in target:
                found |= self.writer.cells(kind, name, data, path, resource)
        return found

    def composite(self, definition: Json, base: str, resource: Json) -> Cells:
        """The cells of a composite below one alternative of its base."""
        found: Cells = set()
        compiled = fhirpathpy.compile(base, models["r4"], {"returnRawData": True})
        for node in compiled(resource, {}):
            parts = []
            for place, component in enumerate(definition["component"]):
                kinds = SWAPPED.get(definition["id"])
                named = self.package.search_parameters[component["definition"]]
                kind = kinds[place] if kinds else named["type"]
                cells: Cells = set()
                for branch in branches(component["expression"], "-"):
                    cells |= self.simple(kind, branch, node.path, node, resource, ())
                parts.append((kind, cells))
            found |= joined(parts)
        return found


def compare(oracle: Oracle, indexer: Indexer, resource: Json) -> Iterator[tuple[str, Cells, Cells]]:
    """For each parameter of the resource's type its name, the rows that are too many and those that are missing."""
    kind = resource["resourceType"]
    ours: dict[int, Cells] = defaultdict(set)
    for row in indexer.rows(resource):
        ours[row[0] - row[0] % FACETS].add((row[0] % FACETS, *row[1:]))
    for code, parameter in indexer.parameters.of(kind).items():
        if parameter.expression is not None:
            expected = oracle.cells(parameter, resource)
            found = ours[parameter.number]
            yield f"{kind}.{code}", found - expected, expected - found


def synthetic(parameter: Parameter) -> Iterator[Json]:
    """Resources that have one value where a parameter looks, for each of its paths."""
    assert parameter.expression is not None
    for path in paths(parameter.expression, parameter.resource_type, r4()) or ():
        value = SAMPLES.get(path.type)
        if value is None or not path.steps:
            continue
        if path.only:
            value = {"reference": f"{path.only}/1"}
        for step in reversed(path.steps):
            if step.filters:
                value = {**value, **{condition.key: condition.value for condition in step.filters}}
            value = {step.member.key: [value] if step.member.many else value}
        yield {"resourceType": parameter.resource_type, **value}


def run(shared: Path, limit: int | None = None, seed: int = 0) -> list[Result]:
    """Two results for every parameter of every type: equal rows by fhirpathpy, and by the general engine.

    Compared on all examples and on a made resource for each path; `limit` takes a spread of them.
    """
    oracle, indexer = Oracle(Package(shared / CORE)), Indexer(r4())
    reader = EngineReader(indexer)
    notes: dict[str, str] = {}
    for name, body in resources(shared, indexer, limit, seed):
        by_engine = [(f"{code} by engine", more, less) for code, more, less in differences(reader, body)]
        for parameter, extra, missing in [*compare(oracle, indexer, body), *by_engine]:
            notes.setdefault(parameter, "")
            if (extra or missing) and not notes[parameter]:
                notes[parameter] = f"{name}: too many {first(extra)}, missing {first(missing)}"
    return [Result(name, not note, note) for name, note in sorted(notes.items())]


def first(cells: Cells) -> list[tuple[Any, ...]]:
    """A few of the cells."""
    return sorted(cells, key=str)[:3]


def resources(shared: Path, indexer: Indexer, limit: int | None, seed: int) -> Iterator[tuple[str, Json]]:
    """The official examples, then the made resources."""
    chosen = [(name, raw) for name, raw in examples(shared) if b'"resourceType"' in raw]
    step = max(1, len(chosen) // limit) if limit else 1
    for name, raw in chosen[seed % step :: step]:
        body = json.loads(raw)
        if "resourceType" in body:
            yield name, body
    for number, kind in enumerate(sorted(r4().resource_types)):
        if (number + seed) % step == 0:
            for code, parameter in indexer.parameters.of(kind).items():
                if parameter.expression is not None:
                    yield from ((f"made for {kind}.{code}", body) for body in synthetic(parameter))
