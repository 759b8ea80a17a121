"""Numbers for names: parameters and types, and the systems, units and types that index rows hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhir_server.search.contained import APART
from fhir_server.search.row import FACETS, NAMES, Memo, Quantity, Row
from fhir_server.store.protocol import Numbered
from fhir_server.store.sqlite.connection import Connection, Value, rows, value

ABSENT = -1
"""The number of a name that the store never saw: no row has it."""

MATCHES = 256
COLUMNS = {"v": 1, "x": 2, "n": 4}
"""Where a column stands in a row."""


RANGE_TYPES = frozenset({"date", "number"})
NOTE = "INSERT INTO used VALUES(?,?) ON CONFLICT DO UPDATE SET longest=max(longest, excluded.longest)"


class Names:
    """The numbers of names as one connection sees them. New ones are made in a write transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers: dict[str, int] = {}
        self._texts: dict[int, str] = {}
        self._fresh: list[str] = []
        self._matching = Memo(MATCHES)

    def number(self, text: str) -> int:
        """The number of a name, ABSENT for one that was never written."""
        found = self._numbers.get(text)
        if found is None:
            found = value(self._connection, "SELECT number FROM name WHERE text=?", (text,))
            if found is None:
                return ABSENT
            self._numbers[text] = found
        return found

    def text(self, number: int) -> str:
        """The name that has a number."""
        found = self._texts.get(number)
        if found is None:
            found = self._texts[number] = value(self._connection, "SELECT text FROM name WHERE number=?", (number,))
        return found

    def matching(self, operator: str, text: str) -> list[Value]:
        """The numbers of the names that start with, end with or contain a text; all names are looked at, once."""
        last = value(self._connection, "SELECT max(number) FROM name") or 0
        known: tuple[int, list[Value]] | None = self._matching.get((operator, text))
        if known is not None and known[0] == last:
            return known[1]
        places = {"starts": "substr(text, 1, length(?1))=?1", "ends": "substr(text, -length(?1))=?1"}
        condition = places.get(operator, "instr(text, ?1)>0")
        found = [number for (number,) in rows(self._connection, f"SELECT number FROM name WHERE {condition}", (text,))]
        self._matching.keep((operator, text), (last, found))
        return found

    def make(self, text: str) -> int:
        """The number of a name, made now if it is new."""
        found = self._numbers.get(text)
        if found is None:
            found = self.number(text)
            if found == ABSENT:
                found = value(self._connection, "INSERT INTO name(text) VALUES(?) RETURNING number", (text,))
                self._numbers[text] = found
                self._fresh.append(text)
        return found

    def kept(self) -> None:
        """The transaction that made names is durable."""
        self._fresh.clear()

    def lost(self) -> None:
        """The transaction that made names was rolled back."""
        for text in self._fresh:
            self._numbers.pop(text, None)
        self._fresh.clear()
        self._texts.clear()


class Parameters:
    """The parameters that have a number, and which column of each of their rows holds a name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seen = 0
        self.numbers: dict[str, int] = {}
        self.columns: dict[int, int] = {}
        self.ranges: set[int] = set()
        self.amounts: set[int] = set()

    def catch_up(self, count: int | None = None) -> None:
        """Learn what other processes have numbered; `count` is how many parameters are."""
        if count is None:
            count = value(self._connection, "SELECT numbered FROM merging")
        if count != self._seen:
            for number, key, kind in rows(self._connection, "SELECT number, key, type FROM parameter"):
                self.numbers[key] = number
                self._learn(number, kind)
            self._seen = count

    def _learn(self, number: int, kind: str) -> None:
        if kind in RANGE_TYPES:
            self.ranges.add(number)
        if kind == "quantity":
            self.amounts.add(number + Quantity.CANONICAL)
        for facet in range(FACETS):
            column = NAMES.get((kind, facet))
            if column:
                self.columns[number + facet] = COLUMNS[column]

    def add(self, wanted: Iterable[Numbered]) -> None:
        """Number what has no number yet; in a write transaction."""
        self.catch_up()
        taken = set(self.numbers.values())
        for parameter in wanted:
            if parameter.key in self.numbers:
                continue
            number = parameter.number
            while number in taken:
                number += FACETS
            taken.add(number)
            self.numbers[parameter.key] = number
            statement = "INSERT INTO parameter(number, key, type) VALUES(?,?,?)"
            self._connection.execute(statement, (number, parameter.key, parameter.type))
            self._connection.execute("UPDATE merging SET numbered=numbered+1")
        self.catch_up()

    def lost(self) -> None:
        """The transaction that added parameters was rolled back."""
        self._seen = 0
        self.numbers.clear()
        self.columns.clear()
        self.ranges.clear()
        self.amounts.clear()

    def column(self, number: int) -> int | None:
        """Where rows of a number hold a name; those of contained resources have it where their parameter has."""
        found = self.columns.get(number)
        return found if found is not None or number < APART else self.columns.get(number % APART)

    def stored(self, rows: Iterable[Row], names: Names) -> list[Sequence[Value]]:
        """Rows as they are stored, their names made numbers; in a write transaction."""
        kept: list[Sequence[Value]] = []
        columns = self.columns
        for row in rows:
            number = row[0]
            column = columns.get(number) if number < APART else self.column(number)
            if column is None:
                kept.append(row)
            elif column == 2 and len(row) == 3:
                kept.append((number, row[1], names.make(str(row[2]))))
            else:
                kept.append((*row[:column], names.make(str(row[column])), *row[column + 1 :]))
        return kept


class Used:
    """The numbers that any row ever had, each with its longest range.

    A search on another number finds nothing without a look.
    """

    def __init__(self, connection: Connection, parameters: Parameters) -> None:
        self._connection = connection
        self._parameters = parameters
        self._longest: dict[int, float] = {}
        self._settled: set[int] = set()
        self._fresh: list[int] = []
        self._seen: dict[int, float | None] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._longest or self.longest(number) is not None

    def look_again(self) -> None:
        """Forget what was seen in the last snapshot."""
        self._seen.clear()

    def longest(self, number: int) -> float | None:
        """The length of the longest range among rows of a number; None if there never was a row."""
        if number in self._seen:
            return self._seen[number]
        found: float | None = value(self._connection, "SELECT longest FROM used WHERE number=?", (number,))
        if found is not None:
            self._longest[number] = found
        self._seen[number] = found
        return found

    def note(self, rows: Iterable[Row]) -> None:
        """Remember the numbers of rows that are written, and the lengths of ranges; in a write transaction."""
        for row in rows:
            if row[0] not in self._settled:
                self._note(row)

    def _note(self, row: Row) -> None:
        number = row[0]
        is_range = number in self._parameters.ranges
        length = row[2] - row[1] if is_range else 0  # type: ignore[operator] # of numbers
        if length > self._longest.get(number, -1):
            self._connection.execute(NOTE, (number, length))
            self._longest[number] = length
            self._fresh.append(number)
        if not is_range:
            self._settled.add(number)

    def kept(self) -> None:
        """The transaction that noted numbers is durable."""
        self._fresh.clear()

    def lost(self) -> None:
        """The transaction that noted numbers was rolled back."""
        for number in self._fresh:
            self._longest.pop(number, None)
        self._fresh.clear()
        self._settled.clear()
