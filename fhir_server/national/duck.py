"""A view as SQL of DuckDB over resources as JSON, for what is in the shareable subset (SQL on FHIR v2, 2.4).

What this cannot say exactly as FHIRPath does (dates that may lack a day, arithmetic, `repeat`, resolve()) is NotInSql,
and the view is run one resource at a time instead. One difference remains: an element that has extensions and no value
counts as absent here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count

from fhir_server.fhirpath import syntax
from fhir_server.fhirpath.model import Model, Step
from fhir_server.fhirpath.node import SYSTEM_TYPES
from fhir_server.national.definition import ROW_INDEX, Column, Select, View

NUMBER = "DECIMAL(38, 12)"
SQL_TYPES = {"Boolean": "BOOLEAN", "Integer": "BIGINT", "Decimal": NUMBER, "String": "VARCHAR"}
TEMPORAL = frozenset({"Date", "DateTime", "Time"})
NUMERIC = frozenset({"Integer", "Decimal"})
LOGIC = {"and": "AND", "or": "OR"}
COMPARISONS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
NOTHING = "[]::JSON[]"


class NotInSql(Exception):
    """The view asks for what SQL cannot say exactly as FHIRPath does."""


@dataclass(frozen=True, slots=True)
class Sql:
    """An expression: a JSON value of a FHIR type, a list of them where `many`, or a value of a System type.

    `steps` are what it may be further on, where it stands before an element with a choice of types.
    """

    text: str
    type: str
    many: bool = False
    steps: tuple[Step, ...] = ()

    @property
    def kind(self) -> str:
        """The System type of its value; raise NotInSql where it has none that SQL compares."""
        bare = self.type.removeprefix("System.")
        kind = bare if self.type.startswith("System.") else SYSTEM_TYPES.get(self.type, "")
        if kind not in SQL_TYPES or self.steps:
            raise NotInSql(f"a {self.type} as a value")
        return kind

    @property
    def shown(self) -> Sql:
        """The same as a column shows it: dates and times, which are not compared, are texts."""
        return replace(self, type="string") if SYSTEM_TYPES.get(self.type) in TEMPORAL else self

    @property
    def value(self) -> str:
        """Its value in the SQL type of its kind; raise NotInSql for several."""
        if self.many:
            raise NotInSql("several values where one is compared")
        return self.text if self.type.startswith("System.") else cast(self.text, self.kind)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: its focus, the number of its row, whether the focus may be missing as a whole."""

    this: Sql
    row: str = "0"
    missing: str = ""


@dataclass(slots=True)
class Query:
    """A query that grows: what it is from, and its columns."""

    sources: list[str] = field(default_factory=list)
    columns: list[tuple[str, str]] = field(default_factory=list)

    def text(self, where: str = "") -> str:
        """The query."""
        listed = ", ".join(f'{text} AS "{name}"' for name, text in self.columns)
        return f"SELECT {listed} FROM {', '.join(self.sources)}{where}"


def sql_of(model: Model, view: View, source: str) -> str:
    """Return a view as a query over `source`, which has a column `resource` of type JSON; raise NotInSql."""
    return _Compiling(model, view).query(source)


def cast(text: str, kind: str) -> str:
    """Return a JSON value as one of SQL."""
    return f"CAST({text} ->> '$' AS {SQL_TYPES[kind]})"


