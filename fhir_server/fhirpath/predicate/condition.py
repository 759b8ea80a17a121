"""Constraints compiled to tests of raw JSON (FHIR R4, 2.32.4 constraints).

Three-valued logic needs no third value here: each boolean expression is compiled as the test that it is true, as the
test that it is false, or both; an expression that is empty passes neither. What has no form of its own is evaluated
by the general engine, the smallest such part alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.fhirpath.collection import boolean
from fhir_server.fhirpath.compiler import constant
from fhir_server.fhirpath.model import Model
from fhir_server.fhirpath.node import SYSTEM_TYPES
from fhir_server.fhirpath.predicate import path as paths
from fhir_server.fhirpath.predicate import value as values
from fhir_server.fhirpath.predicate.path import Path
from fhir_server.fhirpath.predicate.surroundings import ReadAll, Test, Unsupported
from fhir_server.fhirpath.predicate.value import Value
from fhir_server.fhirpath.syntax import (
    Binary,
    Call,
    Literal,
    Special,
    Syntax,
    TypeOperation,
    Variable,
    chain,
    walk,
)

OUTER = frozenset({"context"})
General = Callable[[Syntax, str], ReadAll]
"""Gives the general closure of a part of an expression, for a context of a type."""


@dataclass(frozen=True, slots=True)
class Forms:
    """The specialised forms by shape: tests of truth and falsehood, paths, and single values."""

    true: Mapping[str, Form]
    false: Mapping[str, Form]
    paths: Mapping[str, Callable[[Conditions, Any], Path]]
    values: Mapping[str, Callable[[Conditions, Any], Value]]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Compiles expressions whose `$this` is of a type; `root` is the resource type around it, empty when unknown."""

    model: Model
    general: General
    type: str
    root: str
    forms: Forms
    is_inner: bool = False

    def inner(self, kind: str) -> Conditions:
        """The same for `$this` of another type, within a loop."""
        return replace(self, type=kind, is_inner=True)

    def holds(self, tree: Syntax) -> Test:
        """The test that an expression is true."""
        return self._compiled(tree, self.forms.true, wanted=True)

    def fails(self, tree: Syntax) -> Test:
        """The test that an expression is false."""
        return self._compiled(tree, self.forms.false, wanted=False)

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
        form = self.forms.paths.get(shape(tree))
        if form is None:
            raise Unsupported
        return form(self, tree)

    def value(self, tree: Syntax) -> Value:
        """The single value that an expression is."""
        if isinstance(tree, Literal):
            return values.literal(tree.value)
        if isinstance(tree, Variable) and (text := constant(tree.name)) is not None:
            return values.literal(text)
        form = self.forms.values.get(shape(tree))
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
"""Compiles a node of the tree to a test, or raises Unsupported."""
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


def operands(tree: Syntax, operator: str) -> list[Syntax]:
    """The operands of a chain of one operator."""
    first, *rest = chain(tree, operator)
    return [first, *(part for right in rest for part in operands(right, operator))]


def is_complex(conditions: Conditions, tree: Binary) -> bool:
    """True when a string literal is compared with an element that is no primitive, which it never equals."""
    if not isinstance(tree.right, Literal) or not isinstance(tree.right.value, str):
        return False
    try:
        kind = conditions.path(tree.left).only_type
    except Unsupported:
        return False
    return kind not in SYSTEM_TYPES and not conditions.model.is_abstract(kind)


def criterion(conditions: Conditions, source: Path, tree: Syntax) -> Test:
    """The criterion of a loop over the items of a path."""
    return conditions.inner(source.only_type).holds(tree)
