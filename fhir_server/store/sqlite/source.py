"""Where the candidates of a search come from: ranges of an index, the outcome of a join, or a whole type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fhir_server.search.plan import And, Chain, Ids, Near, Or, Predicate, Referrer, Row, Test, Text
from fhir_server.store.sqlite.condition import Conditions, Pick, Picks, Side
from fhir_server.store.sqlite.connection import Value, value
from fhir_server.store.sqlite.connection import row as row_of
from fhir_server.store.sqlite.naming import ABSENT, COLUMNS
from fhir_server.store.sqlite.tail import Segment

MOST_BRANCHES = 64
LONGEST_OF_USE = 2**40
"""Ranges with an open end are longer than any (this is 35 years of milliseconds), and say nothing of their start."""

FIRST_OF_ALL = float("-inf")
"""What stands before all values of a row."""

RANGES = frozenset({"=", "<", "<=", ">", ">=", "starts", "in"})
"""The operators for which an index has a range."""


def sides(asked: Sequence[Segment]) -> list[Side]:
    """The segments and the file, in the order in which they are believed."""
    found = []
    hidden = ""
    for segment in asked:
        n = segment.slot
        living = f" AND EXISTS(SELECT 1 FROM {segment.life} s WHERE s.rid=d.r AND s.vid=d.w AND s.vid<=? AND s.died>?)"
        found.append(
            Side(
                n,
                f"{segment.held} d INDEXED BY sought_{n}",
                segment.held,
                "h.r=d.r AND h.w=d.w",
                "d.w",
                living + hidden,
            )
        )
        hidden += f" AND NOT EXISTS(SELECT 1 FROM {segment.life} z WHERE z.rid=d.r)"
    found.append(Side(None, "sought d", "held", "h.r=d.r", "(SELECT vid FROM resource WHERE rid=d.r)", hidden))
    return found


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a number that pass tests, or those with `exact` v and x, which are in order of resources."""

    number: int
    tests: tuple[Test, ...] = ()
    near: Near | None = None
    exact: tuple[Value, Value] | None = None
    rank = 3
    needs_sorting = False
    is_exact = True

    @property
    def is_open_upwards(self) -> bool:
        """Only a least x is asked for, so that what matches lies among the greatest v."""
        operators = {(test.column, test.operator) for test in self.tests}
        return operators in ({("x", ">")}, {("x", ">=")})

    def range(self, conditions: Conditions) -> Rows:
        """The rows that an index finds, whichever of them pass the other tests."""
        if self.exact is not None or self.is_of_one_unit(conditions):
            return self
        return Rows(self.number, tuple(test for test in self.tests if test.column == "v" and test.operator in RANGES))

    def clause(self, side: Side, conditions: Conditions, arguments: list[Value]) -> str:
        """FROM and WHERE; candidates are called d."""
        arguments.append(self.number)
        if self.exact is not None:
            arguments += self.exact
            return f" FROM {side.sought} WHERE d.p=? AND d.v=? AND d.x=?"
        tests = conditions.tests("d", self.number, self.tests, arguments)
        if self.near is not None:
            tests += conditions.distance("d", self.near, arguments)
        if is_name_alone(self.tests):
            # Told that x is the same in all rows, SQLite would sort them by v and d.r, though they are in that order.
            tests = tests.replace("d.x", "+d.x")
        if side.slot is None and self.is_of_one_unit(conditions):
            return f" FROM {side.sought} INDEXED BY sought_by_unit WHERE d.p=? AND typeof(d.v)='real'{tests}"
        return f" FROM {side.sought} WHERE d.p=?{tests}"

    def is_of_one_unit(self, conditions: Conditions) -> bool:
        """Whether quantities in one base unit are asked for, whose rows stand among those of others by value alone."""
        has_unit = any(test.column == "x" and test.operator == "=" for test in self.tests)
        return has_unit and self.number in conditions.parameters.amounts

    def same(self, conditions: Conditions, arguments: list[Value]) -> str:
        """The condition that a row h is among these rows."""
        arguments.append(self.number)
        tests = conditions.tests("h", self.number, self.tests, arguments)
        if self.near is not None:
            tests += conditions.distance("h", self.near, arguments)
        return f"h.p=?{tests}"


