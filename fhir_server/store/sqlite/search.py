"""Plans carried out: which index drives, in which order, page by page at one snapshot (FHIR R4, 3.1.1 Search).

A page is gathered from streams, one for each resource type and each side (the file's sorted tables, segments of the
tail). Every stream gives its first candidates in the order of the page, so that the page is the first of all of them
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from fhir_server.search.contained import chained
from fhir_server.search.plan import EVERY_TYPE, EVERYTHING, And, Chain, Not, Or, Plan, Predicate, Referrer, Row, Sort
from fhir_server.search.row import Memo, Reference
from fhir_server.store.protocol import PLACES, SnapshotLost
from fhir_server.store.sqlite.canonical import Canonicals
from fhir_server.store.sqlite.condition import Conditions, Pick, Side
from fhir_server.store.sqlite.connection import Connection, Value, row, rows, value
from fhir_server.store.sqlite.join import Joins, Matching, Statement
from fhir_server.store.sqlite.naming import ABSENT, Names, Parameters, Used
from fhir_server.store.sqlite.source import (
    Pointing,
    Rows,
    Source,
    Sources,
    Union,
    Whole,
    conjuncts,
    is_distinct,
    sides,
)
from fhir_server.store.sqlite.tail import Tail

FEW_ENOUGH_TO_SORT = 2000
"""The candidates that are all looked at where an order is asked for, or to drive a search."""

FEW_ENOUGH_TO_ORDER = 50
"""The candidates that are sorted though nobody asked for an order."""

FIRST_WALKED = 5000
"""The rows that are walked along an order before it is asked whether sorting were less work."""

MOST_SORTED = 20_000
"""The candidates that are sorted where walking along the order finds hardly any of them: some 80 ms."""

ESTIMATES = 4096
ESTIMATE_LASTS = 5000
"""An estimate is made again after so many commits."""

STATE = "SELECT numbered, merged, closed, (SELECT max(vid) FROM version) FROM merging"

Follow = Literal["resource", "rows", "update"]
"""The orders that need no sorting: by resource, along a range of rows, by last update."""


Wish = Literal["all", "sorted", "any order"]
Sized = tuple[int, bool, int, int, Source]
"""How many candidates, whether they must be sorted, the rank, which conjunct, the source."""


class Match(NamedTuple):
    """A resource that matches, and the values that it is ordered by; no version means the current one."""

    keys: tuple[Any, ...]
    rid: int
    vid: int | None


@dataclass(frozen=True, slots=True)
class Order:
    """The columns that a page is ordered by, the resource being the last; `follow` where none was asked for."""

    descending: tuple[bool, ...]
    follow: Follow | None = None


@dataclass(frozen=True, slots=True)
class Arm:
    """One resource type of a plan, the source that drives it, which conjunct that is, and how many it gives, if few."""

    kind: int
    name: str
    predicate: Predicate
    source: Source
    part: int | None
    estimate: int


class Search:
    """Carries out plans on one connection. Every method is called inside a read transaction, after `begin`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.names = Names(connection)
        self.parameters = Parameters(connection)
        self.tail = Tail(connection)
        self.conditions = Conditions(connection, self.names, self.parameters, Used(connection, self.parameters))
        self.joins = Joins(connection)
        self.canonicals = Canonicals(self)
        self._estimates = Memo(ESTIMATES)
        self._ahead = Memo(ESTIMATES)

    def begin(self, t: int | None) -> int:
        """Learn what is committed, and choose the sides that know the snapshot; return its number."""
        numbered, merged, closed, last = row(self.connection, STATE)
        self.parameters.catch_up(numbered)
        self.tail.catch_up(merged, closed, last or 0)
        chosen = self.tail.last // PLACES if t is None else t
        self.place = (chosen + 1) * PLACES - 1
        self.sides = sides(self.tail.asked(chosen))
        self.conditions.at(self.sides, self.place)
        self._sources = Sources(self.conditions, self.sides)
        self._picks: dict[tuple[int, Predicate], tuple[Pick, ...]] = {}
        self.joins.clear()
        return chosen

    def page(self, plan: Plan, limit: int, after: Sequence[Any] | None) -> tuple[list[Match], list[Any] | None]:
        """The matches after those keys, and the order and keys to go on from, None at the end."""
        if not plan.sort and len(plan.arms) != 1:
            plan = replace(plan, sort=(Sort("updated"),))
        plan = replace(plan, sort=decisive(plan))
        wish: Wish = "sorted" if plan.sort else "any order"
        arms = [arm for name, predicate in plan.arms.items() if (arm := self.arm(name, predicate, after, wish))]
        order = self._order(plan, arms, after)
        keys = None if after is None else after[1:]
        found = [match for arm in arms for match in self._arm_matches(plan, arm, order, keys, limit + 1)]
        sort_matches(found, order)
        if len(found) <= limit:
            return found, None
        last = found[limit - 1]
        source = arms[0].source
        driver: list[int | None] = [None]
        if order.follow == "rows" and isinstance(source, Rows | Pointing):
            driver = [arms[0].part, source.number]
        return found[:limit], [[order.follow, *driver], *last.keys, last.rid]

    def count(self, plan: Plan) -> int:
        """How many resources match."""
        arms = [arm for name, predicate in plan.arms.items() if (arm := self.arm(name, predicate))]
        return sum(self._count(arm, side) for arm in arms for side in self.sides)

    def statements(self, name: str, predicate: Predicate) -> Iterator[Statement]:
        """For each side, FROM and WHERE of everything of a type that matches, and the arguments."""
        yield from self.matching(name, predicate).statements

    def matching(self, name: str, predicate: Predicate) -> Matching:
        """What it takes to find everything of a type that matches."""
        arm = self.arm(name, predicate)
        if arm is None:
            return Matching(predicate, [], are_few=True)
        statements: list[Statement] = []
        for side in self.sides:
            arguments: list[Value] = []
            statements.append((*self._matching(arm, side, arguments), arguments))
        return Matching(arm.predicate, statements, are_few=arm.estimate < FEW_ENOUGH_TO_SORT)

    def _count(self, arm: Arm, side: Side) -> int:
        if isinstance(arm.source, Whole) and arm.predicate == EVERYTHING and self.place >= self.tail.last:
            kept = "SELECT resources FROM kept WHERE type=?"
            return (value(self.connection, kept, (arm.kind,)) or 0) if side.slot is None else 0
        arguments: list[Value] = []
        _, clause = self._matching(arm, side, arguments)
        counted = f"SELECT count(*) FROM (SELECT DISTINCT d.r{clause})"
        if is_distinct(arm.source):
            counted = f"SELECT count(*){clause}"
        found: int = value(self.connection, counted, arguments)
        return found

    # ---- what drives

    def arm(
        self, name: str, predicate: Predicate, after: Sequence[Any] | None = None, wish: Wish = "all"
    ) -> Arm | None:
        """A resource type with the best of the sources that could drive; None if the type was never stored.

        The wish is for a page, sorted or in any order, or for all that matches.
        """
        kind = self.names.number(name)
        if kind == ABSENT and name != EVERY_TYPE:
            return None
        predicate = self._reaching(predicate)
        parts = conjuncts(predicate)
        n: int | None = None
        numbers: list[int] = []
        if after is not None:
            _, n, *numbers = after[0]
        if n is not None:
            self.joins.fill(self, kind, parts[n : n + 1], self._picks, surely=True)
        self.joins.fill(self, kind, parts, self._picks)
        if n is not None:
            if n >= len(parts):
                raise SnapshotLost(self.tail.last // PLACES)
            return Arm(kind, name, predicate, self._former(kind, parts[n], numbers), n, FEW_ENOUGH_TO_SORT)
        sized = list(self._sized(kind, parts, wish))
        # A union of long ranges would be sorted as a whole for every page.
        is_long = wish != "all" and name != EVERY_TYPE
        drivers = [one for one in sized if not (is_long and one[0] >= FEW_ENOUGH_TO_SORT and one[1])]
        if not drivers:
            return Arm(kind, name, predicate, Whole(kind), None, FEW_ENOUGH_TO_SORT)
        size, _, _, n, source = min(drivers, key=lambda s: s[:4])
        return Arm(kind, name, predicate, source, n, size)

    def _former(self, kind: int, part: Predicate, numbers: Sequence[int]) -> Source:
        """What the first page went along, though other numbers have come into use since, or the caller sees less."""
        source = self._sources.of(kind, part, self._picks)
        for each in source.branches if isinstance(source, Union) else (source,):
            if isinstance(each, Rows | Pointing) and (not numbers or each.number in numbers):
                # Of so few values now that each is looked up: it was a range when the first page went along it.
                return self._sources.whole(part, each) if isinstance(each, Rows) else each
        raise SnapshotLost(self.tail.last // PLACES)

    def _reaching(self, predicate: Predicate) -> Predicate:
        """The predicate with its joins led into contained resources and along canonicals, as far as there are any."""
        match predicate:
            case Chain(parameter, _, urls):
                ways: list[Predicate] = [predicate] if parameter in self.conditions.used else []
                if parameter + Reference.INSIDE in self.conditions.used:
                    ways += map(self._reaching, chained(predicate))
                if urls:
                    ways += self.canonicals.pointing(predicate)
                return ways[0] if len(ways) == 1 else Or(tuple(ways))
            case Referrer(parameter, url=(_, _)):
                by_url = self.canonicals.meant(predicate)
                return Or((predicate, *by_url)) if parameter in self.conditions.used else Or(by_url)
            case And(items) | Or(items):
                found = tuple(map(self._reaching, items))
                return predicate if found == items else type(predicate)(found)
            case Not(item):
                return Not(self._reaching(item))
            case _:
                return predicate

    def _sized(self, kind: int, parts: Sequence[Predicate], wish: Wish) -> Iterator[Sized]:
        """Yield what could drive, with how many candidates it gives; no more once one gives few."""
        most = FEW_ENOUGH_TO_SORT
        for n, part in enumerate(parts):
            source = self._sources.of(kind, part, self._picks)
            if source is None:
                continue
            if wish == "any order" and len(parts) == 1 and not source.needs_sorting:
                most = 0 if is_distinct(source) else FEW_ENOUGH_TO_ORDER
            size = self._estimate(source, most) if most else 0
            yield size, source.needs_sorting, source.rank, n, source
            # Of one that gives more than the best so far, it is enough to know that.
            most = min(most, size + 1)
            if most <= FEW_ENOUGH_TO_ORDER:
                return

    def _estimate(self, source: Source, most: int) -> int:
        """How many candidates a source gives, counted up to so many."""
        age = self.tail.last // PLACES // ESTIMATE_LASTS
        if isinstance(source, Union) and source.needs_sorting:
            return min(sum(self._estimate(branch, most) for branch in source.branches), most)
        if isinstance(source, Rows):
            source = source.range(self.conditions)
        known = self._estimates.get((source, age)) if isinstance(source, Rows) else None
        if known is not None:
            return int(known)
        size = self._count_of(source, most)
        if isinstance(source, Rows) and size >= FEW_ENOUGH_TO_SORT:
            self._estimates.keep((source, age), size)
        return size

    def _count_of(self, source: Source, most: int) -> int:
        """How many candidates a source gives on all sides, counted up to so many."""
        size = 0
        for side in self.sides:
            arguments: list[Value] = []
            clause = source.clause(side, self.conditions, arguments)
            statement = f"SELECT count(*) FROM (SELECT 1{clause} LIMIT ?)"
            size += value(self.connection, statement, (*arguments, most - size))
            if size >= most:
                break
        return size

    # ---- in which order

    def _order(self, plan: Plan, arms: Sequence[Arm], after: Sequence[Any] | None) -> Order:
        if plan.sort:
            first = plan.sort[0]
            if len(plan.sort) == 1:
                return Order((False, first.descending, first.descending))
            return Order(tuple(d for sort in plan.sort for d in (False, sort.descending)))
        if not arms:
            return Order((), "resource")
        if after is not None:
            follow: Follow = after[0][0]
        elif isinstance(arms[0].source, Whole):
            follow = "update"
        elif not is_distinct(arms[0].source) and arms[0].estimate >= min(FEW_ENOUGH_TO_ORDER, FEW_ENOUGH_TO_SORT):
            follow = "rows"
        else:
            follow = "resource"
        if follow == "rows":
            source = arms[0].source
            down = isinstance(source, Rows) and source.is_open_upwards
            return Order((down, down), follow)
        return Order((False,) if follow == "update" else (), follow)

    def _arm_matches(
        self, plan: Plan, arm: Arm, order: Order, keys: Sequence[Any] | None, limit: int
    ) -> Iterable[Match]:
        if order.follow is not None:
            return self._followed(arm, order, keys, limit)
        if arm.estimate < FEW_ENOUGH_TO_SORT:
            return self._sorted(plan.sort, arm, order, keys, limit)
        return self._walked(plan.sort, arm, order, keys, limit)

    def _followed(self, arm: Arm, order: Order, keys: Sequence[Any] | None, limit: int) -> list[Match]:
        """Along the driver, in the order in which it gives candidates."""
        if order.follow == "update" and not isinstance(arm.source, Whole):
            arm = replace(arm, source=Whole(arm.kind), part=None)
        found: list[Match] = []
        for side in self.sides:
            arguments: list[Value] = []
            shown, clause = self._matching(arm, side, arguments)
            if order.follow == "rows":
                found += self._in_range(arm, side, order, keys, limit)
                continue
            column = "d.r" if order.follow == "resource" else "d.w"
            if keys is not None:
                clause += f" AND {column}>?"
                arguments.append(keys[0])
            columns = "d.r" if order.follow == "resource" else "d.w, d.r"
            repeats = "" if is_distinct(arm.source) else "DISTINCT "
            statement = f"SELECT {repeats}{columns}, {shown.version}{clause} ORDER BY {column}"
            found += self._matches(statement, arguments, limit)
        return found

    def _in_range(self, arm: Arm, side: Side, order: Order, keys: Sequence[Any] | None, limit: int) -> list[Match]:
        """Along a range of rows; of several rows of a resource in it, only the first counts."""
        source = arm.source
        assert isinstance(source, Rows | Pointing)
        arguments: list[Value] = []
        side, clause = self._matching(arm, side, arguments)
        down = order.descending[0]
        before = f"(h.v,h.x){'>' if down else '<'}(d.v,d.x)"
        same = source.same(self.conditions, arguments)
        clause += f" AND NOT EXISTS(SELECT 1 FROM {side.held} h WHERE {side.key} AND {same} AND {before})"
        if keys is not None:
            clause += _beyond(down=down)
            arguments += [keys[0], keys[0], keys[1], keys[1], keys[2]]
            if isinstance(source, Pointing):
                clause += " AND k>=?"
                arguments.append(keys[0])
        if isinstance(source, Pointing):
            # Such rows have nothing beside v and x, so that none comes twice.
            statement = f"SELECT k, d.x, d.r, {side.version}{clause} ORDER BY k, d.r"
        else:
            way = " DESC" if down else ""
            statement = f"SELECT DISTINCT d.v, d.x, d.r, {side.version}{clause} ORDER BY d.v{way}, d.x{way}, d.r"
        return self._matches(statement, arguments, limit)

    def _sorted(
        self, sort: Sequence[Sort], arm: Arm, order: Order, keys: Sequence[Any] | None, limit: int
    ) -> list[Match]:
        """All candidates of the driver, sorted."""
        found: list[Match] = []
        for side in self.sides:
            arguments: list[Value] = []
            wide = replace(side, vid="d.w") if isinstance(arm.source, Whole) else side
            columns = self._key_columns(sort, arm, wide, arguments)
            _, clause = self._matching(arm, side, arguments)
            named = ",".join(f"{column} AS k{n}" for n, column in enumerate(columns))
            repeats = "" if is_distinct(arm.source) else "DISTINCT "
            inner = f"SELECT {repeats}{named}, d.r AS r, {wide.version} AS w{clause}"
            found += self._matches(*_ordered(inner, order, keys, arguments), limit)
        return found

    def _walked(
        self, sort: Sequence[Sort], arm: Arm, order: Order, keys: Sequence[Any] | None, limit: int
    ) -> list[Match]:
        """Along the index of the first key, looking at each resource; then those without a value."""
        first = sort[0]
        if first.by == "id" or arm.name == EVERY_TYPE:
            return self._sorted(sort, arm, order, keys, limit)
        if first.by == "updated":
            return self._by_update(arm, order, keys, limit)
        number = first.numbers[arm.name]
        found: list[Match] = []
        if (keys is None or not keys[0]) and number in self.conditions.used:
            walked = self._walk(sort, arm, order, keys, limit)
            if walked is None:
                return self._sorted(sort, arm, order, keys, limit)
            found = walked
        if len(found) < limit:
            missing = replace(arm, predicate=And((arm.predicate, Not(Row(number)))))
            found += self._sorted(sort, missing, order, keys, limit)
        return found

    def _by_update(self, arm: Arm, order: Order, keys: Sequence[Any] | None, limit: int) -> list[Match]:
        """Along the versions of the type."""
        arm = replace(arm, source=Whole(arm.kind), part=None)
        down = order.descending[1]
        found: list[Match] = []
        for side in self.sides:
            arguments: list[Value] = []
            _, clause = self._matching(arm, side, arguments)
            if keys is not None:
                clause += f" AND d.w{'<' if down else '>'}?"
                arguments.append(keys[1])
            statement = f"SELECT 0, d.w, 0, d.r, d.w{clause} ORDER BY d.w{' DESC' if down else ''}"
            found += self._matches(statement, arguments, limit)
        return found

    def _walk(
        self, sort: Sequence[Sort], arm: Arm, order: Order, keys: Sequence[Any] | None, limit: int
    ) -> list[Match] | None:
        """Along the rows of the first key on each side, no further than the page needs.

        None where hardly any of the first rows is of a match, and it is less work to sort all candidates.
        """
        number = sort[0].numbers[arm.name]
        along = replace(arm, source=Rows(number), part=None)
        found: list[Match] = []
        for side in self.sides:
            last = end_of_page(found, order, limit)
            if side.slot is None and arm.part is not None and last is None:
                near = self._row_ahead(number, None if keys is None else keys[1], down=order.descending[1])
                first = self._along(sort, along, side, order, keys, limit, near)
                if len(found) + len(first) < limit and near is not None and self._are_sortable(arm.source):
                    return None
                last = near if len(found) + len(first) >= limit else None
                if last is not None or near is None:
                    found += first
                    continue
            found += self._along(sort, along, side, order, keys, limit, last)
        return found

    def _row_ahead(self, number: int, start: Value, *, down: bool) -> Value:
        """The value that stands so many rows further as are walked before sorting is thought of; None: there is none.

        From the beginning, it may be one that stood there some time ago.
        """
        age = self.tail.last // PLACES // ESTIMATE_LASTS
        known = self._ahead.get((number, down, age)) if start is None else None
        if known is not None:
            return known[0]  # type: ignore[no-any-return]
        beyond = "" if start is None else f" AND v{'<=' if down else '>='}?"
        statement = f"SELECT v FROM sought WHERE p=?{beyond} ORDER BY v{' DESC' if down else ''} LIMIT 1 OFFSET ?"
        arguments = (number, FIRST_WALKED) if start is None else (number, start, FIRST_WALKED)
        found: Value = value(self.connection, statement, arguments)
        if start is None:
            self._ahead.keep((number, down, age), (found,))
        return found

    def _are_sortable(self, source: Source) -> bool:
        return self._count_of(source, MOST_SORTED) < MOST_SORTED

    def _along(
        self,
        sort: Sequence[Sort],
        arm: Arm,
        side: Side,
        order: Order,
        keys: Sequence[Any] | None,
        limit: int,
        last: Value,
    ) -> list[Match]:
        """Along the rows of the first key up to the last value, of each resource only the row that it is ordered by."""
        assert isinstance(arm.source, Rows)
        arguments: list[Value] = []
        down = sort[0].descending
        if len(sort) > 1:
            last = self._end_of_first_key(arm, side, keys, limit, last, down=down)
            columns = ["0", "d.v", *self._key_columns(sort[1:], arm, side, arguments, single=False)]
        clause = self._best_rows(arm, side, arguments, last, down=down)
        way = " DESC" if down else ""
        if len(sort) > 1:
            if keys is not None:
                clause += f" AND d.v{'<=' if down else '>='}?"
                arguments.append(keys[1])
            named = ",".join(f"{column} AS k{n}" for n, column in enumerate(columns))
            inner = f"SELECT {named}, d.r AS r, {side.version} AS w{clause}"
            return self._matches(*_ordered(inner, order, keys, arguments), limit)
        if keys is not None:
            clause += _beyond(down=down)
            arguments += [keys[1], keys[1], keys[2], keys[2], keys[3]]
        statement = f"SELECT 0, d.v, d.x, d.r, {side.version}{clause} ORDER BY d.v{way}, d.x{way}, d.r"
        return self._matches(statement, arguments, limit)

    def _best_rows(self, arm: Arm, side: Side, arguments: list[Value], last: Value, *, down: bool) -> str:
        """FROM and WHERE of the rows that resources are ordered by, up to a value."""
        assert isinstance(arm.source, Rows)
        _, clause = self._matching(arm, side, arguments)
        arguments.append(arm.source.number)
        better = f"(h.v,h.x){'>' if down else '<'}(d.v,d.x)"
        clause += f" AND NOT EXISTS(SELECT 1 FROM {side.held} h WHERE {side.key} AND h.p=? AND {better})"
        if last is not None:
            clause += f" AND d.v{'>=' if down else '<='}?"
            arguments.append(last)
        return clause

    def _end_of_first_key(
        self, arm: Arm, side: Side, keys: Sequence[Any] | None, limit: int, last: Value, *, down: bool
    ) -> Value:
        """The value of the first key at which a page is full: only up to there must the other keys be compared."""
        arguments: list[Value] = []
        clause = self._best_rows(arm, side, arguments, last, down=down)
        if keys is not None:
            clause += f" AND d.v{'<' if down else '>'}?"
            arguments.append(keys[1])
        statement = f"SELECT d.v{clause} ORDER BY d.v{' DESC' if down else ''} LIMIT 1 OFFSET ?"
        found: Value = value(self.connection, statement, (*arguments, limit - 1))
        return last if found is None else found

    def _key_columns(
        self, sort: Sequence[Sort], arm: Arm, side: Side, arguments: list[Value], *, single: bool = True
    ) -> list[str]:
        """For each key, whether it is missing, and its value; a single key has two columns of value."""
        single = single and len(sort) == 1
        columns: list[str] = []
        for key in sort:
            if key.by == "updated":
                columns += ["0", side.vid] + (["0"] if single else [])
                continue
            if key.by == "id":
                columns += ["0", "(SELECT id FROM resource WHERE rid=d.r)"] + (["0"] if single else [])
                continue
            number = key.numbers[arm.name]
            way = " DESC" if key.descending else ""
            best = f"FROM {side.held} h WHERE {side.key} AND h.p=? ORDER BY h.v{way}, h.x{way} LIMIT 1"
            columns += [f"NOT EXISTS(SELECT 1 FROM {side.held} h WHERE {side.key} AND h.p=?)", f"(SELECT h.v {best})"]
            columns += [f"(SELECT h.x {best})"] if single else []
            arguments += [number] * (3 if single else 2)
        return columns

    # ---- statements

    def _matching(self, arm: Arm, side: Side, arguments: list[Value]) -> tuple[Side, str]:
        """FROM and WHERE of all candidates on a side that match, and the side as the source shows it."""
        if isinstance(arm.source, Whole):
            side = replace(side, vid="d.w")
        clause = arm.source.clause(side, self.conditions, arguments)
        clause += self.conditions.living(side, arguments)
        rest = [part for n, part in enumerate(conjuncts(arm.predicate)) if not arm.source.is_exact or n != arm.part]
        if rest:
            clause += f" AND {self.conditions.of(And(tuple(rest)), arm.kind, side, self._picks, arguments)}"
        return side, clause

    def _matches(self, statement: str, arguments: Sequence[Value], limit: int) -> list[Match]:
        found = rows(self.connection, f"{statement} LIMIT ?", (*arguments, limit))
        return [Match(tuple(row[:-2]), row[-2], row[-1]) for row in found]


def decisive(plan: Plan) -> tuple[Sort, ...]:
    """The keys up to one that no two resources share: behind it, nothing is left to decide."""
    for n, key in enumerate(plan.sort):
        if key.by == "updated" or (key.by == "id" and len(plan.arms) == 1):
            return plan.sort[: n + 1]
    return plan.sort


def _beyond(*, down: bool) -> str:
    """The condition that a row stands after v, x and a resource; v is compared alone first, for the index."""
    sign = "<" if down else ">"
    return f" AND d.v{sign}=? AND (d.v{sign}? OR d.x{sign}? OR (d.x=? AND d.r>?))"


def _ordered(
    inner: str, order: Order, keys: Sequence[Any] | None, arguments: Sequence[Value]
) -> tuple[str, Sequence[Value]]:
    """A statement whose key columns are k0, k1 ..., in order, from the keys on."""
    names = [*(f"k{n}" for n in range(len(order.descending))), "r"]
    ways = (*order.descending, False)
    beyond, values = "", list(arguments)
    if keys is not None:
        options = []
        for n, (name, down) in enumerate(zip(names, ways, strict=True)):
            same = [f"{before} IS ?" for before in names[:n]]
            sign = "<" if down else ">"
            options.append(f"({' AND '.join([*same, f'{name}{sign}?'])})")
            values += keys[: n + 1]
        beyond = f" WHERE {' OR '.join(options)}"
    listed = ",".join(f"{name} DESC" if down else name for name, down in zip(names, ways, strict=True))
    return f"SELECT {','.join(names)}, w FROM ({inner}){beyond} ORDER BY {listed}", values


def end_of_page(found: Sequence[Match], order: Order, limit: int) -> Value:
    """The first key of the last match of a page, beyond which nothing is wanted; None where it is not full."""
    if len(found) < limit:
        return None
    values = sorted((match.keys[1] for match in found), key=_comparable, reverse=order.descending[1])
    last: Value = values[limit - 1]
    return last


def sort_matches(found: list[Match], order: Order) -> None:
    """Put the matches of several streams in order."""
    found.sort(key=lambda match: match.rid)
    for n, down in reversed(list(enumerate(order.descending))):
        found.sort(key=lambda match: _comparable(match.keys[n]), reverse=down)


def _comparable(key: Any) -> tuple[bool, Any]:
    """Numbers before text, as SQLite has it; a missing value stands among missing ones only."""
    return (True, key) if isinstance(key, str) else (False, 0 if key is None else key)
