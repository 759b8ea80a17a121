"""Predicates as conditions of `$match` (FHIR R4, 3.1.1 Search).

Comparisons stay within text or within numbers, as MongoDB has them: a column of one number holds either, but for the 0
that stands for a missing component of a composite, which no range of text is meant to find.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhir_server.errors import TooCostly
from fhir_server.search.plan import (
    And,
    Chain,
    Ids,
    Near,
    Not,
    Or,
    Predicate,
    Present,
    Referrer,
    Row,
    Test,
    Text,
    Updated,
)
from fhir_server.search.row import FACETS
from fhir_server.store.aggregation.document import WORD, Document, unit_vector
from fhir_server.store.prose import Phrase, Wording, wording

EARTH_RADIUS = 6_371_008.8
METRES_PER_DEGREE = EARTH_RADIUS * math.pi / 180
LAST_CHARACTER = "\U0010ffff"
DEEPEST = 120
"""Documents and lists within each other: MongoDB takes 200, and 100 of the operators that are nested so."""

ALWAYS: Document = {}
NEVER: Document = {"_id": {"$in": []}}

COMPARISONS: Mapping[str, str] = {"=": "$eq", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}

Join = Callable[[Chain | Referrer], Document]
"""What a condition says of a join: it is decided before, or by a `$lookup` in the pipeline."""


def condition(predicate: Predicate, join: Join) -> Document:
    """The condition that a document of the resource's type matches."""
    match predicate:
        case And(items):
            return all_of([condition(item, join) for item in items])
        case Or(items):
            return any_of([condition(item, join) for item in items])
        case Not(item):
            return none_of(condition(item, join))
        case Row(number, tests):
            return {"rows": {"$elemMatch": {"p": number} | columns(tests)}}
        case Present(parameter):
            return {"rows": {"$elemMatch": {"p": {"$gte": parameter, "$lt": parameter + FACETS}}}}
        case Ids(ids):
            return {"id": {"$in": list(ids)}}
        case Updated(low, high):
            bounds = {name: bound for name, bound in (("$gte", low), ("$lt", high)) if bound is not None}
            return {"at": bounds} if bounds else ALWAYS
        case Near():
            return near(predicate)
        case Text(within, expression):
            return worded(wording(expression), within)
        case Chain() | Referrer():
            return join(predicate)


def all_of(conditions: Sequence[Document]) -> Document:
    """The condition that all hold."""
    told = [part for one in conditions if one != ALWAYS for part in parts_of("$and", one)]
    if NEVER in told:
        return NEVER
    return told[0] if len(told) == 1 else {"$and": told} if told else ALWAYS


def any_of(conditions: Sequence[Document]) -> Document:
    """The condition that one holds."""
    told = [part for one in conditions if one != NEVER for part in parts_of("$or", one)]
    if ALWAYS in told:
        return ALWAYS
    return told[0] if len(told) == 1 else {"$or": told} if told else NEVER


def parts_of(operator: str, one: Document) -> Sequence[Document]:
    """The parts of a condition that is joined by the same operator, so that long ones do not become deep."""
    return one[operator] if one.keys() == {operator} else [one]


def checked(one: Document) -> Document:
    """The condition; TooCostly where it is nested deeper than a server reads."""
    if depth(one) > DEEPEST:
        raise TooCostly("The conditions of the search are nested too deep. Put what belongs together in parentheses.")
    return one


def depth(one: Any) -> int:
    """How deep a condition is nested."""
    if isinstance(one, dict):
        return 1 + max(map(depth, one.values()), default=0)
    if isinstance(one, list) and one and isinstance(one[0], dict):
        return 1 + max(map(depth, one))
    return 1


def none_of(one: Document) -> Document:
    """The condition that one does not hold."""
    if one == ALWAYS:
        return NEVER
    return ALWAYS if one == NEVER else {"$nor": [one]}


def columns(tests: Sequence[Test]) -> Document:
    """The conditions on the columns of one row; two of the same kind on a column stand side by side."""
    told: Document = {}
    beside: list[Document] = []
    for test in tests:
        asked = comparison(test)
        held = told.setdefault(test.column, {})
        if held.keys() & asked.keys():
            beside.append({test.column: asked})
        else:
            held.update(asked)
    return {**told, "$and": beside} if beside else told


def comparison(test: Test) -> Document:
    """The condition on one column."""
    asked = test.value
    if isinstance(asked, tuple):
        return {"$in": list(asked)}
    if test.operator in COMPARISONS:
        return {COMPARISONS[test.operator]: asked}
    if test.operator == "starts":
        return beginning(str(asked))
    return {"$regex": literally(str(asked)) + (r"\z" if test.operator == "ends" else "")}


def beginning(text: str) -> Document:
    """The condition that a text begins so: a range, which an index has."""
    return {"$gte": text, "$lt": text + LAST_CHARACTER}


def literally(text: str) -> str:
    """A pattern for a text; whatever is no letter or digit is named by its number, NUL included."""
    return "".join(c if c.isalnum() else f"\\x{{{ord(c):x}}}" for c in text)


def near(asked: Near) -> Document:
    """The condition that a position lies near enough: a band of latitudes, then the chord between the points."""
    band = asked.metres / METRES_PER_DEGREE
    latitudes = {"$gte": asked.latitude - band, "$lte": asked.latitude + band}
    chord = 2 * math.sin(min(asked.metres / EARTH_RADIUS / 2, math.pi / 2))
    there = unit_vector(asked.latitude, asked.longitude)
    squares = [
        {"$pow": [{"$subtract": [{"$arrayElemAt": ["$$r.u", axis]}, there[axis]]}, 2]} for axis in range(len(there))
    ]
    is_near = {"$and": [{"$eq": ["$$r.p", asked.number]}, {"$lte": [{"$add": squares}, chord**2]}]}
    found = {"$filter": {"input": "$rows", "as": "r", "cond": is_near}}
    return {
        "rows": {"$elemMatch": {"p": asked.number, "v": latitudes}},
        "$expr": {"$gt": [{"$size": found}, 0]},
    }


def worded(asked: Wording, within: str) -> Document:
    """The condition that the words of the narrative, or of the whole resource, are as asked."""
    if isinstance(asked, Phrase):
        return _phrase(asked, within)
    told = [worded(item, within) for item in asked.items]
    if asked.operator == "NOT":
        return all_of([told[0], *map(none_of, told[1:])])
    return (all_of if asked.operator == "AND" else any_of)(told)


def _phrase(asked: Phrase, within: str) -> Document:
    found = WORD.findall(asked.text)
    if not found:
        return NEVER
    words = f"prose.{within}"
    last = {words: {"$elemMatch": beginning(found[-1])}} if asked.is_prefix else {words: found[-1]}
    if len(found) == 1:
        return last
    text = f" {' '.join(found)}{'' if asked.is_prefix else ' '}"
    return {"$and": [*({words: word} for word in found[:-1]), last, {f"prose.phrases.{within}": {"$regex": text}}]}
