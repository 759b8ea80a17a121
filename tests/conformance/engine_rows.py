"""Index rows by the general FHIRPath engine, parameter by parameter, to compare with the one walk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.environment import ReferencedTypes
from fhir_server.fhirpath.node import Node, plain
from fhir_server.fhirpath.syntax import Syntax, text
from fhir_server.search.index import Indexer
from fhir_server.search.leaf import Leaf
from fhir_server.search.param_types.composite import Part, join_rows, parts_of
from fhir_server.search.parameters import Parameter
from fhir_server.search.reading import writer
from fhir_server.search.row import Rows
from tests.conformance.naive_rows import Cells

Owners = Mapping[int, str]


def owners(definitions: Definitions, value: Any, name: str) -> Iterator[tuple[int, str]]:
    """The identity of each object below a value, with the name of its type."""
    if isinstance(value, list):
        for item in value:
            yield from owners(definitions, item, name)
    elif isinstance(value, dict):
        own = value.get("resourceType", name)
        yield id(value), own
        members = definitions.type(own).members if definitions.has_type(own) else {}
        for key, part in value.items():
            if key in members:
                yield from owners(definitions, part, members[key].type)


class EngineReader:
    """Reads rows through Engine.compile and the same writers."""

    def __init__(self, indexer: Indexer) -> None:
        self.indexer = indexer
        self.definitions = indexer.definitions
        self.engine = Engine(indexer.definitions)
        self.environment = ReferencedTypes(indexer.definitions.resource_types)

    def rows(self, parameter: Parameter, resource: Any, known: Owners) -> Cells:
        """The rows of one parameter."""
        assert parameter.expression is not None
        rows: Rows = []
        for node in self.select(parameter.expression, resource, resource, parameter.resource_type):
            if parameter.type != "composite":
                if not (isinstance(node, Node) and node.type in self.definitions.resource_types) or (
                    node.type in parameter.target
                ):
                    self.write(node, parameter.type, parameter.number, rows, resource, known)
                continue
            parts = self.parts(parameter, node, resource, known)
            join_rows((parameter.number,), parts, rows)
        return set(rows)

    def parts(self, parameter: Parameter, node: Any, resource: Any, known: Owners) -> list[list[Part]]:
        """The parts of each component at one base."""
        found = []
        kinds = [component.type for component in parameter.components]
        for component in parameter.components:
            items = self.select(component.expression, node, resource, None)
            for kind in [component.type, *kinds]:
                cells: Rows = []
                for item in items:
                    self.write(item, kind, 0, cells, resource, known)
                if cells:
                    break
            found.append(parts_of(kind, cells))
        return found

    def select(self, expression: Syntax, value: Any, resource: Any, name: str | None) -> list[Any]:
        """What an expression yields; R4 once writes DateTime for dateTime."""
        source = text(expression).replace("ofType(DateTime)", "ofType(dateTime)")
        compiled = self.engine.compile(source, name, strict=False)
        return compiled.evaluate(value, resource=resource, environment=self.environment)

    def write(self, item: Any, kind: str, number: int, rows: Rows, resource: Any, known: Owners) -> None:
        """Add the rows of one item."""
        if not isinstance(item, Node):
            leaf = Leaf((number,), "boolean", None, self.indexer.context)
            value, member = plain(item), None
        else:
            member = self.member(item, known)
            value, name = item.value, item.type
            if name == "Extension":
                key = next((key for key in value if key.startswith("value")), None)
                member = self.definitions.type("Extension").members[key] if key else None
                value, name = (value[key], member.type) if key and member else (None, name)
            leaf = Leaf((number,), name, member, self.indexer.context)
        write = writer(kind, leaf)
        if write is not None and value is not None:
            write(value, rows, resource)

    def member(self, node: Node, known: Owners) -> Member | None:
        """The member of its owner's type that a node is."""
        name = known.get(id(node.owner)) if node.owner is not None else None
        return self.definitions.type(name).members.get(node.key) if name else None


def differences(reader: EngineReader, resource: Any) -> Iterator[tuple[str, Cells, Cells]]:
    """For each parameter its type and code, and the rows that only the walk or only the engine found.

    The engine cannot tell the type of a reference by `Reference.type` or by what the element allows, so behind
    resolve() rows of the walk alone are no difference.
    """
    kind = resource["resourceType"]
    known = dict(owners(reader.definitions, resource, kind))
    by_walk: dict[int, Cells] = {}
    for row in reader.indexer.rows(resource):
        by_walk.setdefault(row[0] & ~7, set()).add(row)
    for code, parameter in reader.indexer.parameters.of(kind).items():
        if parameter.expression is not None:
            walked = by_walk.get(parameter.number, set())
            evaluated = reader.rows(parameter, resource, known)
            resolves = "resolve()" in text(parameter.expression)
            yield f"{kind}.{code}", set() if resolves else walked - evaluated, evaluated - walked
