"""A view run on resources, one at a time (SQL on FHIR v2, processing algorithm)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Issue
from fhir_server.fhirpath.engine import Engine, Expression
from fhir_server.fhirpath.environment import ReferencedTypes
from fhir_server.fhirpath.evaluation import Evaluation, Frame
from fhir_server.fhirpath.function import Table
from fhir_server.fhirpath.functions import FUNCTIONS as PLAIN
from fhir_server.fhirpath.node import Node, plain
from fhir_server.national.definition import ROW_INDEX, Column, InvalidView, Select, View

JOIN = PLAIN["join"]


def join(frame: Frame, focus: list[Any], *separator: list[Any]) -> list[Any]:
    """The strings in one; FHIRPath makes nothing of nothing, and SQL on FHIR the empty text: so its tests have it."""
    return JOIN.evaluate(frame, focus, *separator) or [""]


FUNCTIONS: Table = {**PLAIN, "join": replace(JOIN, evaluate=join)}
"""The functions that the paths of a view know."""

MOST_ROWS_OF_ONE = 100_000
"""The rows that one resource may become: joined loops multiply."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Focus:
    """Where a select stands: an item (None for the row of an empty forEachOrNull) and its place in its loop."""

    item: Any
    index: int


def view_engine(definitions: Definitions) -> Engine:
    """Return the engine of views; a reference is followed as far as its type can be seen."""
    return Engine(definitions, ReferencedTypes(definitions.resource_types), strict=False, functions=FUNCTIONS)


class Runner:
    """Runs one view. Rows hold plain JSON values: decimals as Decimal, dates as text, None for nothing."""

    def __init__(self, engine: Engine, view: View) -> None:
        self._engine = engine
        self._view = view
        self.columns = view.columns

    def rows(self, resource: Mapping[str, Any]) -> list[Row]:
        """The rows of a resource, none for one that the view is not about; raise InvalidView where a value is none."""
        if resource.get("resourceType") != self._view.resource:
            return []
        root = self._engine.node(dict(resource) if not isinstance(resource, dict) else resource)
        run = _Run(self._engine, root, {name: [value] for name, value in self._view.constants.items()})
        focus = Focus(root, 0)
        if not all(run.holds(path, focus) for path in self._view.where):
            return []
        return run.select(self._view.root, focus)

    def all_rows(self, resources: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
        """Yield the rows of resources, in their order."""
        for resource in resources:
            yield from self.rows(resource)


class _Run:
    """A view on one resource."""

    def __init__(self, engine: Engine, root: Node, constants: Mapping[str, list[Any]]) -> None:
        self._engine = engine
        self._root = root
        self._constants = constants

    def values(self, path: Expression, focus: Focus) -> list[Any]:
        # The row of an empty forEachOrNull holds nothing but its number.
        if focus.item is None and ROW_INDEX not in path.source:
            return []
        engine = self._engine
        variables = {**self._constants, ROW_INDEX: [focus.index]}
        context = [] if focus.item is None else [focus.item]
        return path.run(Evaluation(
            engine.model, engine.environment, engine.clock, context, self._root, self._root, variables
        ))  # fmt: skip

    def holds(self, path: Expression, focus: Focus) -> bool:
        found = [plain(item) for item in self.values(path, focus)]
        if not found:
            return False
        if len(found) > 1 or not isinstance(found[0], bool):
            raise _unfit(f"where {path.source} is not one boolean")
        return found[0]

    def select(self, select: Select, focus: Focus) -> list[Row]:
        rows: list[Row] = []
        for each in self._foci(select, focus):
            rows += self._joined(select, each)
            if len(rows) > MOST_ROWS_OF_ONE:
                raise _unfit(f"one resource becomes more than {MOST_ROWS_OF_ONE:,} rows")
        return rows

    def _foci(self, select: Select, focus: Focus) -> list[Focus]:
        if not select.loop:
            return [focus]
        if select.loop == "repeat":
            found = self._repeated(select.paths, focus)
        else:
            found = self.values(select.paths[0], focus)
        if not found and select.loop == "forEachOrNull":
            return [Focus(None, 0)]
        return [Focus(item, index) for index, item in enumerate(found)]

    def _repeated(self, paths: tuple[Expression, ...], focus: Focus) -> list[Any]:
        """What the paths lead to, and lead to from there: parents before their children."""
        found: list[Any] = []
        waiting = self._children(paths, focus)
        while waiting:
            item = waiting.pop()
            found.append(item)
            if len(found) > MOST_ROWS_OF_ONE:
                raise _unfit(f"repeat goes on for more than {MOST_ROWS_OF_ONE:,} items")
            waiting += self._children(paths, replace(focus, item=item))
        return found

    def _children(self, paths: tuple[Expression, ...], focus: Focus) -> list[Any]:
        items = [item for path in paths for item in self.values(path, focus)]
        # An item that leads to itself would do so for ever.
        return [item for item in reversed(items) if item is not focus.item]

    def _joined(self, select: Select, focus: Focus) -> list[Row]:
        rows: list[Row] = [{column.name: self._cell(column, focus) for column in select.columns}]
        for part in select.parts:
            rows = _product(rows, self.select(part, focus))
        if select.unions:
            rows = _product(rows, [row for union in select.unions for row in self.select(union, focus)])
        return rows

    def _cell(self, column: Column, focus: Focus) -> Any:
        found = [plain(item) for item in self.values(column.path, focus)]
        if column.collection:
            return found
        if len(found) > 1:
            raise _unfit(f"column {column.name} finds {len(found)} values: set collection, or use first()")
        return found[0] if found else None


def _product(rows: list[Row], others: list[Row]) -> list[Row]:
    if len(rows) * len(others) > MOST_ROWS_OF_ONE:
        raise _unfit(f"one resource becomes more than {MOST_ROWS_OF_ONE:,} rows")
    return [{**row, **other} for row in rows for other in others]


def _unfit(text: str) -> InvalidView:
    return InvalidView(Issue("error", "invalid", f"The view cannot be run: {text}."))
