"""JSON values copied, compared, measured, and rid of what a patch left empty (FHIR R4, 2.6.2 JSON)."""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

from fhir_server.fhirpath.node import decimal_from

Pair = tuple[Any, Any]
"""One value of a member, and the object beside it under `_key` where it is a primitive; None for what it lacks."""


def fresh(value: Any) -> Any:
    """A copy whose objects and arrays are its own."""
    if isinstance(value, dict):
        return {key: fresh(inner) for key, inner in value.items()}
    return [fresh(item) for item in value] if isinstance(value, list) else value


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: numbers by value, whatever their spelling (RFC 6902, 4.6)."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    number, other_number = decimal_from(one), decimal_from(other)
    if number is not None and other_number is not None:
        return number == other_number
    return one is other


def depth(value: Any) -> int:
    """The levels of objects and arrays, 0 for any other value."""
    level, found = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        found += 1
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return found


def size(value: Any) -> int:
    """The number of values at all levels."""
    level, found = [value], 0
    while level:
        found += len(level)
        containers = [each for each in level if isinstance(each, dict | list)]
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
    return found


def pairs_of(owner: dict[str, Any], key: str) -> list[Pair]:
    """The values of a member, be it an array, one value or absent."""
    value, extra = owner.get(key), owner.get(f"_{key}")
    if isinstance(value, list) or isinstance(extra, list):
        return list(zip_longest(_listed(value), _listed(extra)))
    return [] if value is None and extra is None else [(value, extra)]


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def put_pairs(owner: dict[str, Any], key: str, pairs: list[Pair], *, many: bool, instead: str | None = None) -> None:
    """Give a member these values where it stands, or where the member `instead` stood; none remove it."""
    values, extras = [value for value, _ in pairs], [extra for _, extra in pairs]
    sides = {key: values, f"_{key}": extras}
    present = {name: side if many else side[0] for name, side in sides.items() if any(x is not None for x in side)}
    replaced = {key, f"_{key}", instead, f"_{instead}"}
    members = list(owner.items())
    owner.clear()
    for name, value in members:
        owner.update(present if name in replaced else {name: value})
    owner.update(present)


def prune(root: Any, emptied: Iterable[Any]) -> None:
    """Take out of `root` those of the objects and arrays that are empty, and what becomes empty by that."""
    holders: dict[int, tuple[dict[str, Any], str]] | None = None
    for each in emptied:
        container = each
        while not container and container is not root:
            if holders is None:
                holders = dict(_holders(root))
            if id(container) not in holders:
                break
            container, key = holders[id(container)]
            _drop_empty(container, key)


def _drop_empty(holder: dict[str, Any], key: str) -> None:
    many = isinstance(holder.get(key), list) or isinstance(holder.get(f"_{key}"), list)
    pairs = [(_unless_empty(value), _unless_empty(extra)) for value, extra in pairs_of(holder, key)]
    put_pairs(holder, key, [pair for pair in pairs if pair != (None, None)], many=many)


def _unless_empty(value: Any) -> Any:
    return None if isinstance(value, dict | list) and not value else value


def _holders(root: Any) -> Iterator[tuple[int, tuple[dict[str, Any], str]]]:
    """Yield the identity of each object and array in a member, with the object that has it and the member's name."""
    objects = [root]
    while objects:
        holder = objects.pop()
        if not isinstance(holder, dict):
            continue
        for key, value in holder.items():
            for inner in (value, *value) if isinstance(value, list) else (value,):
                if isinstance(inner, dict | list):
                    yield id(inner), (holder, key.removeprefix("_"))
                    objects.append(inner)
