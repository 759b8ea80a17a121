"""Constraints compiled to tests of raw JSON (FHIR R4, 2.32.4 constraints).

Three-valued logic needs no third value here: each boolean expression is compiled as the test that it is true, as the
test that it is false, or both; an expression that is empty passes neither. What has no form of its own is evaluated
by the general engine, the smallest such part alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhir_server import xhtml
from fhir_server.fhirpath import pattern, types
from fhir_server.fhirpath.collection import boolean, same_json
from fhir_server.fhirpath.compiler import constant
from fhir_server.fhirpath.conversion import to_integer
from fhir_server.fhirpath.model import Model
from fhir_server.fhirpath.node import SYSTEM_TYPES
from fhir_server.fhirpath.predicate import path as paths
from fhir_server.fhirpath.predicate import value as values
from fhir_server.fhirpath.predicate.path import Path
from fhir_server.fhirpath.predicate.surroundings import VALUELESS, ReadAll, Test, Unsupported
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
    walk,
)

OUTER = frozenset({"context"})
ACCEPTS: Mapping[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
MIRRORED = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
STRING_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
    "matches": lambda text, expression: pattern.contains(expression, text),
}

General = Callable[[Syntax, str], ReadAll]
"""Gives the general closure of a part of an expression, for a context of a type."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Compiles expressions whose `$this` is of a type; `root` is the resource type that the type stands in, if known."""

    model: Model
    general: General
    type: str
    root: str
    is_inner: bool = False

    def inner(self, kind: str) -> Conditions:
        """The same for `$this` of another type, within a loop."""
        return replace(self, type=kind, is_inner=True)

    def holds(self, tree: Syntax) -> Test:
        """The test that an expression is true."""
        return self._compiled(tree, TRUE, wanted=True)

    def fails(self, tree: Syntax) -> Test:
        """The test that an expression is false."""
        return self._compiled(tree, FALSE, wanted=False)

    def _compiled(self, tree: Syntax, table: Mapping[str, Form], *, wanted: bool) -> Test:
        form = table.get(shape(tree))
        if form is not None:
            try:
                return form(self, tree)
            except Unsupported:
                pass
        return self.evaluated(tree, wanted=wanted)

    def evaluated(self, tree: Syntax, *, wanted: bool) -> Test:
        """The test by ordinary evaluation of this part of the expression."""
        if self.is_inner and any(isinstance(part, Variable) and part.name in OUTER for part in walk(tree)):
            raise Unsupported
        if any(isinstance(part, Special) and part.name != "this" for part in walk(tree)):
            raise Unsupported
        evaluate = self.general(tree, self.type)

        def test(value: Any, run: Any) -> bool:
            return boolean(list(evaluate(value, run))) is wanted

        return test

    def path(self, tree: Syntax | None) -> Path:
        """The path that an expression is."""
        if tree is None or (isinstance(tree, Special) and tree.name == "this"):
            return paths.this(self.type, is_primitive=self.model.is_primitive(self.type))
        form = PATHS.get(shape(tree))
        if form is None:
            raise Unsupported
        return form(self, tree)

    def value(self, tree: Syntax) -> Value:
        """The single value that an expression is."""
        if isinstance(tree, Literal):
            return values.literal(tree.value)
        if isinstance(tree, Variable) and (text := constant(tree.name)) is not None:
            return values.literal(text)
        form = VALUES.get(shape(tree))
        return form(self, tree) if form else values.from_path(self.path(tree))

    def is_definite(self, tree: Syntax) -> bool:
        """True when an expression is never empty."""
        if isinstance(tree, Call):
            if tree.function == "not":
                return tree.source is not None and self.is_definite(tree.source)
            return tree.function in DEFINITE
        if isinstance(tree, Binary) and tree.operator in ("and", "or", "xor", "implies", "=", "!="):
            return self.is_definite(tree.left) and self.is_definite(tree.right)
        return isinstance(tree, Literal) and isinstance(tree.value, bool)


Form = Callable[[Conditions, Any], Test]
DEFINITE = frozenset({"exists", "empty", "all", "isDistinct", "hasValue", "htmlChecks"})


