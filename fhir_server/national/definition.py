"""A ViewDefinition read from its JSON, with everything refused that cannot be run (SQL on FHIR v2, ViewDefinition)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.errors import Issue, Unprocessable
from fhir_server.fhirpath import syntax
from fhir_server.fhirpath.compiler import VARIABLES, constant
from fhir_server.fhirpath.engine import Engine, Expression
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.static import SYSTEM, may_be

ROW_INDEX = "rowIndex"
MOST_DEPTH = 20
IS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,254}").fullmatch
CONSTANT_TYPES = {
    f"value{kind[0].upper()}{kind[1:]}": kind
    for kind in (
        "base64Binary boolean canonical code date dateTime decimal id instant integer integer64 oid string "
        "positiveInt time unsignedInt uri url uuid"
    ).split()
}
LOOPS = ("forEach", "forEachOrNull", "repeat")

Json = Mapping[str, Any]


class InvalidView(Unprocessable):
    """A view that cannot be run; it says where and why."""

    code = "invalid"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, what it holds of each row's focus, its FHIR type ("" where nobody says), whether a list."""

    name: str
    path: Expression
    type: str
    collection: bool


@dataclass(frozen=True, slots=True)
class Select:
    """Rows from a focus: `loop` is one of LOOPS, or empty for the focus itself; parts are joined, unions appended."""

    loop: str
    paths: tuple[Expression, ...]
    columns: tuple[Column, ...]
    parts: tuple[Select, ...]
    unions: tuple[Select, ...]

    def all_columns(self) -> Iterator[Column]:
        """Yield the columns of its rows, in their order."""
        yield from self.columns
        for part in self.parts:
            yield from part.all_columns()
        if self.unions:
            yield from self.unions[0].all_columns()


