"""Which expressions are paths, and which are single values (FHIRPath 2.0, sections 5.2 to 5.6)."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath import types
from fhir_server.fhirpath.collection import same_json
from fhir_server.fhirpath.conversion import to_integer
from fhir_server.fhirpath.predicate import path as paths
from fhir_server.fhirpath.predicate import value as values
from fhir_server.fhirpath.predicate.condition import Conditions, criterion, is_complex, operands
from fhir_server.fhirpath.predicate.path import Path
from fhir_server.fhirpath.predicate.surroundings import Unsupported
from fhir_server.fhirpath.predicate.value import Value
from fhir_server.fhirpath.syntax import (
    Binary,
    Call,
    Literal,
    Name,
    TypeOperation,
    Variable,
)


def name_path(conditions: Conditions, tree: Name) -> Path:
    """An element."""
    if tree.source is None and tree.name[:1].isupper():
        if not conditions.model.is_subtype(conditions.type, tree.name):
            raise Unsupported
        return conditions.path(None)
    return paths.member(conditions.model, conditions.path(tree.source), tree.name)


def variable_path(conditions: Conditions, tree: Variable) -> Path:
    """%resource, %rootResource, or %context where it is the value in hand."""
    if tree.name == "context" and not conditions.is_inner:
        return conditions.path(None)
    if tree.name == "rootResource":
        return paths.from_run("DomainResource", lambda value, run: run.root)
    if tree.name == "resource":
        return paths.from_run(conditions.root or "DomainResource", lambda value, run: run.resource)
    raise Unsupported


def where_path(conditions: Conditions, tree: Call) -> Path:
    """`where()`."""
    source = conditions.path(tree.source)
    return paths.filtered(source, criterion(conditions, source, tree.arguments[0]))


def select_path(conditions: Conditions, tree: Call) -> Path:
    """`select()` of an element, of joined strings, or of a comparison that always has a result."""
    projection, source = tree.arguments[0], conditions.path(tree.source)
    match projection:
        case Name(source=None, name=name) if name[:1].islower():
            return paths.member(conditions.model, source, name)
        case Binary(operator="&"):
            return paths.projected(source, conditions.inner(source.only_type).value(projection).read)
        case Binary(operator="="):
            inner = conditions.inner(source.only_type)
            if is_complex(inner, projection):
                kept = paths.filtered(source, inner.path(projection.left).exists)
                return Path(("boolean",), kept.items, kept.exists, kept.missing)
    raise Unsupported


def first_path(conditions: Conditions, tree: Call) -> Path:
    """`first()`."""
    return paths.first(conditions.path(tree.source))


def tail_path(conditions: Conditions, tree: Call) -> Path:
    """`tail()`."""
    return paths.tail(conditions.path(tree.source))


def trace_path(conditions: Conditions, tree: Call) -> Path:
    """`trace()` changes nothing, and nobody reads what a constraint traces."""
    return conditions.path(tree.source)


def as_path(conditions: Conditions, tree: TypeOperation | Call) -> Path:
    """`as` and `ofType()` of a choice element."""
    model = conditions.model
    if isinstance(tree, TypeOperation):
        source, kind = conditions.path(tree.operand), types.known(model, tree.type)
    else:
        source, kind = conditions.path(tree.source), types.specifier(model, tree.arguments[0])
    if kind.namespace == "System":
        raise Unsupported
    return paths.narrowed(
        source, lambda name: name == kind.name or (not model.is_primitive(name) and model.is_subtype(name, kind.name))
    )


def union_path(conditions: Conditions, tree: Binary) -> Path:
    """`|`, where only existence matters."""
    return paths.united(conditions.path(tree.left), conditions.path(tree.right))


def intersect_path(conditions: Conditions, tree: Call) -> Path:
    """`intersect()`, where only existence matters."""
    left, right = conditions.path(tree.source), conditions.path(tree.arguments[0])
    if left.only_type != right.only_type or conditions.model.is_primitive(left.only_type):
        raise Unsupported
    items, others = left.items, right.items

    def found(value: Any, run: Any) -> list[Any]:
        candidates = others(value, run)
        return [one for one in items(value, run) if any(one == other or same_json(one, other) for other in candidates)]

    return Path(left.types, found, lambda value, run: bool(found(value, run)), lambda value, run: not found(value, run))


def count_value(conditions: Conditions, tree: Call) -> Value:
    """`count()`."""
    items = conditions.path(tree.source).items
    return Value("number", lambda value, run: len(items(value, run)), constant=values.NOT_CONSTANT)


def sum_value(conditions: Conditions, tree: Binary) -> Value:
    """`+` of counts."""
    parts = operands(tree, "+")
    if not all(isinstance(part, Call) and part.function == "count" for part in parts):
        raise Unsupported
    counts = [conditions.value(part).read for part in parts]
    return Value("number", lambda value, run: sum(count(value, run) for count in counts))


def concatenation_value(conditions: Conditions, tree: Binary) -> Value:
    """`&` of strings."""
    parts = [conditions.value(part) for part in operands(tree, "&")]
    if any(part.kind != "string" for part in parts):
        raise Unsupported
    reads = [part.read for part in parts]
    return Value("string", lambda value, run: "".join([read(value, run) or "" for read in reads]))


def substring_value(conditions: Conditions, tree: Call) -> Value:
    """`substring()` from a literal place on."""
    start = tree.arguments[0]
    if len(tree.arguments) > 1 or tree.source is None:
        raise Unsupported
    if not isinstance(start, Literal) or not isinstance(start.value, int):
        raise Unsupported
    source, begin = conditions.value(tree.source), start.value
    if source.kind != "string":
        raise Unsupported
    return values.mapped(source, lambda text: text[begin:] if 0 <= begin < len(text) else None, "string")


def integer_value(conditions: Conditions, tree: Call) -> Value:
    """`toInteger()`."""
    source = values.from_path(conditions.path(tree.source))
    if source.kind != "string":
        raise Unsupported
    return values.mapped(source, to_integer, "number")


def low_value(conditions: Conditions, tree: Call) -> Value:
    """`lowBoundary()` of a date or time."""
    return values.bounded(values.from_path(conditions.path(tree.source)), "low")


def high_value(conditions: Conditions, tree: Call) -> Value:
    """`highBoundary()` of a date or time."""
    return values.bounded(values.from_path(conditions.path(tree.source)), "high")
