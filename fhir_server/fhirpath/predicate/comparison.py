"""Comparison, membership, string and type tests (FHIRPath 2.0, sections 5.6, 6.1 to 6.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.fhirpath import pattern, types
from fhir_server.fhirpath.model import Model
from fhir_server.fhirpath.node import SYSTEM_TYPES
from fhir_server.fhirpath.predicate import logic
from fhir_server.fhirpath.predicate import path as paths
from fhir_server.fhirpath.predicate import value as values
from fhir_server.fhirpath.predicate.condition import Conditions, Form, is_complex, operands
from fhir_server.fhirpath.predicate.path import Path
from fhir_server.fhirpath.predicate.surroundings import Test, Unsupported
from fhir_server.fhirpath.predicate.value import Value
from fhir_server.fhirpath.syntax import (
    Binary,
    Call,
    Literal,
    Name,
    Special,
    Syntax,
    TypeName,
    TypeOperation,
    Variable,
)

ACCEPTS: Mapping[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
STRING_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
    "matches": lambda text, expression: pattern.contains(expression, text),
}


def truth(conditions: Conditions, tree: Syntax) -> Test:
    """An element that is a boolean is true."""
    return boolean_element(conditions, tree, wanted=True)


def falsehood(conditions: Conditions, tree: Syntax) -> Test:
    """An element that is a boolean is false."""
    return boolean_element(conditions, tree, wanted=False)


def boolean_element(conditions: Conditions, tree: Syntax, *, wanted: bool) -> Test:
    """An element that is a boolean is what is wanted."""
    found = conditions.value(tree)
    if found.kind != "boolean":
        raise Unsupported
    read = found.read
    return lambda value, run: read(value, run) is wanted


def equality(operator: str) -> Form:
    """`=` or `!=` is true."""

    def form(conditions: Conditions, tree: Binary) -> Test:
        if is_identity(tree):
            return identity(tree, equal=operator == "=")
        if conditions.is_definite(tree.left) or conditions.is_definite(tree.right):
            return (logic.agreeing if operator == "=" else logic.differing)(conditions, tree.left, tree.right)
        return compared(conditions, tree, operator)

    return form


def inequality(operator: str) -> Form:
    """A comparison is true."""
    return lambda conditions, tree: compared(conditions, tree, operator)


def is_identity(tree: Binary) -> bool:
    """True for `%rootResource = $this`, where the resources are the same or differ."""
    one, other = tree.left, tree.right
    return (
        isinstance(one, Variable)
        and one.name in ("resource", "rootResource")
        and isinstance(other, Special)
        and other.name == "this"
    )


def identity(tree: Binary, *, equal: bool) -> Test:
    """The value in hand is, or is not, the resource."""
    if isinstance(tree.left, Variable) and tree.left.name == "resource":
        return lambda value, run: (run.resource is value) is equal
    return lambda value, run: (run.root is value) is equal


def compared(conditions: Conditions, tree: Binary, operator: str) -> Test:
    """Two values are there and compare in a way."""
    if operator in ("=", "!=") and is_complex(conditions, tree):
        return unlike(conditions, tree, operator)
    left, right = conditions.value(tree.left), conditions.value(tree.right)
    if operator in ("=", "!=") and left.kind == right.kind and left.kind in ("string", "boolean"):
        return same(left, right, equal=operator == "=")
    order, one, other = values.order_of(left, right), left.read, right.read
    accept = EQUALITIES.get(operator) or ACCEPTS[operator]

    def test(value: Any, run: Any) -> bool:
        a, b = one(value, run), other(value, run)
        if a is None or b is None:
            return False
        result = order(a, b)
        return result is not None and accept(result)

    return test


EQUALITIES: Mapping[str, Callable[[int], bool]] = {"=": lambda order: order == 0, "!=": lambda order: order != 0}


def unlike(conditions: Conditions, tree: Binary, operator: str) -> Test:
    """The element exists, and the operator says that it differs."""
    return conditions.path(tree.left).exists if operator == "!=" else paths.never


def same(left: Value, right: Value, *, equal: bool) -> Test:
    """Two strings or booleans are there and equal, or there and not equal."""
    if left.is_constant:
        left, right = right, left
    read = left.read
    if right.is_constant:
        wanted = right.constant
        if equal:
            return lambda value, run: read(value, run) == wanted

        def differs(value: Any, run: Any) -> bool:
            found = read(value, run)
            return found is not None and found != wanted

        return differs
    other = right.read

    def test(value: Any, run: Any) -> bool:
        a, b = read(value, run), other(value, run)
        return a is not None and b is not None and (a == b) is equal

    return test


def membership(*, wanted: bool) -> Form:
    """`in` is true, or false."""

    def form(conditions: Conditions, tree: Binary) -> Test:
        found = conditions.value(tree.left)
        if found.kind != "string":
            raise Unsupported
        read = found.read
        literals = {part.value for part in operands(tree.right, "|") if isinstance(part, Literal)}
        if len(literals) == len(operands(tree.right, "|")) and all(isinstance(text, str) for text in literals):
            return lambda value, run: (text := read(value, run)) is not None and (text in literals) is wanted
        source = conditions.path(tree.right)
        if SYSTEM_TYPES.get(source.only_type) != "String":
            raise Unsupported
        items = source.items
        return lambda value, run: (text := read(value, run)) is not None and (text in items(value, run)) is wanted

    return form


def string_test(*, wanted: bool) -> Form:
    """A function that tests a string with a literal is true, or false."""

    def form(conditions: Conditions, tree: Call) -> Test:
        argument = tree.arguments[0]
        if not isinstance(argument, Literal) or not isinstance(argument.value, str):
            raise Unsupported
        found = values.from_path(conditions.path(tree.source))
        if found.kind != "string":
            raise Unsupported
        read, function, text = found.read, STRING_TESTS[tree.function], argument.value
        return lambda value, run: (own := read(value, run)) is not None and function(own, text) is wanted

    return form


def type_test(*, wanted: bool) -> Form:
    """`is` is true, or false."""

    def form(conditions: Conditions, tree: TypeOperation | Call) -> Test:
        model = conditions.model
        origin: Syntax | None
        if isinstance(tree, TypeOperation):
            origin, kind = tree.operand, types.known(model, tree.type)
        else:
            origin, kind = tree.source, types.specifier(model, tree.arguments[0])
        source = conditions.path(origin)
        if source.one is None or kind.namespace == "System":
            raise Unsupported
        is_resource = isinstance(origin, Variable) and origin.name in {"resource", "rootResource"}
        if is_resource or (source.steps and all(step.holds_resource for step in source.steps)):
            return resource_test(model, source, kind, wanted=wanted)
        accepted = {name: model.is_subtype(name, kind.name) is wanted for name in source.types}
        if not any(accepted.values()):
            return paths.never
        return paths.narrowed(source, lambda name: accepted[name]).exists

    return form


def resource_test(model: Model, source: Path, kind: TypeName, *, wanted: bool) -> Test:
    """A resource is, or is not, of a type."""
    read, name = source.one, kind.name
    if read is None:
        raise Unsupported

    def test(value: Any, run: Any) -> bool:
        body = read(value, run)
        return body is not None and model.is_subtype(body.get("resourceType", ""), name) is wanted

    return test


def has_content(conditions: Conditions, tree: Binary) -> Test:
    """`children().count() > id.count()`: an element holds more than an id."""
    match tree:
        case Binary(
            left=Call(function="count", source=Call(function="children", source=None)),
            right=Call(function="count", source=Name(name="id", source=None)),
        ):
            pass
        case _:
            return compared(conditions, tree, ">")
    if conditions.model.is_primitive(conditions.type) or conditions.model.is_resource(conditions.type):
        raise Unsupported
    return lambda value, run: len(value) > ("id" in value) + ("_id" in value)