@dataclass(frozen=True, slots=True)
class View:
    """A view: rows about resources of a type for which all of `where` hold."""

    name: str
    resource: str
    constants: Mapping[str, Node]
    where: tuple[Expression, ...]
    root: Select

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a row."""
        return tuple(self.root.all_columns())


def read_view(engine: Engine, body: Any) -> View:
    """Return a view from its JSON; raise InvalidView."""
    return _Reading(engine).view(body)


class _Reading:
    """Reads one definition."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._constants: dict[str, Node] = {}

    def view(self, body: Any) -> View:
        if not isinstance(body, dict):
            raise _invalid("A ViewDefinition is a JSON object.", "ViewDefinition")
        kind = body.get("resource")
        if not isinstance(kind, str) or kind not in self._engine.model.definitions.resource_types:
            raise _invalid(f"It must name a resource type of R4, not {str(kind)[:80]!r}.", "ViewDefinition.resource")
        for index, item in enumerate(_listed(body, "constant", "ViewDefinition")):
            self._constant(item, f"ViewDefinition.constant[{index}]")
        where = tuple(self._where(kind, body))
        selects = _listed(body, "select", "ViewDefinition")
        if not selects:
            raise _invalid("A view needs at least one select.", "ViewDefinition.select")
        parts = tuple(
            self._select(item, f"ViewDefinition.select[{index}]", kind, 0) for index, item in enumerate(selects)
        )
        root = Select("", (), (), parts, ())
        _refuse_twins(root)
        name = body.get("name")
        return View(name if isinstance(name, str) else "", kind, self._constants, where, root)

    def _constant(self, item: Any, where: str) -> None:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or IS_NAME(name) is None:
            raise _invalid(f"A constant needs a name of letters, digits and _, not {str(name)[:80]!r}.", where)
        values = [(key, value) for key, value in item.items() if key in CONSTANT_TYPES]
        if len(values) != 1 or values[0][1] is None or isinstance(values[0][1], dict | list):
            raise _invalid(f"The constant {name} needs one value[x] of a primitive type.", where)
        key, value = values[0]
        self._constants[name] = Node(value, CONSTANT_TYPES[key])

    def _where(self, kind: str, body: Json) -> Iterator[Expression]:
        for index, item in enumerate(_listed(body, "where", "ViewDefinition")):
            where = f"ViewDefinition.where[{index}].path"
            path = self._path(item.get("path") if isinstance(item, dict) else None, where, kind)
            if not may_be(path.static, ("Boolean",)):
                raise _invalid(f"{path.source} can never be true or false.", where)
            yield path

    def _select(self, item: Any, where: str, kind: str | None, depth: int) -> Select:
        if not isinstance(item, dict):
            raise _invalid("A select is a JSON object.", where)
        if depth > MOST_DEPTH:
            raise _invalid(f"Selects stand in each other deeper than {MOST_DEPTH}.", where)
        loops = [name for name in LOOPS if item.get(name) is not None]
        if len(loops) > 1:
            raise _invalid(f"A select has one of {', '.join(LOOPS)}, not {' and '.join(loops)}.", where)
        loop = loops[0] if loops else ""
        paths = self._loop_paths(item, loop, where, kind)
        inner = kind if not loop else _only_type(paths)
        columns = tuple(
            self._column(column, f"{where}.column[{index}]", inner)
            for index, column in enumerate(_listed(item, "column", where))
        )
        parts = self._selects(item, "select", where, inner, depth)
        unions = self._selects(item, "unionAll", where, inner, depth)
        names = {tuple(column.name for column in each.all_columns()) for each in unions}
        if len(names) > 1:
            raise _invalid("The parts of a unionAll must have the same columns in the same order.", where)
        if not columns and not parts and not unions:
            raise _invalid("A select needs column, select or unionAll.", where)
        return Select(loop, paths, columns, parts, unions)

    def _selects(self, item: Json, key: str, where: str, kind: str | None, depth: int) -> tuple[Select, ...]:
        listed = enumerate(_listed(item, key, where))
        return tuple(self._select(each, f"{where}.{key}[{index}]", kind, depth + 1) for index, each in listed)

    def _loop_paths(self, item: Json, loop: str, where: str, kind: str | None) -> tuple[Expression, ...]:
        if not loop:
            return ()
        if loop != "repeat":
            return (self._path(item[loop], f"{where}.{loop}", kind),)
        listed = _listed(item, "repeat", where)
        if not listed:
            raise _invalid("A repeat needs a path.", f"{where}.repeat")
        # The same paths are walked from what they lead to, which is of any type.
        return tuple(self._path(path, f"{where}.repeat[{index}]", None) for index, path in enumerate(listed))

    def _column(self, item: Any, where: str, kind: str | None) -> Column:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or IS_NAME(name) is None:
            raise _invalid(f"A column needs a name of letters, digits and _, not {str(name)[:80]!r}.", where)
        path = self._path(item.get("path"), f"{where}.path", kind)
        collection, declared = item.get("collection", False), item.get("type")
        if not isinstance(collection, bool):
            raise _invalid("collection is true or false.", f"{where}.collection")
        if declared is not None and not isinstance(declared, str):
            raise _invalid("type is the name of a FHIR type.", f"{where}.type")
        return Column(name, path, (declared or "").rpartition("/")[2] or inferred(path), collection)

    def _path(self, source: Any, where: str, kind: str | None) -> Expression:
        if not isinstance(source, str) or not source.strip():
            raise _invalid(f"A path is a FHIRPath expression, not {str(source)[:80]!r}.", where)
        try:
            path = self._engine.compile(source, kind, strict=False)
        except FHIRPathError as error:
            raise _invalid(str(error), where) from None
        for part in syntax.walk(path.tree):
            if isinstance(part, syntax.Variable) and not self._knows(part.name):
                raise _invalid(f"%{part.name} is no constant of this view.", where)
        return path

    def _knows(self, name: str) -> bool:
        return name in self._constants or name == ROW_INDEX or name in VARIABLES or constant(name) is not None


def inferred(path: Expression) -> str:
    """Return the FHIR type of what a path yields, empty where that is not certain."""
    types = path.static.types
    if types is None or len(types) != 1:
        return ""
    (name,) = types
    if not name.startswith(SYSTEM):
        return name
    bare = name.removeprefix(SYSTEM)
    return bare if bare == "Quantity" else bare[0].lower() + bare[1:]


def _only_type(paths: tuple[Expression, ...]) -> str | None:
    types = paths[0].static.types if len(paths) == 1 else None
    return next(iter(types)) if types is not None and len(types) == 1 and SYSTEM not in next(iter(types)) else None


def _listed(item: Json, key: str, where: str) -> list[Any]:
    found = item.get(key, [])
    if not isinstance(found, list):
        raise _invalid(f"{key} is a list.", f"{where}.{key}")
    return found


def _refuse_twins(root: Select) -> None:
    seen: set[str] = set()
    for column in root.all_columns():
        if column.name in seen:
            raise _invalid(f"Two columns are called {column.name}.", "ViewDefinition.select")
        seen.add(column.name)


def _invalid(text: str, where: str) -> InvalidView:
    return InvalidView(Issue("error", "invalid", text, (where,)))
