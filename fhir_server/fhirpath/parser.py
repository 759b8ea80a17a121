"""Tokens to a syntax tree, by precedence climbing (FHIRPath 2.0, section 6.8 and the formal grammar)."""

from __future__ import annotations

from decimal import Decimal

from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.lexer import Token, tokens
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.syntax import (
    PRECEDENCE,
    UNARY,
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Name,
    Polarity,
    Special,
    Syntax,
    TypeName,
    TypeOperation,
    Variable,
)
from fhir_server.fhirpath.temporal import CALENDAR_UNITS, Date, DateTime, Time, parse_date, parse_date_time, parse_time

DEEPEST = 100
"""Levels of a tree: evaluation recurses as deep."""
CHAINED = frozenset({"|", "and", "or", "&", "+"})
"""Operators whose chains are evaluated in a loop, and so may be long."""


def parse(source: str) -> Syntax:
    """The syntax tree of an expression; FHIRPathError says where it is not one."""
    try:
        reader = Parser(list(tokens(source)))
        tree = reader.expression(0)
        reader.expect("end", "an operator or the end of the expression")
    except FHIRPathError as error:
        raise error.within(source) from None
    except RecursionError:
        raise FHIRPathError("The expression is nested too deep", 0, source) from None
    return tree


class Parser:
    """Reads one expression; every method leaves `index` behind what it has read."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.index = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        """The token to read next."""
        return self.tokens[self.index]

    def take(self) -> Token:
        """Read a token."""
        token = self.tokens[self.index]
        self.index += 1
        return token

    def at(self, symbol: str) -> bool:
        """True when the next token is this symbol."""
        return self.token.kind == "symbol" and self.token.text == symbol

    def expect(self, kind: str, description: str) -> Token:
        """Read a token of a kind."""
        if self.token.kind != kind:
            raise self.unexpected(description)
        return self.take()

    def expect_symbol(self, symbol: str) -> Token:
        """Read a symbol."""
        if not self.at(symbol):
            raise self.unexpected(f"'{symbol}'")
        return self.take()

    def unexpected(self, description: str) -> FHIRPathError:
        """The error that something else was expected here."""
        found = f"'{self.token.text}'" if self.token.kind != "end" else "the end of the expression"
        return FHIRPathError(f"Unexpected {found}: expected {description}", self.token.position)

    def deeper(self, by: int = 1) -> None:
        """Count a level of the tree."""
        self.depth += by
        if self.depth > DEEPEST:
            raise FHIRPathError(f"The expression is nested more than {DEEPEST} levels deep", self.token.position)

    def expression(self, weakest: int) -> Syntax:
        """An expression whose operators bind at least as strongly as `weakest`."""
        entry = self.depth
        self.deeper()
        left = self.operand()
        while True:
            operator = self.token
            strength = PRECEDENCE.get(operator.text, -1) if operator.kind in ("symbol", "name") else -1
            if strength < weakest or strength < 0:
                break
            self.take()
            if not (isinstance(left, Binary) and left.operator == operator.text in CHAINED):
                self.deeper()
            left = self.operation(operator, left, strength)
        self.depth = entry
        return left

    def operation(self, operator: Token, left: Syntax, strength: int) -> Syntax:
        """What a binary operator makes of its left side and what follows."""
        if operator.text in ("is", "as"):
            return TypeOperation(operator.position, operator.text, left, self.type_name())
        return Binary(operator.position, operator.text, left, self.expression(strength + 1))

    def operand(self) -> Syntax:
        """A term with its polarity."""
        if self.at("-") or self.at("+"):
            sign = self.take()
            return Polarity(sign.position, sign.text, self.expression(UNARY))
        return self.path()

    def path(self) -> Syntax:
        """A term followed by any number of `.name`, `.function()` and `[index]`."""
        entry = self.depth
        tree = self.term()
        while True:
            if self.at("."):
                self.take()
                tree = self.invocation(tree)
            elif self.at("["):
                bracket = self.take()
                tree = Index(bracket.position, tree, self.expression(0))
                self.expect_symbol("]")
            else:
                break
            self.deeper()
        self.depth = entry
        return tree

    def term(self) -> Syntax:
        """A literal, variable, parenthesis, name or function."""
        token = self.token
        if token.kind == "symbol":
            return self.symbol_term(token)
        if token.kind == "name" and token.text in ("true", "false"):
            self.take()
            return Literal(token.position, token.text == "true")
        if token.kind in ("name", "delimited"):
            return self.invocation(None)
        readers = {"number": self.number, "string": self.string, "temporal": self.temporal, "special": self.special}
        if token.kind not in readers:
            raise self.unexpected("a value, a name or a function")
        return readers[token.kind](self.take())

    def symbol_term(self, token: Token) -> Syntax:
        """`(...)`, `{}` or `%name`."""
        if self.at("("):
            self.take()
            tree = self.expression(0)
            self.expect_symbol(")")
            return tree
        if self.at("{"):
            self.take()
            self.expect_symbol("}")
            return Empty(token.position)
        if self.at("%"):
            self.take()
            if self.token.kind not in ("name", "delimited", "string"):
                raise self.unexpected("the name of a variable")
            return Variable(token.position, self.take().text)
        raise self.unexpected("a value, a name or a function")

    def invocation(self, source: Syntax | None) -> Syntax:
        """A name or a function on a source."""
        if self.token.kind == "special" and source is not None:
            return self.special(self.take())
        if self.token.kind not in ("name", "delimited"):
            raise self.unexpected("a name or a function")
        token = self.take()
        if not self.at("("):
            return Name(token.position, token.text, source)
        self.take()
        arguments: list[Syntax] = []
        while not self.at(")"):
            if arguments:
                self.expect_symbol(",")
            arguments.append(self.expression(0))
        self.take()
        return Call(token.position, token.text, tuple(arguments), source)

    def type_name(self) -> TypeName:
        """A type, perhaps with its namespace."""
        if self.at("("):
            self.take()
            inside = self.type_name()
            self.expect_symbol(")")
            return inside
        if self.token.kind not in ("name", "delimited"):
            raise self.unexpected("the name of a type")
        first = self.take()
        if first.text in ("FHIR", "System") and self.at("."):
            self.take()
            if self.token.kind not in ("name", "delimited"):
                raise self.unexpected("the name of a type")
            return TypeName(first.position, self.take().text, first.text)
        return TypeName(first.position, first.text)

    def number(self, token: Token) -> Syntax:
        """A number, or a quantity when a unit follows."""
        unit = self.token
        if unit.kind == "string":
            self.take()
            return Literal(token.position, Quantity(Decimal(token.text), CALENDAR_UNITS.get(unit.text, unit.text)))
        if unit.kind == "name" and unit.text in CALENDAR_UNITS:
            self.take()
            return Literal(token.position, Quantity(Decimal(token.text), CALENDAR_UNITS[unit.text]))
        return Literal(token.position, Decimal(token.text) if "." in token.text else int(token.text))

    def string(self, token: Token) -> Syntax:
        """A string."""
        return Literal(token.position, token.text)

    def special(self, token: Token) -> Syntax:
        """`$this`, `$index` or `$total`."""
        return Special(token.position, token.text[1:])

    def temporal(self, token: Token) -> Syntax:
        """A date, dateTime or time."""
        value = temporal_from(token.text[1:])
        if value is None:
            raise FHIRPathError(f"'{token.text}' is no valid date, dateTime or time", token.position)
        if self.token.kind == "name" and self.token.position == token.position + len(token.text):
            raise self.unexpected("a valid date, dateTime or time")
        return Literal(token.position, value)


def temporal_from(text: str) -> Date | DateTime | Time | None:
    """The date, dateTime or time of a literal without its `@`."""
    if text[0] == "T":
        return parse_time(text[1:])
    return parse_date_time(text) if "T" in text else parse_date(text)
