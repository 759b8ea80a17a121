"""The Unified Code for Units of Measure: which codes are valid, and what they are in base units (UCUM 2.2).

The table of units is the official `ucum-essence.xml` that the library ucumvert carries; the grammar and exact
arithmetic are here, because a float is not exact enough and importing a library of units costs a quarter second.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, DecimalException, DivisionByZero, InvalidOperation, Overflow, Underflow
from fractions import Fraction
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

NAMESPACE = "{http://unitsofmeasure.org/ucum-essence}"
REMEMBERED_CODES = 4096
LONGEST_CODE = 256
DEEPEST = 20
LARGEST_EXPONENT = 99
EXACT = Context(prec=60, traps=[InvalidOperation, DivisionByZero, Overflow, Underflow])
ROUNDED = Context(prec=28)

ANNOTATION = re.compile(r"\{[!-z|~]+\}")
NUMBER = re.compile(r"[0-9]+")
SYMBOL = re.compile(r"(?:10[*^]|(?:\[[!-Z\\^-~]*\]|[^][(){}./0-9+\-\s])+)")
EXPONENT = re.compile(r"[+-]?[0-9]+")


class InvalidCode(ValueError):
    """Text that is no UCUM code."""


@dataclass(frozen=True, slots=True)
class Term:
    """A product of base units: an exact factor and exponents; `special` is set where the scale is not a ratio."""

    factor: Fraction = Fraction(1)
    dimensions: Mapping[str, int] = field(default_factory=dict)
    special: Special | None = None

    def times(self, other: Term, sign: int = 1) -> Term:
        """The product with the other, or the quotient where sign is -1; a special unit cannot take part."""
        dimensions = dict(self.dimensions)
        for base, exponent in other.dimensions.items():
            dimensions[base] = dimensions.get(base, 0) + sign * exponent
            if not dimensions[base]:
                del dimensions[base]
        if sign < 0 and not other.factor:
            raise InvalidCode("division by zero")
        factor = self.factor * other.factor if sign > 0 else self.factor / other.factor
        return Term(factor, dimensions, self.special or other.special)

    def power(self, exponent: int) -> Term:
        """The term to a whole power."""
        if abs(exponent) > LARGEST_EXPONENT or (exponent < 0 and not self.factor):
            raise InvalidCode(f"exponent {exponent}")
        dimensions = {base: exponent * own for base, own in self.dimensions.items() if exponent}
        return Term(self.factor**exponent, dimensions, self.special)

    def unit(self) -> str:
        """The base units in the order of their names: `g.m-1.s-2`; `1` for a pure number."""
        bases = sorted(self.dimensions.items())
        return ".".join(f"{base}{exponent if exponent != 1 else ''}" for base, exponent in bases) or "1"


@dataclass(frozen=True, slots=True)
class Special:
    """A unit on a scale of its own: `to_base` and `from_base` relate it to the unit that its function names."""

    code: str
    prefix: Fraction
    to_base: Callable[[Decimal], Decimal]
    from_base: Callable[[Decimal], Decimal]


@dataclass(frozen=True, slots=True)
class Atom:
    """A row of the table of units; `function` names the scale of a special unit."""

    code: str
    is_metric: bool = False
    is_arbitrary: bool = False
    value: Fraction = Fraction(1)
    unit: str | None = None
    function: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The prefixes and units of UCUM."""

    prefixes: Mapping[str, Fraction]
    atoms: Mapping[str, Atom]


@dataclass(frozen=True, slots=True)
class Scale:
    """How values in a unit become values in base units: by an exact factor, a ratio, or a special scale."""

    unit: str
    factor: Decimal | None
    ratio: tuple[Decimal, Decimal]
    special: Special | None


def power_of(base: Decimal, per: Decimal = Decimal(1)) -> tuple[Callable[[Decimal], Decimal], ...]:
    """A logarithmic scale: `base` to the power of the value."""
    return (
        lambda x: EXACT.power(base, x / per),
        lambda y: EXACT.divide(EXACT.ln(y), EXACT.ln(base)) * per,
    )


def shift(step: Fraction, zero: str) -> tuple[Callable[[Decimal], Decimal], ...]:
    """A temperature scale with another zero."""
    numerator, denominator = Decimal(step.numerator), Decimal(step.denominator)
    return (
        lambda x: EXACT.divide(EXACT.multiply(x, numerator), denominator) + Decimal(zero),
        lambda y: EXACT.divide(EXACT.multiply(y - Decimal(zero), denominator), numerator),
    )


def tangent(factor: int) -> tuple[Callable[[Decimal], Decimal], ...]:
    """A slope: the angle whose tangent, times `factor`, is the value."""
    return (
        lambda x: Decimal(repr(math.atan(float(x) / factor))),
        lambda y: Decimal(repr(math.tan(float(y)) * factor)),
    )