def quoted(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


class _Compiling:
    """Compiles one view."""

    def __init__(self, model: Model, view: View) -> None:
        self._model = model
        self._view = view
        self._numbers = count(1)

    def query(self, source: str) -> str:
        root = Place(Sql("r.resource", self._view.resource))
        query = Query([f"{source} AS r"])
        self._select(self._view.root, root, query)
        tests = [f"r.resource ->> '$.resourceType' = {quoted(self._view.resource)}"]
        for path in self._view.where:
            found = self._path(path.tree, root)
            if found.kind != "Boolean":
                raise NotInSql("a where that is no boolean")
            tests.append(f"coalesce({found.value}, false)")
        return query.text(f" WHERE {' AND '.join(tests)}")

    # ---- rows

    def _select(self, select: Select, place: Place, query: Query) -> None:
        if select.loop == "repeat":
            raise NotInSql("repeat")
        if select.loop:
            place = self._loop(select, place, query)
        query.columns += [(column.name, self._column(column, place)) for column in select.columns]
        for part in select.parts:
            self._select(part, place, query)
        if select.unions:
            name = f"u{next(self._numbers)}"
            branches = []
            for union in select.unions:
                branch = Query(["(SELECT 1) AS one"])
                self._select(union, place, branch)
                branches.append(branch)
            query.sources.append(f"LATERAL ({' UNION ALL '.join(each.text() for each in branches)}) AS {name}")
            query.columns += [(column, f'{name}."{column}"') for column, _ in branches[0].columns]

    def _loop(self, select: Select, place: Place, query: Query) -> Place:
        found = self._path(select.paths[0].tree, place)
        if found.steps or found.type.startswith("System."):
            raise NotInSql("a loop over what is no element")
        items = found.text if found.many else f"list_filter([{found.text}], lambda y: y IS NOT NULL)"
        name = f"t{next(self._numbers)}"
        missing = ""
        if select.loop == "forEachOrNull":
            items = f"(CASE WHEN len({items}) = 0 THEN [NULL::JSON] ELSE {items} END)"
            missing = f"{name}.x"
        query.sources.append(f"LATERAL (SELECT unnest({items}) AS x, unnest(range(len({items}))) AS i) AS {name}")
        return Place(Sql(f"{name}.x", found.type), f"{name}.i", missing or place.missing)

    def _column(self, column: Column, place: Place) -> str:
        found = self._path(column.path.tree, place).shown
        kind = SQL_TYPES[found.kind]
        if column.collection:
            text = self._listed(found)
        elif found.many:
            said = quoted(f"column {column.name} finds several values")
            text = (
                f"(CASE WHEN len({found.text}) > 1 THEN error({said}) ELSE {cast(f'{found.text}[1]', found.kind)} END)"
            )
        else:
            text = found.value
        if place.missing and not is_row_index(column):
            text = f"(CASE WHEN {place.missing} IS NULL THEN NULL ELSE {text} END)"
        return f"CAST({text} AS {kind}{'[]' if column.collection else ''})"

    def _listed(self, found: Sql) -> str:
        if not found.many:
            return f"list_filter([{found.value}], lambda y: y IS NOT NULL)"
        name = self._name()
        return f"list_transform({found.text}, lambda {name}: {cast(name, found.kind)})"

    # ---- paths

    def _path(self, tree: syntax.Syntax, place: Place) -> Sql:
        compile_one = COMPILERS.get(type(tree))
        if compile_one is None:
            raise NotInSql(type(tree).__name__)
        return compile_one(self, tree, place)

    def _name(self) -> str:
        return f"x{next(self._numbers)}"

    def literal(self, tree: syntax.Literal, place: Place) -> Sql:
        return value_of(tree.value)

    def variable(self, tree: syntax.Variable, place: Place) -> Sql:
        if tree.name == ROW_INDEX:
            return Sql(place.row, "System.Integer")
        constant = self._view.constants.get(tree.name)
        if constant is None or SYSTEM_TYPES.get(constant.type) not in SQL_TYPES:
            raise NotInSql(f"%{tree.name}")
        return value_of(constant.value)

    def special(self, tree: syntax.Special, place: Place) -> Sql:
        if tree.name != "this":
            raise NotInSql(f"${tree.name}")
        return place.this

    def member(self, tree: syntax.Name, place: Place) -> Sql:
        if tree.source is None and tree.name == place.this.type:
            return place.this
        source = place.this if tree.source is None else self._path(tree.source, place)
        if source.steps or source.type.startswith("System."):
            raise NotInSql(f"{tree.name} of a choice")
        steps = self._model.steps_of(source.type).get(tree.name, ())
        if not steps:
            raise NotInSql(f"{tree.name} of {source.type}")
        if len(steps) > 1:
            return replace(source, steps=steps)
        return self._stepped(source, steps[0])

    def _stepped(self, source: Sql, step: Step) -> Sql:
        path = quoted(f'$."{step.key}"' + ("[*]" if step.many else ""))
        if not source.many:
            text = f"json_extract({source.text}, {path})"
            return Sql(f"coalesce({text}, {NOTHING})" if step.many else text, step.type, step.many)
        name = self._name()
        each = f"list_transform({source.text}, lambda {name}: json_extract({name}, {path}))"
        text = f"flatten({each})" if step.many else f"list_filter({each}, lambda y: y IS NOT NULL)"
        return Sql(text, step.type, many=True)

    def index(self, tree: syntax.Index, place: Place) -> Sql:
        if not isinstance(tree.index, syntax.Literal) or not isinstance(tree.index.value, int):
            raise NotInSql("an index that is no number")
        return self._at(self._path(tree.source, place), tree.index.value)

    def _at(self, source: Sql, index: int) -> Sql:
        if source.steps:
            raise NotInSql("a place in a choice")
        if source.many:
            return Sql(f"{source.text}[{index + 1}]", source.type)
        return source if index == 0 else Sql(f"nullif({source.text}, {source.text})", source.type)

    def binary(self, tree: syntax.Binary, place: Place) -> Sql:
        left, right = self._path(tree.left, place), self._path(tree.right, place)
        if tree.operator in LOGIC and left.kind == right.kind == "Boolean":
            return Sql(f"({left.value} {LOGIC[tree.operator]} {right.value})", "System.Boolean")
        numbers = {left.kind, right.kind} <= NUMERIC
        same = left.kind == right.kind and tree.operator in ("=", "!=")
        if tree.operator not in COMPARISONS or not (numbers or same):
            raise NotInSql(f"{tree.operator} between {left.type} and {right.type}")
        return Sql(f"({left.value} {COMPARISONS[tree.operator]} {right.value})", "System.Boolean")

    def call(self, tree: syntax.Call, place: Place) -> Sql:
        source = place.this if tree.source is None else self._path(tree.source, place)
        function = FUNCTIONS.get(tree.function)
        if function is None:
            raise NotInSql(f"{tree.function}()")
        return function(self, source, tree, place)

    def first(self, source: Sql, tree: syntax.Call, place: Place) -> Sql:
        return self._at(source, 0)

    def exists(self, source: Sql, tree: syntax.Call, place: Place) -> Sql:
        if tree.arguments:
            source = self.where(source, tree, place)
        if source.steps:
            if source.many:
                raise NotInSql("choices of several")
            each = (self._stepped(replace(source, steps=()), step).text for step in source.steps)
            return Sql(f"({' OR '.join(f'{text} IS NOT NULL' for text in each)})", "System.Boolean")
        return Sql(f"(len({source.text}) > 0)" if source.many else f"({source.text} IS NOT NULL)", "System.Boolean")

    def empty(self, source: Sql, tree: syntax.Call, place: Place) -> Sql:
        return Sql(f"(NOT {self.exists(source, tree, place).text})", "System.Boolean")

    def negation(self, source: Sql, tree: syntax.Call, place: Place) -> Sql:
        if source.kind != "Boolean":
            raise NotInSql("not() of what is no boolean")
        return Sql(f"(NOT {source.value})", "System.Boolean")

    def where(self, source: Sql, tree: syntax.Call, place: Place) -> Sql:
        if source.steps or source.type.startswith("System."):
            raise NotInSql("where() of what is no element")
        name = self._name()
        test = self._path(tree.arguments[0], replace(place, this=Sql(name, source.type), row="NULL"))
        if test.kind != "Boolean":
            raise NotInSql("a criterion that is no boolean")
        listed = source.text if source.many else f"list_filter([{source.text}], lambda y: y IS NOT NULL)"
        text = f"list_filter({listed}, lambda {name}: coalesce({test.value}, false))"
        return Sql(text, source.type, many=True) if source.many else Sql(f"({text})[1]", source.type)

    def of_type(self, source: Sql, tree: syntax.Call, place: Place) -> Sql:
        argument = tree.arguments[0]
        wanted = argument.name if isinstance(argument, syntax.Name) and argument.source is None else ""
        steps = [step for step in source.steps if step.type == wanted]
        if len(steps) != 1:
            raise NotInSql(f"ofType({wanted})")
        return self._stepped(replace(source, steps=()), steps[0])

    def extension(self, source: Sql, tree: syntax.Call, place: Place) -> Sql:
        if self._model.is_primitive(source.type) or source.type.startswith("System.") or source.steps:
            raise NotInSql("extensions of a primitive")
        url = self._path(tree.arguments[0], place)
        (step,) = self._model.steps_of(source.type).get("extension", ()) or (None,)
        if step is None or url.kind != "String":
            raise NotInSql("extension()")
        found, name = self._stepped(source, step), self._name()
        return replace(found, text=f"list_filter({found.text}, lambda {name}: {name} ->> '$.url' = {url.value})")

    def resource_key(self, source: Sql, tree: syntax.Call, place: Place) -> Sql:
        if source.many or not self._model.is_resource(source.type):
            raise NotInSql("getResourceKey() of what is no resource")
        text = f"(({source.text} ->> '$.resourceType') || '/' || ({source.text} ->> '$.id'))"
        return Sql(text, "System.String")

    def reference_key(self, source: Sql, tree: syntax.Call, place: Place) -> Sql:
        if source.many or source.type != "Reference":
            raise NotInSql("getReferenceKey() of several")
        parts = f"string_split(split_part({source.text} ->> '$.reference', '/_history/', 1), '/')"
        kind = tree.arguments[0] if tree.arguments else None
        if kind is not None and not isinstance(kind, syntax.Name):
            raise NotInSql("getReferenceKey()")
        test = f" AND {parts}[-2] = {quoted(kind.name)}" if kind is not None else ""
        text = f"(CASE WHEN len({parts}) > 1 AND {parts}[-1] <> ''{test} THEN {parts}[-2] || '/' || {parts}[-1] END)"
        return Sql(text, "System.String")


def value_of(value: object) -> Sql:
    """Return a constant; raise NotInSql for a date and the like."""
    if isinstance(value, bool):
        return Sql("true" if value else "false", "System.Boolean")
    if isinstance(value, int):
        return Sql(f"CAST({value} AS BIGINT)", "System.Integer")
    if isinstance(value, float | Decimal):
        return Sql(f"CAST('{value}' AS {NUMBER})", "System.Decimal")
    if isinstance(value, str):
        return Sql(quoted(value), "System.String")
    raise NotInSql(f"a {type(value).__name__}")


def is_row_index(column: Column) -> bool:
    """Whether a column is told the number of its row, which it has even where there is nothing else."""
    return ROW_INDEX in column.path.source


COMPILERS: Mapping[type[syntax.Syntax], Callable[..., Sql]] = {
    syntax.Literal: _Compiling.literal,
    syntax.Variable: _Compiling.variable,
    syntax.Special: _Compiling.special,
    syntax.Name: _Compiling.member,
    syntax.Index: _Compiling.index,
    syntax.Binary: _Compiling.binary,
    syntax.Call: _Compiling.call,
}
FUNCTIONS: Mapping[str, Callable[..., Sql]] = {
    "first": _Compiling.first,
    "exists": _Compiling.exists,
    "empty": _Compiling.empty,
    "not": _Compiling.negation,
    "where": _Compiling.where,
    "ofType": _Compiling.of_type,
    "extension": _Compiling.extension,
    "getResourceKey": _Compiling.resource_key,
    "getReferenceKey": _Compiling.reference_key,
}
