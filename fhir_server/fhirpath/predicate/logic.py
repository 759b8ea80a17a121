"""`and`, `or`, `implies`, `xor`, `not()`, `iif()` and literals as tests (FHIRPath 2.0, section 6.5)."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.predicate import path as paths
from fhir_server.fhirpath.predicate.condition import Conditions, operands
from fhir_server.fhirpath.predicate.surroundings import Test, Unsupported
from fhir_server.fhirpath.syntax import (
    Binary,
    Call,
    Literal,
    Syntax,
)


def all_of(tests: list[Test]) -> Test:
    """The test that all pass."""
    if len(tests) == 2:
        one, other = tests
        return lambda value, run: one(value, run) and other(value, run)

    def test(value: Any, run: Any) -> bool:
        for each in tests:  # noqa: SIM110 a generator doubles the cost
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
        for each in tests:  # noqa: SIM110 a generator doubles the cost
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
    return lambda value, run: not_other(value, run) if one(value, run) else not_one(value, run) and other(value, run)


def agreeing(conditions: Conditions, left: Syntax, right: Syntax) -> Test:
    """Both sides are true, or both false."""
    one, other = conditions.holds(left), conditions.holds(right)
    if conditions.is_definite(left) and conditions.is_definite(right):
        return lambda value, run: one(value, run) is other(value, run)
    not_one, not_other = conditions.fails(left), conditions.fails(right)
    return lambda value, run: other(value, run) if one(value, run) else not_one(value, run) and not_other(value, run)


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