FAHRENHEIT = (
    lambda x: EXACT.divide(EXACT.multiply(x + Decimal("459.67"), Decimal(5)), Decimal(9)),
    lambda y: EXACT.divide(EXACT.multiply(y, Decimal(9)), Decimal(5)) - Decimal("459.67"),
)
SCALES: Mapping[str, tuple[Callable[[Decimal], Decimal], ...]] = {
    "Cel": shift(Fraction(1), "273.15"),
    "degF": FAHRENHEIT,
    "degRe": shift(Fraction(5, 4), "273.15"),
    "pH": (lambda x: EXACT.power(Decimal(10), -x), lambda y: -EXACT.log10(y)),
    "lg": power_of(Decimal(10)),
    "lgTimes2": power_of(Decimal(10), Decimal(2)),
    "ln": (EXACT.exp, EXACT.ln),
    "ld": power_of(Decimal(2)),
    "hpX": power_of(Decimal("0.1")),
    "hpC": power_of(Decimal("0.01")),
    "hpM": power_of(Decimal("0.001")),
    "hpQ": power_of(Decimal("0.00002")),
    "tanTimes100": tangent(100),
    "100tan": tangent(100),
    "sqrt": (lambda x: EXACT.multiply(x, x), EXACT.sqrt),
}
KELVIN_FUNCTIONS = frozenset({"Cel", "degF", "degRe"})
"""Their table rows scale the kelvin (`K/9`), which `SCALES` already does."""


@cache
def table() -> Table:
    """The table of units, read once."""
    specification = find_spec("ucumvert")
    assert specification is not None
    assert specification.submodule_search_locations is not None
    path = Path(specification.submodule_search_locations[0]) / "vendor" / "ucum-essence.xml"
    root = ET.parse(path).getroot()  # noqa: S314 a file of an installed library, not of a client
    prefixes = {
        row.attrib["Code"]: Fraction(row.find(f"{NAMESPACE}value").attrib["value"])  # type: ignore[union-attr]
        for row in root.findall(f"{NAMESPACE}prefix")
    }
    bases = (row.attrib["Code"] for row in root.findall(f"{NAMESPACE}base-unit"))
    atoms = {code: Atom(code, is_metric=True) for code in bases}
    atoms |= {row.attrib["Code"]: atom_from(row) for row in root.findall(f"{NAMESPACE}unit")}
    return Table(prefixes, atoms)


def atom_from(row: ET.Element) -> Atom:
    """Read a row of the table."""
    value = row.find(f"{NAMESPACE}value")
    assert value is not None
    function = value.find(f"{NAMESPACE}function")
    definition = value if function is None else function
    return Atom(
        row.attrib["Code"],
        is_metric=row.get("isMetric") == "yes",
        is_arbitrary=row.get("isArbitrary") == "yes",
        value=Fraction(definition.attrib["value"]),
        unit=definition.attrib["Unit"],
        function=None if function is None else function.attrib["name"],
    )


@cache
def atom_term(code: str) -> Term:
    """A unit of the table in base units; an arbitrary unit measures only itself."""
    atom = table().atoms[code]
    if atom.unit is None or (atom.is_arbitrary and atom.unit == "1"):
        return Term(dimensions={code: 1})
    if atom.function is None:
        return Term(atom.value).times(parse(atom.unit))
    base = parse("K") if atom.function in KELVIN_FUNCTIONS else Term(atom.value).times(parse(atom.unit))
    to_base, from_base = SCALES[atom.function]
    return Term(base.factor, base.dimensions, Special(code, Fraction(1), to_base, from_base))


def symbol_term(symbol: str) -> Term:
    """A unit, perhaps with a prefix."""
    units = table()
    if symbol in units.atoms:
        return atom_term(symbol)
    for length in (1, 2):
        prefix, rest = units.prefixes.get(symbol[:length]), symbol[length:]
        atom = units.atoms.get(rest)
        if prefix is not None and atom is not None and atom.is_metric:
            term = atom_term(rest)
            if term.special is None:
                return Term(prefix).times(term)
            special = term.special
            scaled = Special(symbol, prefix, special.to_base, special.from_base)
            return Term(term.factor, term.dimensions, scaled)
    raise InvalidCode(f"unknown unit {symbol}")


def parse(code: str) -> Term:
    """What a code means; InvalidCode when it means nothing."""
    if not code or len(code) > LONGEST_CODE or not code.isascii():
        raise InvalidCode(code)
    sign = 1
    index = 0
    if code[0] == "/":
        sign, index = -1, 1
    term, index = parse_term(code, index, sign, 0)
    if index != len(code):
        raise InvalidCode(f"unexpected {code[index]} in {code}")
    return term


