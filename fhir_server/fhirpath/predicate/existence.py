"""`exists()`, `empty()`, `all()`, `isDistinct()`, `hasValue()`, `htmlChecks()` as tests (FHIRPath 2.0, section 5.1)."""

from __future__ import annotations

from typing import Any

from fhir_server import xhtml
from fhir_server.fhirpath.node import SYSTEM_TYPES
from fhir_server.fhirpath.predicate import path as paths
from fhir_server.fhirpath.predicate import value as values
from fhir_server.fhirpath.predicate.condition import Conditions, Form, criterion
from fhir_server.fhirpath.predicate.path import Path
from fhir_server.fhirpath.predicate.surroundings import VALUELESS, Test, Unsupported
from fhir_server.fhirpath.syntax import (
    Call,
)


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


def all_hold(conditions: Conditions, tree: Call) -> Test:
    """`all()` is true."""
    source = conditions.path(tree.source)
    test, items = criterion(conditions, source, tree.arguments[0]), source.items

    def every(value: Any, run: Any) -> bool:
        for item in items(value, run):  # noqa: SIM110 a generator doubles the cost
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
    """`hasValue()` is true; it never is for an element that is no primitive."""
    if tree.source is None and not conditions.model.is_primitive(conditions.type):
        return paths.never
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
