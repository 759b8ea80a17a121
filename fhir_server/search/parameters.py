"""The search parameters of a resource type, numbered and ready to be compiled (FHIR R4, 5.6 SearchParameter)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.search_parameter import SearchParameter
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.syntax import Binary, Call, Index, Name, Syntax, TypeOperation
from fhir_server.search.row import FACETS

CORE = "http://hl7.org/fhir/"
MOST_CODES = 2048
READABLE = frozenset({"token", "string", "date", "number", "quantity", "reference", "uri", "composite", "special"})

NOT_INDEXED: Mapping[str, str] = {
    "_text": "searches the narrative: the text index answers it",
    "_content": "searches the whole text: the text index answers it",
    "_filter": "is an expression over other parameters",
    "_query": "names a query that the server defines",
    "age": "changes from day to day: a search on birthDate answers it",
    "birthOrderBoolean": "has no expression in R4",
}
"""Parameters of R4 that have no expression, and why no rows are made for them."""


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite: the type of the parameter that defines it, and where it lies below the base."""

    type: str
    code: str
    expression: Syntax


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter of one resource type.

    `number` is a multiple of FACETS and the same for as long as `numbers` of its registry are kept. `expression` holds
    only the alternatives of this resource type; it is None where nothing is indexed, and `reason` says why.
    """

    number: int
    resource_type: str
    code: str
    type: str
    url: str
    expression: Syntax | None
    target: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    reason: str | None = None


class Parameters:
    """The registry: `of(type)` gives parameters by code, those added to the definitions at run time included.

    `numbers` are given out once and never change. A store that outlives the process keeps them and hands them back,
    since a parameter that was added in between would otherwise take another's number.
    """

    def __init__(self, definitions: Definitions, numbers: Mapping[str, int] | None = None) -> None:
        self.definitions = definitions
        self.numbers = dict(numbers or {})
        self._found: dict[str, Mapping[str, Parameter]] = {}
        self._blocks = {name: block for block, name in enumerate(sorted(definitions.resource_types), 1)}
        self._places: dict[str, int] = {}
        self.adopt(self.numbers)
        self._generation = definitions.generation

    def adopt(self, numbers: Mapping[str, int]) -> None:
        """Take over the numbers that a store has given out; those of parameters in use must be the same."""
        self.numbers.update(numbers)
        for key, number in numbers.items():
            name, place = key.partition(".")[0], number // FACETS % MOST_CODES
            self._places[name] = max(self._places.get(name, 0), place + 1)

    def of(self, resource_type: str) -> Mapping[str, Parameter]:
        """The parameters of a resource type by code."""
        if self._generation != self.definitions.generation:
            self._generation = self.definitions.generation
            self._found.clear()
        if resource_type not in self._found:
            self._found[resource_type] = self._parameters(resource_type)
        return self._found[resource_type]

    def numbers_of(self, resource_type: str) -> Iterator[tuple[str, int, str]]:
        """The key, the number and the type of each parameter of a resource type, without a look at its expression."""
        for definition in self._core_first(resource_type):
            yield number_key(resource_type, definition), self._number(resource_type, definition), definition.type

    def numbers_for(self, definition: SearchParameter) -> Iterator[tuple[str, int, str]]:
        """The same for a definition in each resource type that it is for, before it is known."""
        for name in types_of(definition, self.definitions):
            yield number_key(name, definition), self._number(name, definition), definition.type

    def _core_first(self, resource_type: str) -> list[SearchParameter]:
        definitions = self.definitions.search_parameters(resource_type).values()
        return sorted(definitions, key=lambda d: (not d.url.startswith(CORE), d.code))

    def _parameters(self, resource_type: str) -> Mapping[str, Parameter]:
        return {d.code: self._parameter(resource_type, d) for d in self._core_first(resource_type)}

    def _number(self, resource_type: str, definition: SearchParameter) -> int:
        key = number_key(resource_type, definition)
        if key not in self.numbers:
            place = self._places.get(resource_type, 0)
            self._places[resource_type] = place + 1
            self.numbers[key] = FACETS * (MOST_CODES * self._blocks[resource_type] + place)
        return self.numbers[key]

    def _parameter(self, resource_type: str, definition: SearchParameter) -> Parameter:
        tree, reason = self._expression(resource_type, definition)
        return Parameter(
            number=self._number(resource_type, definition),
            resource_type=resource_type,
            code=definition.code,
            type=definition.type,
            url=definition.url,
            expression=tree,
            target=definition.target,
            components=self._components(definition) if tree is not None else (),
            reason=reason,
        )

    def _expression(self, resource_type: str, definition: SearchParameter) -> tuple[Syntax | None, str | None]:
        if definition.type not in READABLE:
            return None, f"is of the unknown type {definition.type}"
        if definition.expression is None:
            return None, NOT_INDEXED.get(definition.code, "has no expression")
        try:
            tree = parse(definition.expression)
            for component in definition.components:
                parse(component.expression)
        except FHIRPathError as error:
            return None, f"has an expression that cannot be read: {error}"
        own = own_alternatives(tree, resource_type, self.definitions)
        return own, None if own is not None else "has an expression about other resource types"

    def _components(self, definition: SearchParameter) -> tuple[Component, ...]:
        """The components of a composite, each of the type of the parameter that its canonical names."""
        found = []
        for component in definition.components:
            named = self.definitions.search_parameter(component.definition)
            code = named.code if named else component.definition.rpartition("/")[2]
            found.append(Component(named.type if named else "", code, parse(component.expression)))
        return tuple(found)


def number_key(resource_type: str, definition: SearchParameter) -> str:
    """What a parameter's number is kept under; those that are not of R4 may come again with another type."""
    key = f"{resource_type}.{definition.code}"
    return key if definition.url.startswith(CORE) else f"{key}:{definition.type}"


def types_of(definition: SearchParameter, definitions: Definitions) -> Iterator[str]:
    """The resource types that a parameter is for."""
    for name in sorted(definitions.resource_types):
        if any(definitions.is_subtype(name, base) for base in definition.base):
            yield name


def own_alternatives(tree: Syntax, resource_type: str, definitions: Definitions) -> Syntax | None:
    """The alternatives of a union that can be about a resource type; None when there is none."""
    if isinstance(tree, Binary) and tree.operator == "|":
        left = own_alternatives(tree.left, resource_type, definitions)
        right = own_alternatives(tree.right, resource_type, definitions)
        if left is None or right is None:
            return left or right
        return Binary(tree.position, "|", left, right)
    head = head_of(tree)
    if head is None or head not in definitions.resource_types:
        return tree
    return tree if head == resource_type else None


def head_of(tree: Syntax) -> str | None:
    """The name that a path starts with."""
    while True:
        match tree:
            case Name(name=name, source=None):
                return name
            case Name(source=Syntax() as source) | Call(source=Syntax() as source) | Index(source=source):
                tree = source
            case TypeOperation(operand=operand):
                tree = operand
            case _:
                return None