def parse_term(code: str, index: int, sign: int, depth: int) -> tuple[Term, int]:
    """Components joined by `.` and `/`, read from the left."""
    if depth > DEEPEST:
        raise InvalidCode("nested too deep")
    term = Term()
    components = 0
    while True:
        component, index = parse_component(code, index, depth)
        first = not components and sign > 0
        term = component if first else term.times(with_no_scale(component), sign)
        components += 1
        if index >= len(code) or code[index] not in "./":
            return term, index
        sign = 1 if code[index] == "." else -1
        index += 1
        term = with_no_scale(term)


def with_no_scale(term: Term) -> Term:
    """The term as part of a product, where a special unit has no meaning as a number."""
    return Term(term.factor, term.dimensions, UNSCALED) if term.special else term


def refuse(value: Decimal) -> Decimal:
    """A special unit within a product is a legal code without a defined value."""
    raise InvalidCode(str(value))


UNSCALED = Special("", Fraction(1), refuse, refuse)


def parse_component(code: str, index: int, depth: int) -> tuple[Term, int]:
    """A unit with its exponent, a number, an annotation or a parenthesis, with an annotation behind it."""
    if code[index : index + 1] == "(":
        term, index = parse_term(code, index + 1, 1, depth + 1)
        if code[index : index + 1] != ")":
            raise InvalidCode(f"unclosed parenthesis in {code}")
        return annotated(code, term, index + 1)
    if code[index : index + 1] == "{":
        return annotated(code, Term(), index)
    symbol = SYMBOL.match(code, index)
    if symbol is None:
        number = NUMBER.match(code, index)
        if number is None:
            raise InvalidCode(f"expected a unit at {code[index:]!r}")
        return annotated(code, Term(Fraction(int(number.group()))), number.end())
    term = symbol_term(symbol.group())
    index = symbol.end()
    exponent = EXPONENT.match(code, index)
    if exponent:
        index = exponent.end()
        term = with_no_scale(term).power(int(exponent.group()))
    return annotated(code, term, index)


def annotated(code: str, term: Term, index: int) -> tuple[Term, int]:
    """The term, with the annotation behind it skipped."""
    if code[index : index + 1] != "{":
        return term, index
    annotation = ANNOTATION.match(code, index)
    if annotation is None:
        raise InvalidCode(f"invalid annotation in {code}")
    return term, annotation.end()


@lru_cache(maxsize=REMEMBERED_CODES)
def scale(code: str) -> Scale | None:
    """How values of a code become values in base units; None for an invalid code."""
    try:
        term = parse(code)
    except InvalidCode:
        return None
    numerator, denominator = Decimal(term.factor.numerator), Decimal(term.factor.denominator)
    quotient = ROUNDED.divide(numerator, denominator)
    is_exact = EXACT.multiply(quotient, denominator) == numerator
    factor = quotient if is_exact and term.special is None else None
    return Scale(term.unit(), factor, (numerator, denominator), term.special)


def is_valid(code: str) -> bool:
    """True for a case-sensitive UCUM code."""
    return scale(code) is not None


def canonical(value: Decimal, code: str) -> tuple[Decimal, str] | None:
    """The value in base units and those units, always written alike; None when the code has no such value."""
    known = scale(code)
    if known is None:
        return None
    if known.factor is not None:
        return value * known.factor, known.unit
    return scaled(value, known)


def scaled(value: Decimal, known: Scale) -> tuple[Decimal, str] | None:
    """A value through a ratio without an exact decimal, or through a special scale."""
    special = known.special
    try:
        if special is not None:
            scaled_up = EXACT.multiply(value, Decimal(special.prefix.numerator))
            value = special.to_base(EXACT.divide(scaled_up, Decimal(special.prefix.denominator)))
        numerator, denominator = known.ratio
        return ROUNDED.divide(EXACT.multiply(value, numerator), denominator), known.unit
    except (InvalidCode, DecimalException, OverflowError):
        return None


def convert(value: Decimal, code: str, target: str) -> Decimal | None:
    """The value in another unit; None when the codes do not measure the same thing."""
    if code == target and is_valid(code):
        return value
    based = canonical(value, code)
    goal = scale(target)
    if based is None or goal is None or goal.unit != based[1]:
        return None
    numerator, denominator = goal.ratio
    try:
        amount = EXACT.divide(EXACT.multiply(based[0], denominator), numerator)
        if goal.special is not None:
            prefix = goal.special.prefix
            amount = EXACT.divide(goal.special.from_base(amount) * prefix.denominator, Decimal(prefix.numerator))
        return ROUNDED.plus(amount)
    except (InvalidCode, DecimalException, OverflowError):
        return None


def comparable(code: str, other: str) -> bool:
    """True when two codes measure the same thing."""
    one, another = scale(code), scale(other)
    return one is not None and another is not None and one.unit == another.unit
