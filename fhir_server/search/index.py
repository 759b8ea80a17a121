"""The door to index extraction: the rows of a resource for all of its search parameters (FHIR R4, 3.1.1 Search).

`fhir_server.search.row` says what rows hold and how each form of search uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server import ucum
from fhir_server.definitions.registry import Definitions
from fhir_server.fhirpath.engine import Engine
from fhir_server.search.contained import contained_rows
from fhir_server.search.free import FreeReader
from fhir_server.search.leaf import Context, Leaf, Write
from fhir_server.search.param_types.date import span_in
from fhir_server.search.parameters import Component, Parameter, Parameters
from fhir_server.search.path import Path, paths
from fhir_server.search.reading import readable_type
from fhir_server.search.row import Row, Rows
from fhir_server.search.walk import Branch, Slot, in_turn, walker

VIET_NAM = ZoneInfo("Asia/Ho_Chi_Minh")
WRONG_SHAPE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading a value raises when it is not of the shape that its type has."""


class Indexer:
    """Reads the index rows of resources; what it compiled is renewed when the definitions grow.

    `zone` is where dates without a zone are, `bases` are this server's own base URLs, below which an absolute reference
    is the same as a relative one, and `numbers` are those that a store kept (see Parameters).
    """

    def __init__(
        self,
        definitions: Definitions,
        *,
        zone: tzinfo = VIET_NAM,
        bases: Iterable[str] = (),
        numbers: Mapping[str, int] | None = None,
        canonical: Callable[[Decimal, str], tuple[Decimal, str] | None] = ucum.canonical,
    ) -> None:
        self.definitions = definitions
        self.parameters = Parameters(definitions, numbers)
        self.context = Context(definitions, frozenset(base.rstrip("/") for base in bases), canonical, span_in(zone))
        self._engine = Engine(definitions)
        self._writers: dict[str, Write] = {}
        self._generation = definitions.generation

    def rows(self, resource: Mapping[str, Any], container: Mapping[str, Any] | None = None) -> Rows:
        """The distinct rows of a resource; `container` is given for one that is contained in another.

        A parameter that meets a value of a wrong shape, as only an unchecked resource has, gives no rows.
        """
        self._renew()
        kind = resource["resourceType"]
        write = self._writers.get(kind)
        if write is None:
            write = self._writers[kind] = self.writer(kind)
        rows: Rows = []
        try:
            write(resource, rows, resource if container is None else container)
            return list(dict.fromkeys(rows))
        except WRONG_SHAPE:
            return self.rows_of(resource, self.parameters.of(kind), container)

    def all_rows(self, resource: Mapping[str, Any]) -> Rows:
        """The rows of a resource, and those of what it contains."""
        found = self.rows(resource)
        if "contained" in resource:
            more = contained_rows(resource, self.definitions.resource_types, self.rows)
            found = list(dict.fromkeys((*found, *more)))
        return found

    def rows_of(
        self, resource: Mapping[str, Any], codes: Iterable[str], container: Mapping[str, Any] | None = None
    ) -> Rows:
        """The distinct rows of a resource for some parameters, as when one was added after the resource was stored."""
        self._renew()
        found: dict[Row, None] = {}
        for code in codes:
            rows: Rows = []
            with suppress(*WRONG_SHAPE):
                self._single(resource["resourceType"], code)(resource, rows, container or resource)
                found.update(dict.fromkeys(rows))
        return list(found)

    def _renew(self) -> None:
        if self._generation != self.definitions.generation:
            self._generation = self.definitions.generation
            self._writers.clear()

    def _single(self, resource_type: str, code: str) -> Write:
        key = f"{resource_type}.{code}"
        if key not in self._writers:
            self._writers[key] = self.writer(resource_type, [self.parameters.of(resource_type)[code]])
        return self._writers[key]

    def writer(self, resource_type: str, parameters: Iterable[Parameter] | None = None) -> Write:
        """The closure for a resource type: one walk for all paths, then what only the engine can evaluate."""
        root, free = Branch(), []
        reader = FreeReader(self._engine, self.context)
        for parameter in self.parameters.of(resource_type).values() if parameters is None else parameters:
            if parameter.expression is None or self.merge(parameter, root):
                continue
            write = reader.parameter(parameter)
            if write is not None:
                free.append(write)
        return in_turn((walker(root, self.context), *free))

    def merge(self, parameter: Parameter, root: Branch) -> bool:
        """Enter a parameter into the tree of paths; False where its expression is no union of paths."""
        assert parameter.expression is not None
        found = paths(parameter.expression, parameter.resource_type, self.definitions)
        if found is None:
            return False
        if parameter.type != "composite":
            for path in found:
                root.read(path, parameter.type, parameter.number)
            return True
        joins = {path: self.slots(parameter.components, path) for path in found}
        for path, slots in joins.items():
            if slots is not None:
                root.join(path, slots, parameter.number)
        return None not in joins.values()

    def slots(self, components: tuple[Component, ...], base: Path) -> tuple[Slot, ...] | None:
        """The components of a composite at one of its bases; None where one is no union of paths."""
        found = []
        for component in components:
            parts = paths(component.expression, base.type, self.definitions)
            if not parts or not all(part.steps for part in parts):
                return None
            leaves = [Leaf((0,), part.type, part.steps[-1].member, self.context) for part in parts]
            others = [other for other in components if other is not component]
            found.append(Slot(readable_type(component, others, leaves), parts))
        return tuple(found)
