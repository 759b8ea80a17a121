r"""Index rows: what search knows of a resource, in a form that any store can sort (FHIR R4, 3.1.1.4).

A row is a tuple that starts with `p`, the number of a parameter of a resource type plus the number of a *facet*: the
view of the value that the row holds. Parameters are eight apart, so `p & ~7` is the parameter and `p & 7` the facet.
A *narrow* row is `(p, v, x)`; a *wide* row is `(p, v, x, y, n)` and is needed only where a match must see more than
two columns at once: ranges of quantities, and composites. The rows of one resource are distinct, in no order.

| type | facet | v | x | matched by |
|---|---|---|---|---|
| token | 0 CODE | code or value | system or `''` | `code`, `system|code`, `|code` (x is `''`), `system|` of codes |
| | 1 FOLDED | the same in casefold | system or `''` | the same, where case makes no difference |
| | 2 TEXT | folded text | `''` | `:text`, as a string |
| | 3 OF_TYPE | identifier's value | its type: system, code | `:of-type` |
| | 4 SYSTEM | system | `''` | `system|`, of identifiers and of what has no code |
| string | 0 WHOLE | folded text | as sent; `''` if that is v | the default, `:contains`; `:exact` by v and x |
| | 1 WORD | folded, from a later word on | `''` | the default: names of several words |
| date | 0 RANGE | first ms | ms after the last | all prefixes, as `[v, x)` |
| | 1 LONG | the same | the same | again, where it is longer than LONGEST_RANGE |
| number | 0 RANGE | low | high | all prefixes, as `[v, x]`; mostly v = x |
| quantity | 0 SENT | value | system, code, unit | a unit as sent, or none asked for |
| | 1 CANONICAL | value in base units | base units | UCUM units |
| | 2 SENT_RANGE, 3 CANONICAL_RANGE | low | high | wide: y is 0, n as x above |
| reference | 0 LITERAL | id; a URL, urn or `#id` whole | type or `''` | `id`, `type/id`, `url`, chains |
| | 1 IDENTIFIER | value | system or `''` | `:identifier`, as a token |
| | 2 IDENTIFIER_SYSTEM | system | `''` | `:identifier=system|` |
| | 3 VERSION | `type/id/_history/version` | `''` | an exact version |
| | 4 CANONICAL | url | version or `''` | canonicals and uris, `:below` |
| | 5 INSIDE | place in `contained` | its type | chains into contained resources |
| uri | 0 URI | uri; a canonical's url | a canonical's version | equality; `:below` a range, `:above` a list |
| composite | 0 JOINED, 1 JOINED_CANONICAL | first column | second | wide; 1 has quantities in base units |
| special | 0 POSITION | latitude | longitude | `near` |

Columns that hold a *name* (NAMES) take few different values: a store may keep numbers for them. Where a name has
several parts they are joined by SEPARATOR, which no FHIR string can hold.

Case makes no difference for tokens of type string, and for codes unless their system is known to heed it; identifiers,
ids, uris and booleans stand under CODE. A search asks both facets: `code` under CODE, its casefold under FOLDED.
A system alone is asked for by x, since a system has few codes; it has many identifiers, and rows of its own for them.

The columns v, x and y of a composite are those of its components in order: the code of a token, low and high of a
quantity, both ends of a date, the value of a number, the folded text of a string, v of a reference or uri; what is
missing is 0. Its n joins the qualifiers (system of a token, unit of a quantity, x of a reference or uri) and, as text,
the columns after the third.

A number or quantity is a float; what needs more than 17 digits is rounded, so a search rounds its bounds alike.

Rows of contained resources stand among those of their container, with numbers of their own: see
`fhir_server.search.contained`.

No row says that a value is missing: `:missing=true` is every resource of the type without a row in `p .. p + 7`. That
holds for each type, because an element with any value gives at least one row; what has no value to match (a period
without ends, a reference with a display alone) is missing, as the standard has it.
"""

from __future__ import annotations

from enum import IntEnum
from sys import getsizeof
from typing import Any

Value = str | int | float
Narrow = tuple[int, Value, Value]
Wide = tuple[int, Value, Value, Value, str]
Row = Narrow | Wide
Rows = list[Row]

FACETS = 8
SEPARATOR = "\x1f"
LONGEST_RANGE = 32 * 86_400_000
"""Milliseconds: what ends after a moment begins so long before it at most, or has a LONG row."""

UNKNOWN_START = -(2**53)
UNKNOWN_END = 2**53
LOWEST = -1.7976931348623157e308
HIGHEST = 1.7976931348623157e308
HEAVIEST_KEY = 1000


class Token(IntEnum):
    """Facets of a token."""

    CODE = 0
    FOLDED = 1
    TEXT = 2
    OF_TYPE = 3
    SYSTEM = 4


class String(IntEnum):
    """Facets of a string."""

    WHOLE = 0
    WORD = 1


class Range(IntEnum):
    """Facets of a date; a number has the first."""

    RANGE = 0
    LONG = 1


class Quantity(IntEnum):
    """Facets of a quantity."""

    SENT = 0
    CANONICAL = 1
    SENT_RANGE = 2
    CANONICAL_RANGE = 3


class Reference(IntEnum):
    """Facets of a reference."""

    LITERAL = 0
    IDENTIFIER = 1
    IDENTIFIER_SYSTEM = 2
    VERSION = 3
    CANONICAL = 4
    INSIDE = 5


class Uri(IntEnum):
    """The facet of a uri."""

    URI = 0


class Composite(IntEnum):
    """Facets of a composite."""

    JOINED = 0
    JOINED_CANONICAL = 1


class Special(IntEnum):
    """The facet of a special parameter."""

    POSITION = 0


NAMES: dict[tuple[str, int], str] = {
    ("token", Token.CODE): "x",
    ("token", Token.FOLDED): "x",
    ("token", Token.OF_TYPE): "x",
    ("token", Token.SYSTEM): "v",
    ("quantity", Quantity.SENT): "x",
    ("quantity", Quantity.CANONICAL): "x",
    ("quantity", Quantity.SENT_RANGE): "n",
    ("quantity", Quantity.CANONICAL_RANGE): "n",
    ("reference", Reference.LITERAL): "x",
    ("reference", Reference.IDENTIFIER): "x",
    ("reference", Reference.IDENTIFIER_SYSTEM): "v",
    ("reference", Reference.INSIDE): "x",
    ("composite", Composite.JOINED): "n",
    ("composite", Composite.JOINED_CANONICAL): "n",
}
"""The column of a facet that holds a name."""


def joined(*parts: str) -> str:
    """One name of several parts."""
    return SEPARATOR.join(parts)


def weight(key: Any) -> int:
    """The bytes that a key takes, roughly."""
    return sum(map(weight, key)) if isinstance(key, tuple) else getsizeof(key)


class Memo(dict[Any, Any]):
    """A dict of bounded size, since clients choose what comes into it.

    It forgets everything when it is full, and does not keep what is found under a heavy key.
    """

    __slots__ = ("most",)

    def __init__(self, most: int = 4096) -> None:
        super().__init__()
        self.most = most

    def keep(self, key: Any, value: Any) -> Any:
        """Remember a value, if its key is light, and return it."""
        if weight(key) <= HEAVIEST_KEY:
            if len(self) >= self.most:
                self.clear()
            self[key] = value
        return value