def shape(tree: Syntax) -> str:
    """What the tables are keyed by: the operator, `function()`, or the class of the node."""
    if isinstance(tree, Binary):
        return tree.operator
    if isinstance(tree, TypeOperation):
        return tree.operator
    if isinstance(tree, Call):
        return tree.function + "()"
    return type(tree).__name__


# --- boolean operators ---------------------------------------------------------------------------------------------


def operands(tree: Syntax, operator: str) -> list[Syntax]:
    """The operands of a chain of one operator."""
    if isinstance(tree, Binary) and tree.operator == operator:
        return [*operands(tree.left, operator), *operands(tree.right, operator)]
    return [tree]


def all_of(tests: list[Test]) -> Test:
    """The test that all pass."""
    if len(tests) == 2:
        one, other = tests
        return lambda value, run: one(value, run) and other(value, run)

    def test(value: Any, run: Any) -> bool:
        for each in tests:
            if not each(value, run):
                return False
        return True

    return test


def any_of(tests: list[Test]) -> Test:
    """The test that one passes."""
    if len(tests) == 2:
        one, other = tests
        return lambda value, run: one(value, run) or other(value, run)
    if len(tests) == 3:
        one, other, third = tests
        return lambda value, run: one(value, run) or other(value, run) or third(value, run)

    def test(value: Any, run: Any) -> bool:
        for each in tests:
            if each(value, run):
                return True
        return False

    return test


def and_holds(conditions: Conditions, tree: Binary) -> Test:
    """`and` is true."""
    return all_of([conditions.holds(part) for part in operands(tree, "and")])


def and_fails(conditions: Conditions, tree: Binary) -> Test:
    """`and` is false."""
    return any_of([conditions.fails(part) for part in operands(tree, "and")])


def or_holds(conditions: Conditions, tree: Binary) -> Test:
    """`or` is true."""
    return any_of([conditions.holds(part) for part in operands(tree, "or")])


def or_fails(conditions: Conditions, tree: Binary) -> Test:
    """`or` is false."""
    return all_of([conditions.fails(part) for part in operands(tree, "or")])


def implies_holds(conditions: Conditions, tree: Binary) -> Test:
    """`implies` is true."""
    return any_of([conditions.fails(tree.left), conditions.holds(tree.right)])


def implies_fails(conditions: Conditions, tree: Binary) -> Test:
    """`implies` is false."""
    return all_of([conditions.holds(tree.left), conditions.fails(tree.right)])


def differing(conditions: Conditions, left: Syntax, right: Syntax) -> Test:
    """One side is true and the other false."""
    one, other = conditions.holds(left), conditions.holds(right)
    if conditions.is_definite(left) and conditions.is_definite(right):
        return lambda value, run: one(value, run) is not other(value, run)
    not_one, not_other = conditions.fails(left), conditions.fails(right)
    return lambda value, run: (
        not_other(value, run) if one(value, run) else not_one(value, run) and other(value, run)
    )


def agreeing(conditions: Conditions, left: Syntax, right: Syntax) -> Test:
    """Both sides are true, or both false."""
    one, other = conditions.holds(left), conditions.holds(right)
    if conditions.is_definite(left) and conditions.is_definite(right):
        return lambda value, run: one(value, run) is other(value, run)
    not_one, not_other = conditions.fails(left), conditions.fails(right)
    return lambda value, run: (
        other(value, run) if one(value, run) else not_one(value, run) and not_other(value, run)
    )


def not_holds(conditions: Conditions, tree: Call) -> Test:
    """`not()` is true."""
    return conditions.fails(condition_source(tree))


def not_fails(conditions: Conditions, tree: Call) -> Test:
    """`not()` is false."""
    return conditions.holds(condition_source(tree))


def condition_source(tree: Call) -> Syntax:
    """What a function on a boolean works on."""
    if tree.source is None:
        raise Unsupported
    return tree.source


def literal_holds(conditions: Conditions, tree: Literal) -> Test:
    """A literal is true."""
    return literally(tree, wanted=True)


