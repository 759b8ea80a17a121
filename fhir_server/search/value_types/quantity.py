"""Values of quantity parameters: `5.4|http://unitsofmeasure.org|mg`, `5.4||mg`, `5.4` (FHIR R4, 3.1.1.4.11)."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from fhir_server.search.escape import split, unescaped
from fhir_server.search.leaf import UCUM
from fhir_server.search.plan import Column, Operator, Row, Test
from fhir_server.search.precision import Amount, amount, converted, ordered
from fhir_server.search.prefix import PREFIXES, Prefix, parted
from fhir_server.search.question import Form, Question, Rows, Unreadable
from fhir_server.search.row import SEPARATOR, Quantity, joined

UnitTest = tuple[Operator, str]


def read(text: str, question: Question) -> Rows:
    """A quantity with its prefix."""
    prefix, rest = parted(text)
    return compared(rest, question, prefix)


def compared(text: str, question: Question, prefix: Prefix) -> Rows:
    """A number with a unit, compared as a prefix says: in base units where UCUM knows the unit, else as sent."""
    found = [unescaped(part) for part in split(text, "|")]
    if len(found) not in (1, 3):
        raise Unreadable("write number, number|system|code or number||unit, as in 5.4|http://unitsofmeasure.org|mg")
    asked = amount(found[0])
    if len(found) == 1:
        return rows(prefix, asked, Quantity.SENT, (None,))
    system, code = found[1:]
    based = in_base_units(prefix, asked, code, question) if system == UCUM else None
    if based is not None:
        turned, amounts, unit = based
        return rows(turned, amounts, Quantity.CANONICAL, (("=", unit),))
    return rows(prefix, asked, Quantity.SENT, units(system, code))


def in_base_units(prefix: Prefix, asked: Amount, code: str, question: Question) -> tuple[Prefix, Amount, str] | None:
    """The question in UCUM's base units with their name; None where the unit has no such."""
    unit: list[str] = []

    def convert(value: Decimal) -> Decimal:
        found = question.context.canonical(value, code)
        if found is None:
            raise Unreadable(code)
        unit.append(found[1])
        return found[0]

    try:
        return *converted(prefix, asked, convert), unit[0]
    except Unreadable:
        return None


def units(system: str, code: str) -> tuple[UnitTest | None, ...]:
    """Tests, in alternatives, of a unit's name, which joins system, code and unit.

    Without a system the code or the unit that people read may be meant.
    """
    if system:
        return (("starts", joined(system, code, "") if code else joined(system, "")),)
    if not code:
        return (None,)
    return ("contains", f"{SEPARATOR}{code}{SEPARATOR}"), ("ends", f"{SEPARATOR}{code}")


def rows(prefix: Prefix, asked: Amount, facet: Quantity, names: tuple[UnitTest | None, ...]) -> Rows:
    """Rows of one value and rows of a range of them, which stand two facets on."""
    views: tuple[tuple[int, Column, Column], ...] = ((facet, "v", "x"), (facet + 2, "x", "n"))
    return tuple(
        Row(number, tests if named is None else (*tests, Test(name, *named)))
        for number, high, name in views
        for tests in ordered(prefix, asked, "v", "v" if number == facet else high)
        for named in names
    )


FORMS = {"": Form(read)}
OPERATORS: dict[str, Form] = {prefix: Form(partial(compared, prefix=prefix)) for prefix in PREFIXES}