def is_name_alone(tests: Sequence[Test]) -> bool:
    """Whether nothing is asked for but a qualifier, such as any code of a system."""
    return len(tests) == 1 and tests[0].column == "x" and tests[0].operator == "="


@dataclass(frozen=True, slots=True)
class Pointing:
    """The rows of a number that refer to the resources of a type whose ids a table holds, in the order of the ids."""

    number: int
    kind: int
    table: str
    rank = 2
    needs_sorting = False
    is_exact = True
    is_open_upwards = False

    def clause(self, side: Side, conditions: Conditions, arguments: list[Value]) -> str:
        """FROM and WHERE; candidates are called d."""
        arguments += [self.number, self.kind]
        return f" FROM {self.table} CROSS JOIN {side.sought} WHERE d.p=? AND d.v=k AND d.x=?"

    def same(self, conditions: Conditions, arguments: list[Value]) -> str:
        """The condition that a row h is among these rows."""
        arguments += [self.number, self.kind]
        return f"h.p=? AND h.x=? AND +h.v IN (SELECT k FROM {self.table})"


@dataclass(frozen=True, slots=True)
class Union:
    """Several ranges of rows, merged in order of resources; not exact where more is asked of some of them."""

    branches: tuple[Rows | Pointing | Picked, ...]
    is_exact: bool = True
    rank = 1

    @property
    def needs_sorting(self) -> bool:
        """Some branch is a range, whose rows are not in order of resources."""
        return not all(is_distinct(branch) for branch in self.branches)

    def clause(self, side: Side, conditions: Conditions, arguments: list[Value]) -> str:
        """FROM and WHERE; candidates are called d."""
        if not self.branches:
            return " FROM (SELECT 0 AS r, 0 AS w WHERE 0) d WHERE 1"
        columns = "d.r AS r" if side.slot is None else "d.r AS r, d.w AS w"
        once = "DISTINCT " if len(self.branches) == 1 else ""  # several are made distinct by UNION
        parts = [f"SELECT {once}{columns}{branch.clause(side, conditions, arguments)}" for branch in self.branches]
        return f" FROM ({' UNION '.join(parts)}) d WHERE 1"


@dataclass(frozen=True, slots=True)
class Picked:
    """The resources in a table that a join, or a list of ids, has filled."""

    table: str
    rank = 2
    needs_sorting = False
    is_exact = False

    def clause(self, side: Side, conditions: Conditions, arguments: list[Value]) -> str:
        """FROM and WHERE; candidates are called d."""
        if side.slot is None:
            exists = "EXISTS(SELECT 1 FROM resource c WHERE c.rid=d.r AND c.deleted=0)"
            return f" FROM (SELECT k AS r FROM {self.table}) d WHERE {exists}"
        return (
            f" FROM (SELECT l.rid AS r, l.vid AS w FROM {self.table} CROSS JOIN tail.life_{side.slot} l"
            f" WHERE l.rid=k AND l.deleted=0) d WHERE 1"
        )


@dataclass(frozen=True, slots=True)
class Whole:
    """Every resource of a type, in order of updates."""

    kind: int
    rank = 4
    needs_sorting = False
    is_exact = False

    def clause(self, side: Side, conditions: Conditions, arguments: list[Value]) -> str:
        """FROM and WHERE; candidates are called d, and d.w is their version on either side."""
        arguments.append(self.kind)
        if side.slot is None:
            current = "EXISTS(SELECT 1 FROM resource c WHERE c.rid=d.r AND c.vid=d.w AND c.deleted=0)"
            rows = "SELECT rid AS r, vid AS w FROM version INDEXED BY version_by_type WHERE type=?"
            return f" FROM ({rows}) d WHERE {current}"
        n = side.slot
        rows = f"SELECT rid AS r, vid AS w FROM tail.life_{n} INDEXED BY typed_{n} WHERE type=? AND deleted=0"
        return f" FROM ({rows}) d WHERE 1"