def literal_fails(conditions: Conditions, tree: Literal) -> Test:
    """A literal is false."""
    return literally(tree, wanted=False)


def literally(tree: Literal, *, wanted: bool) -> Test:
    """A boolean literal is what is wanted."""
    if not isinstance(tree.value, bool):
        raise Unsupported
    return paths.always if tree.value is wanted else paths.never


def iif_holds(conditions: Conditions, tree: Call) -> Test:
    """`iif()` is true."""
    criterion, chosen, otherwise = branches(conditions, tree)
    return branch(criterion, conditions.holds(chosen), conditions.holds(otherwise) if otherwise else paths.never)


def iif_fails(conditions: Conditions, tree: Call) -> Test:
    """`iif()` is false."""
    criterion, chosen, otherwise = branches(conditions, tree)
    return branch(criterion, conditions.fails(chosen), conditions.fails(otherwise) if otherwise else paths.never)


def branches(conditions: Conditions, tree: Call) -> tuple[Test, Syntax, Syntax | None]:
    """The criterion and branches of an `iif()` on the value in hand."""
    if tree.source is not None:
        raise Unsupported
    criterion, chosen, *rest = tree.arguments
    return conditions.holds(criterion), chosen, rest[0] if rest else None


def branch(criterion: Test, chosen: Test, otherwise: Test) -> Test:
    """One test or the other."""
    return lambda value, run: chosen(value, run) if criterion(value, run) else otherwise(value, run)


# --- existence -----------------------------------------------------------------------------------------------------


def exists(conditions: Conditions, tree: Call) -> Test:
    """`exists()` is true."""
    return existing(conditions, tree).exists


def misses(conditions: Conditions, tree: Call) -> Test:
    """`exists()` is false, `empty()` is true."""
    return existing(conditions, tree).missing


def existing(conditions: Conditions, tree: Call) -> Path:
    """The path whose existence is asked."""
    source = conditions.path(tree.source)
    if tree.arguments:
        return paths.filtered(source, criterion(conditions, source, tree.arguments[0]))
    return source


def criterion(conditions: Conditions, source: Path, tree: Syntax) -> Test:
    """The criterion of a loop over the items of a path."""
    return conditions.inner(source.only_type).holds(tree)


def all_hold(conditions: Conditions, tree: Call) -> Test:
    """`all()` is true."""
    source = conditions.path(tree.source)
    test, items = criterion(conditions, source, tree.arguments[0]), source.items

    def every(value: Any, run: Any) -> bool:
        for item in items(value, run):
            if not test(item, run):
                return False
        return True

    return every


def is_distinct(conditions: Conditions, tree: Call) -> Test:
    """`isDistinct()` is true, for strings."""
    source = conditions.path(tree.source)
    if values.KINDS.get(SYSTEM_TYPES.get(source.only_type, "")) != "string":
        raise Unsupported
    items, slow = source.items, conditions.evaluated(tree, wanted=True)

    def distinct(value: Any, run: Any) -> bool:
        found = items(value, run)
        marks = set(found)
        return slow(value, run) if VALUELESS in marks else len(marks) == len(found)

    return distinct


def has_value(conditions: Conditions, tree: Call) -> Test:
    """`hasValue()` is true."""
    source = conditions.path(tree.source)
    if source.one is None or not all(conditions.model.is_primitive(name) for name in source.types):
        raise Unsupported
    read = source.one
    return lambda value, run: read(value, run) is not None


def html_checks(conditions: Conditions, tree: Call) -> Test:
    """`htmlChecks()` is true."""
    read = conditions.path(tree.source).one
    if read is None:
        raise Unsupported
    return lambda value, run: not xhtml.problems(read(value, run))


def negated(form: Form) -> Form:
    """The opposite of a test that is always true or false."""

    def opposite(conditions: Conditions, tree: Any) -> Test:
        test = form(conditions, tree)
        return lambda value, run: not test(value, run)

    return opposite


