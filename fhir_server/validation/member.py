"""Checks of one JSON member: primitive values, arrays, `_field` siblings (FHIR R4, 2.6.2 JSON representation)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.validation.primitive import FORMATS, MEMOS, format_fault, kind_of
from fhir_server.validation.run import Check, Fault, Json, Run

Test = Callable[[Any], bool]


def primitive_check(key: str, kind: str) -> Check:
    """The check of a single primitive value."""
    test = FORMATS[kind][0]
    if kind in MEMOS:
        return remembered_check(key, kind, test, MEMOS[kind])
    if kind in ("string", "markdown"):
        return string_check(key, kind, test)

    def check(value: Any, holder: Json, run: Run) -> int:
        return 0 if test(value) else run.error(holder, key, "value", format_fault(kind, value))

    return check


def remembered_check(key: str, kind: str, test: Test, memo: set[str]) -> Check:
    """The check of a value whose equals were perhaps found right before."""

    def check(value: Any, holder: Json, run: Run) -> int:
        try:
            if value in memo:
                return 0
        except TypeError:  # an object or array has no hash
            return run.error(holder, key, "value", format_fault(kind, value))
        if value.__class__ is str and value[:1] == "#":
            run.fragments.add(value)
        return 0 if test(value) else run.error(holder, key, "value", format_fault(kind, value))

    return check


def string_check(key: str, kind: str, test: Test) -> Check:
    """The check of text; most is printable, which proves it right."""

    def check(value: Any, holder: Json, run: Run) -> int:
        if value.__class__ is str and value.isprintable() and 0 < len(value) < 1000:
            return 0
        return 0 if test(value) else run.error(holder, key, "value", format_fault(kind, value))

    return check


def array_check(key: str, one: Check, low: int, top: int | None) -> Check:
    """The check of an array of objects; `top` bounds its length, None for no bound."""

    def check(value: Any, holder: Json, run: Run) -> int:
        if value.__class__ is not list or not value:
            return run.error(holder, key, "structure", array_fault(key, value))
        if (top is not None and len(value) > top) or len(value) < low:
            run.error(holder, key, "structure", count_fault(key, len(value), low, top))
        count = 0
        for item in value:
            count += one(item, holder, run)
        return count

    return check


def primitive_array_check(key: str, one: Check, low: int, top: int | None) -> Check:
    """The check of an array of primitives, in which null stands where only the sibling `_key` says something."""
    sibling = f"_{key}"

    def check(value: Any, holder: Json, run: Run) -> int:
        if value.__class__ is not list or not value:
            return run.error(holder, key, "structure", array_fault(key, value))
        if (top is not None and len(value) > top) or len(value) < low:
            run.error(holder, key, "structure", count_fault(key, len(value), low, top))
        before = len(run.faults)
        for item in value:
            if item is not None or sibling not in holder:
                one(item, holder, run)
        if len(run.faults) != before:
            index_faults(value, one, holder, run, before, nullable=sibling in holder)
        return 0

    return check


def index_faults(value: list[Any], one: Check, holder: Json, run: Run, before: int, *, nullable: bool) -> None:
    """Say which items of an array of primitives the faults found since `before` are about."""
    del run.faults[before:]
    for index, item in enumerate(value):
        start = len(run.faults)
        if item is not None or not nullable:
            one(item, holder, run)
        for at in range(start, len(run.faults)):
            run.faults[at] = run.faults[at].at(index)


def array_fault(key: str, value: Any) -> str:
    """What is wrong with a value where a non-empty array must be."""
    if value.__class__ is list:
        return f"The array {key} is empty: leave it out, or put an item into it."
    return f"{key} may repeat, so it must be an array; found {kind_of(value)}."


def count_fault(key: str, count: int, low: int, top: int | None) -> str:
    """What is wrong with the number of items."""
    return f"{key} must have {low} to {'any number of' if top is None else top} items, found {count}."


def sibling_check(member: Member, element: Check, absent: str | None = None) -> Check:
    """The check of `_key`: the id and extensions of the primitive beside it.

    `absent` is what is wrong, at full depth, when there is no primitive beside it.
    """
    return sibling_array(member, element) if member.many else sibling_object(member, element, absent)


def sibling_object(member: Member, element: Check, absent: str | None) -> Check:
    """The check of the `_key` of a single primitive."""
    key = member.key
    sibling = f"_{key}"

    def check(value: Any, holder: Json, run: Run) -> int:
        if value.__class__ is dict and "extension" not in value and (key not in holder or not value):
            run.error(holder, sibling, "invariant", f"{key} has neither a value nor an extension (ele-1).")
        if absent is not None and key not in holder:
            run.report(Fault(holder, sibling, None, "error", "code-invalid", absent, None, None, "full"))
        return element(value, holder, run)

    return check


def sibling_array(member: Member, element: Check) -> Check:
    """The check of the `_key` of an array of primitives: item by item beside the values."""
    key = member.key
    sibling = f"_{key}"

    def check(value: Any, holder: Json, run: Run) -> int:
        if value.__class__ is not list or not value:
            return run.error(holder, sibling, "structure", array_fault(sibling, value))
        values = holder.get(key)
        if values.__class__ is list and len(values) != len(value):
            run.error(holder, sibling, "structure", f"{sibling} must have as many items as {key}; null fills the gaps.")
        count = 0
        for index, item in enumerate(value):
            valued = values.__class__ is list and index < len(values) and values[index] is not None
            if item is not None:
                count += element(item, holder, run)
            if not (valued and item != {}) and not (item.__class__ is dict and "extension" in item):
                run.error(holder, key, "structure", "An item has neither a value nor an extension (ele-1).", index)
        return count

    return check
