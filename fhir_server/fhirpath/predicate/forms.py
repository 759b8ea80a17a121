"""The tables of specialised forms, by operator or function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.fhirpath.predicate import comparison, existence, logic, selection
from fhir_server.fhirpath.predicate.condition import Conditions, Form, Forms
from fhir_server.fhirpath.predicate.path import Path
from fhir_server.fhirpath.predicate.value import Value

PATHS: Mapping[str, Callable[[Conditions, Any], Path]] = {
    "Name": selection.name_path,
    "Variable": selection.variable_path,
    "where()": selection.where_path,
    "select()": selection.select_path,
    "first()": selection.first_path,
    "tail()": selection.tail_path,
    "trace()": selection.trace_path,
    "as": selection.as_path,
    "as()": selection.as_path,
    "ofType()": selection.as_path,
    "|": selection.union_path,
    "intersect()": selection.intersect_path,
}
VALUES: Mapping[str, Callable[[Conditions, Any], Value]] = {
    "count()": selection.count_value,
    "+": selection.sum_value,
    "&": selection.concatenation_value,
    "substring()": selection.substring_value,
    "toInteger()": selection.integer_value,
    "lowBoundary()": selection.low_value,
    "highBoundary()": selection.high_value,
}
TRUE: Mapping[str, Form] = {
    "and": logic.and_holds,
    "or": logic.or_holds,
    "implies": logic.implies_holds,
    "xor": lambda conditions, tree: logic.differing(conditions, tree.left, tree.right),
    "not()": logic.not_holds,
    "Literal": logic.literal_holds,
    "iif()": logic.iif_holds,
    "exists()": existence.exists,
    "empty()": existence.misses,
    "all()": existence.all_hold,
    "isDistinct()": existence.is_distinct,
    "hasValue()": existence.has_value,
    "htmlChecks()": existence.html_checks,
    "Name": comparison.truth,
    "=": comparison.equality("="),
    "!=": comparison.equality("!="),
    "<": comparison.inequality("<"),
    "<=": comparison.inequality("<="),
    ">": comparison.has_content,
    ">=": comparison.inequality(">="),
    "in": comparison.membership(wanted=True),
    "is": comparison.type_test(wanted=True),
    "is()": comparison.type_test(wanted=True),
    **{f"{name}()": comparison.string_test(wanted=True) for name in comparison.STRING_TESTS},
}
FALSE: Mapping[str, Form] = {
    "and": logic.and_fails,
    "or": logic.or_fails,
    "implies": logic.implies_fails,
    "xor": lambda conditions, tree: logic.agreeing(conditions, tree.left, tree.right),
    "not()": logic.not_fails,
    "Literal": logic.literal_fails,
    "iif()": logic.iif_fails,
    "exists()": existence.misses,
    "empty()": existence.exists,
    "all()": existence.negated(existence.all_hold),
    "isDistinct()": existence.negated(existence.is_distinct),
    "hasValue()": existence.negated(existence.has_value),
    "htmlChecks()": existence.negated(existence.html_checks),
    "Name": comparison.falsehood,
    "=": comparison.equality("!="),
    "!=": comparison.equality("="),
    "<": comparison.inequality(">="),
    "<=": comparison.inequality(">"),
    ">": comparison.inequality("<="),
    ">=": comparison.inequality("<"),
    "in": comparison.membership(wanted=False),
    "is": comparison.type_test(wanted=False),
    "is()": comparison.type_test(wanted=False),
    **{f"{name}()": comparison.string_test(wanted=False) for name in comparison.STRING_TESTS},
}
FORMS = Forms(TRUE, FALSE, PATHS, VALUES)