# --- values --------------------------------------------------------------------------------------------------------


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
            return (agreeing if operator == "=" else differing)(conditions, tree.left, tree.right)
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


def is_complex(conditions: Conditions, tree: Binary) -> bool:
    """True when a string literal is compared with an element that is no primitive, which it never equals."""
    if not isinstance(tree.right, Literal) or not isinstance(tree.right.value, str):
        return False
    try:
        kind = conditions.path(tree.left).only_type
    except Unsupported:
        return False
    return kind not in SYSTEM_TYPES and not conditions.model.is_abstract(kind)


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
        if isinstance(tree, TypeOperation):
            source, kind = conditions.path(tree.operand), types.known(model, tree.type)
        else:
            source, kind = conditions.path(tree.source), types.specifier(model, tree.arguments[0])
        if source.one is None or kind.namespace == "System":
            raise Unsupported
        if source.steps and all(step.holds_resource for step in source.steps):
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


def constant_false(conditions: Conditions, tree: Call) -> Test:
    """`hasValue()` of an element that is no primitive."""
    if tree.source is None and not conditions.model.is_primitive(conditions.type):
        return paths.never
    return has_value(conditions, tree)


# --- paths and values by shape -------------------------------------------------------------------------------------


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

    return Path(
        left.types, found, lambda value, run: bool(found(value, run)), lambda value, run: not found(value, run)
    )


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
    if len(tree.arguments) > 1 or not isinstance(start, Literal) or not isinstance(start.value, int) or tree.source is None:
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


PATHS: Mapping[str, Callable[[Conditions, Any], Path]] = {
    "Name": name_path,
    "Variable": variable_path,
    "where()": where_path,
    "select()": select_path,
    "first()": first_path,
    "tail()": tail_path,
    "trace()": trace_path,
    "as": as_path,
    "as()": as_path,
    "ofType()": as_path,
    "|": union_path,
    "intersect()": intersect_path,
}
VALUES: Mapping[str, Callable[[Conditions, Any], Value]] = {
    "count()": count_value,
    "+": sum_value,
    "&": concatenation_value,
    "substring()": substring_value,
    "toInteger()": integer_value,
    "lowBoundary()": low_value,
    "highBoundary()": high_value,
}
TRUE: Mapping[str, Form] = {
    "and": and_holds,
    "or": or_holds,
    "implies": implies_holds,
    "xor": lambda conditions, tree: differing(conditions, tree.left, tree.right),
    "not()": not_holds,
    "Literal": literal_holds,
    "iif()": iif_holds,
    "exists()": exists,
    "empty()": misses,
    "all()": all_hold,
    "isDistinct()": is_distinct,
    "hasValue()": constant_false,
    "htmlChecks()": html_checks,
    "Name": truth,
    "=": equality("="),
    "!=": equality("!="),
    "<": inequality("<"),
    "<=": inequality("<="),
    ">": has_content,
    ">=": inequality(">="),
    "in": membership(wanted=True),
    "is": type_test(wanted=True),
    "is()": type_test(wanted=True),
    **{f"{name}()": string_test(wanted=True) for name in STRING_TESTS},
}
FALSE: Mapping[str, Form] = {
    "and": and_fails,
    "or": or_fails,
    "implies": implies_fails,
    "xor": lambda conditions, tree: agreeing(conditions, tree.left, tree.right),
    "not()": not_fails,
    "Literal": literal_fails,
    "iif()": iif_fails,
    "exists()": misses,
    "empty()": exists,
    "all()": negated(all_hold),
    "isDistinct()": negated(is_distinct),
    "hasValue()": negated(constant_false),
    "htmlChecks()": negated(html_checks),
    "Name": falsehood,
    **{operator: equality(mirror) for operator, mirror in MIRRORED.items() if operator in ("=", "!=")},
    **{operator: inequality(mirror) for operator, mirror in MIRRORED.items() if operator not in ("=", "!=")},
    "in": membership(wanted=False),
    "is": type_test(wanted=False),
    "is()": type_test(wanted=False),
    **{f"{name}()": string_test(wanted=False) for name in STRING_TESTS},
}
