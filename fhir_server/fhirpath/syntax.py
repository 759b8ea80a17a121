"""The syntax tree of an expression, and its text (FHIRPath 2.0, section 3 and appendix on the formal grammar)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from fhir_server.fhirpath.quantity import Quantity, quantity_text
from fhir_server.fhirpath.temporal import Date, DateTime, Time

PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
UNSAFE = re.compile(r"[\x00-\x1f\\]")
WORDS = frozenset("and or xor implies in contains is as div mod true false".split())
PRECEDENCE = {
    "implies": 1,
    "or": 2, "xor": 2,
    "and": 3,
    "in": 4, "contains": 4,
    "=": 5, "~": 5, "!=": 5, "!~": 5,
    "<": 6, ">": 6, "<=": 6, ">=": 6,
    "|": 7,
    "is": 8, "as": 8,
    "+": 9, "-": 9, "&": 9,
    "*": 10, "/": 10, "div": 10, "mod": 10,
}  # fmt: skip
UNARY = 11
TERM = 12

LiteralValue = bool | int | Decimal | str | Date | DateTime | Time | Quantity


@dataclass(frozen=True, slots=True)
class Syntax:
    """A node of the tree; `position` is where its operator or name stands, and no part of its identity."""

    position: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Empty(Syntax):
    """`{}`."""


@dataclass(frozen=True, slots=True)
class Literal(Syntax):
    """A value written out."""

    value: LiteralValue


@dataclass(frozen=True, slots=True)
class Variable(Syntax):
    """`%name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Special(Syntax):
    """`$this`, `$index` or `$total`; the name comes without its sign."""

    name: str


@dataclass(frozen=True, slots=True)
class Name(Syntax):
    """`source.name`, or a name at the head of a path, where it may be a type."""

    name: str
    source: Syntax | None = None


@dataclass(frozen=True, slots=True)
class Call(Syntax):
    """`source.function(arguments)`; without source it works on the context."""

    function: str
    arguments: tuple[Syntax, ...]
    source: Syntax | None = None


@dataclass(frozen=True, slots=True)
class Index(Syntax):
    """`source[index]`."""

    source: Syntax
    index: Syntax


@dataclass(frozen=True, slots=True)
class Polarity(Syntax):
    """`+operand` or `-operand`."""

    operator: str
    operand: Syntax


@dataclass(frozen=True, slots=True)
class Binary(Syntax):
    """`left operator right`."""

    operator: str
    left: Syntax
    right: Syntax


@dataclass(frozen=True, slots=True)
class TypeName(Syntax):
    """A type specifier such as `Quantity` or `FHIR.Quantity`."""

    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class TypeOperation(Syntax):
    """`operand is type` or `operand as type`."""

    operator: str
    operand: Syntax
    type: TypeName


def parts(tree: Syntax) -> tuple[Syntax, ...]:
    """The direct parts of a node."""
    match tree:
        case Name(source=source):
            return (source,) if source else ()
        case Call(source=source, arguments=arguments):
            return (source, *arguments) if source else arguments
        case Index(source=source, index=index):
            return (source, index)
        case Polarity(operand=operand) | TypeOperation(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
    return ()


def walk(tree: Syntax) -> Iterator[Syntax]:
    """The node and everything below it."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += parts(node)


def chain(tree: Syntax, operator: str) -> list[Syntax]:
    """The operands of a chain of one operator, from the left: `a | b | c`, however long."""
    found = []
    while isinstance(tree, Binary) and tree.operator == operator:
        found.append(tree.right)
        tree = tree.left
    return [tree, *reversed(found)]


def text(tree: Syntax) -> str:
    """An expression that parses to this tree."""
    return written(tree, 0)


def written(tree: Syntax, outer: int) -> str:
    """The text of a node, in parentheses where its operator binds weaker than what stands around it."""
    body, strength = written_with_strength(tree)
    return f"({body})" if strength < outer else body


def written_with_strength(tree: Syntax) -> tuple[str, int]:
    """The text of a node and the precedence of its operator."""
    match tree:
        case Empty():
            return "{}", TERM
        case Literal(value=value):
            return literal_text(value), TERM
        case Variable(name=name):
            return f"%{identifier(name)}", TERM
        case Special(name=name):
            return f"${name}", TERM
        case Name(name=name, source=source):
            return f"{prefix(source)}{identifier(name)}", TERM
        case Call(function=name, source=source, arguments=arguments):
            inside = ", ".join(written(argument, 0) for argument in arguments)
            return f"{prefix(source)}{identifier(name)}({inside})", TERM
        case Index(source=source, index=index):
            return f"{written(source, TERM)}[{written(index, 0)}]", TERM
        case TypeName(name=name, namespace=namespace):
            return f"{namespace}.{identifier(name)}" if namespace else identifier(name), TERM
        case Polarity(operator=operator, operand=operand):
            return f"{operator}{written(operand, UNARY)}", UNARY
        case TypeOperation(operator=operator, operand=operand, type=kind):
            return f"{written(operand, PRECEDENCE[operator])} {operator} {written(kind, 0)}", PRECEDENCE[operator]
        case Binary(operator=operator):
            strength = PRECEDENCE[operator]
            first, *rest = chain(tree, operator)
            operands = [written(first, strength), *(written(operand, strength + 1) for operand in rest)]
            return f" {operator} ".join(operands), strength
    raise TypeError(type(tree))


def prefix(source: Syntax | None) -> str:
    """What stands in front of a name."""
    return f"{written(source, TERM)}." if source else ""


def identifier(name: str) -> str:
    """A name, delimited where it has to be."""
    if PLAIN_NAME.match(name) and name not in WORDS:
        return name
    return f"`{escaped(name, '`')}`"


def literal_text(value: LiteralValue) -> str:
    """A value as it is written in an expression."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case Decimal():
            return f"{value:f}" if "." in f"{value:f}" else f"{value:f}.0"
        case Time():
            return f"@T{value}"
        case DateTime():
            return f"@{value}" if value.has_time else f"@{value}T"
        case Date():
            return f"@{value}"
        case Quantity():
            return quantity_text(value)
    return str(value)


def quoted(value: str) -> str:
    """A string literal."""
    return "'" + escaped(value, "'") + "'"


def escaped(value: str, quote: str) -> str:
    """Text with what a literal cannot hold escaped."""
    return UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", value).replace(quote, f"\\{quote}")