Source = Rows | Pointing | Union | Picked | Whole
NO_ROWS = Union(())


def is_distinct(source: Source) -> bool:
    """Whether no resource comes twice, and all come in their order."""
    return not isinstance(source, Pointing) and (not isinstance(source, Rows) or source.exact is not None)


def conjuncts(predicate: Predicate) -> list[Predicate]:
    """What must all hold."""
    if isinstance(predicate, And):
        return [part for item in predicate.items for part in conjuncts(item)]
    return [predicate]


def rows_in(predicate: Predicate) -> Iterator[Row]:
    """Yield the rows that a predicate asks for."""
    match predicate:
        case Row():
            yield predicate
        case And(items) | Or(items):
            for item in items:
                yield from rows_in(item)


class Sources:
    """Finds the sources that could drive a search for a predicate."""

    def __init__(self, conditions: Conditions, all_sides: Sequence[Side]) -> None:
        self._conditions = conditions
        self._sides = all_sides

    def of(self, kind: int, predicate: Predicate, picks: Picks) -> Source | None:
        """The source of one conjunct; None when only a look at each resource can tell."""
        match predicate:
            case Row():
                return self._row(predicate)
            case Near():
                return (
                    Rows(predicate.number, near=predicate) if predicate.number in self._conditions.used else Union(())
                )
            case Or(items):
                return self._union(kind, items, picks)
            case And(items):
                return self._part(kind, items, picks)
            case Referrer() | Text() | Ids():
                pick = picks[kind, predicate][0]
                return Picked(pick) if isinstance(pick, str) else None
            case Chain():
                return self._pointing(predicate, picks[kind, predicate])
            case _:
                return None

    def _part(self, kind: int, items: Sequence[Predicate], picks: Picks) -> Source | None:
        """The source of one of several that must all hold: none where one finds nothing, else one in order."""
        found = [source for item in items if (source := self.of(kind, item, picks)) is not None]
        if NO_ROWS in found:
            return NO_ROWS
        first = min(found, key=lambda source: source.needs_sorting, default=None)
        if isinstance(first, Rows | Pointing):
            return Union((first,), is_exact=False)
        return replace(first, is_exact=False) if isinstance(first, Union) else first

    def _union(self, kind: int, items: Sequence[Predicate], picks: Picks) -> Source | None:
        branches: list[Rows | Pointing | Picked] = []
        exact = True
        for item in items:
            source = self.of(kind, item, picks)
            if source is None or isinstance(source, Whole):
                return None
            branches += source.branches if isinstance(source, Union) else (source,)
            exact = exact and source.is_exact
            if len(branches) > MOST_BRANCHES:
                return None
        return branches[0] if len(branches) == 1 and exact else Union(tuple(branches), exact)

    def _pointing(self, chain: Chain, picks: Sequence[Pick]) -> Source | None:
        """What points to the resources in the tables that are not empty; none where there is not a table for each."""
        if chain.parameter not in self._conditions.used:
            return NO_ROWS
        tables = [pick for pick in picks if isinstance(pick, str)]
        if len(tables) < len(picks):
            return None
        found = [
            Pointing(chain.parameter, self._conditions.names.number(name), table)
            for (name, _), table in zip(chain.targets, tables, strict=True)
            if value(self._conditions.connection, f"SELECT 1 FROM {table} LIMIT 1")
        ]
        return found[0] if len(found) == 1 else Union(tuple(found))

    def _row(self, row: Row) -> Source | None:
        if row.number not in self._conditions.used:
            return Union(())
        branches = self._branches(row)
        if branches is None:
            return self._range(row)
        return branches[0] if len(branches) == 1 else Union(tuple(branches))

    def _range(self, row: Row) -> Rows:
        """The rows that pass the tests as one range."""
        return Rows(row.number, (*row.tests, *self._implied(row)))

    def whole(self, predicate: Predicate, branch: Rows) -> Rows:
        """The range of which a source for the predicate has a branch."""
        if branch.exact is None:
            return branch
        found = (item for item in rows_in(predicate) if item.number == branch.number)
        return next(map(self._range, found), branch)

    def _implied(self, row: Row) -> Iterator[Test]:
        """What the end of a range says of its start: it lies before, and no further than the longest range is long."""
        if row.number not in self._conditions.parameters.ranges:
            return
        longest = self._conditions.used.longest(row.number) or 0
        for test in row.tests:
            if test.column != "x" or isinstance(test.value, str | tuple):
                continue
            if test.operator in ("<", "<=", "="):
                yield Test("v", "<=", test.value)
            if test.operator in (">", ">=", "=") and longest <= LONGEST_OF_USE:
                yield Test("v", ">=", test.value - longest)

    def _branches(self, row: Row) -> list[Rows] | None:
        """The row with its v taken one by one, each with every x that stands with it; None where v is not given."""
        given = [test for test in row.tests if test.column == "v"]
        qualifiers = [test for test in row.tests if test.column == "x"]
        if is_name_alone(row.tests) and self._conditions.parameters.column(row.number) == COLUMNS["x"]:
            return self._of_name(row.number, self._stored(row, row.tests[0])[0])
        if len(given) != 1 or given[0].operator not in ("=", "in") or len(given) + len(qualifiers) != len(row.tests):
            return None
        values = self._stored(row, given[0])
        if len(values) > MOST_BRANCHES or len(qualifiers) > 1 or any(q.operator not in ("=", "in") for q in qualifiers):
            return None
        found: list[Rows] = []
        for v in values:
            beside = self._stored(row, qualifiers[0]) if qualifiers else self._qualifiers(row.number, v)
            found += [Rows(row.number, exact=(v, x)) for x in beside]
            if len(found) > MOST_BRANCHES:
                return None
        return found

    def _of_name(self, number: int, x: Value) -> list[Rows] | None:
        """The rows with a name, one by one of their different v; None where more than are of use have any name."""
        if x == ABSENT:
            return []
        found: set[Value] = set()
        for side in self._sides:
            before: Sequence[Value] = (FIRST_OF_ALL, FIRST_OF_ALL)
            statement = f"SELECT d.v, d.x FROM {side.sought} WHERE d.p=? AND (d.v,d.x)>(?,?) ORDER BY d.v, d.x LIMIT 1"
            for _ in range(MOST_BRANCHES + 1):
                least = row_of(self._conditions.connection, statement, (number, *before))
                if least is None:
                    break
                if least[1] == x:
                    found.add(least[0])
                before = least
            else:
                return None
        if len(found) > MOST_BRANCHES:
            return None
        return [Rows(number, exact=(v, x)) for v in sorted(found, key=lambda v: (isinstance(v, str), v))]

    def _stored(self, row: Row, test: Test) -> list[Value]:
        asked = self._conditions.stored(row.number, test)
        return asked if isinstance(asked, list) else [asked]

    def _qualifiers(self, number: int, v: Value) -> list[Value]:
        """The different x of rows with this v, but not many more than are of use."""
        found: set[Value] = set()
        for side in self._sides:
            statement = f"SELECT d.x FROM {side.sought} WHERE d.p=? AND d.v=? ORDER BY d.x LIMIT 1"
            least = value(self._conditions.connection, statement, (number, v))
            statement = f"SELECT d.x FROM {side.sought} WHERE d.p=? AND d.v=? AND d.x>? ORDER BY d.x LIMIT 1"
            while least is not None and len(found) <= MOST_BRANCHES:
                found.add(least)
                least = value(self._conditions.connection, statement, (number, v, least))
        return sorted(found, key=lambda x: (isinstance(x, str), x))
