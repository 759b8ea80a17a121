"""Paths over raw JSON whose types are known: existence, the single value, all items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.fhirpath.model import Model, Step
from fhir_server.fhirpath.predicate.surroundings import VALUELESS, Read, ReadAll, Test, Unsupported


@dataclass(frozen=True, slots=True)
class Path:
    """What a path yields from the value in hand.

    `steps` are the members that its last step may take, when it ends in one; `one` is missing where several items
    may come. `exists` and `missing` are opposites, each in the form that costs least.
    """

    types: tuple[str, ...]
    items: ReadAll
    exists: Test
    missing: Test
    one: Read | None = None
    steps: tuple[Step, ...] = ()
    holder: Read | None = None
    is_this: bool = False

    @property
    def only_type(self) -> str:
        """The type of the items, when only one is possible."""
        if len(self.types) != 1:
            raise Unsupported
        return self.types[0]


def never(value: Any, run: Any) -> bool:
    """False."""
    return False


def always(value: Any, run: Any) -> bool:
    """True."""
    return True


def this(kind: str, *, is_primitive: bool) -> Path:
    """The value in hand."""

    def one(value: Any, run: Any) -> Any:
        return value

    def valued(value: Any, run: Any) -> Any:
        return None if value is VALUELESS else value

    read = valued if is_primitive else one
    return Path((kind,), lambda value, run: (value,), always, never, read, is_this=True)


def from_run(kind: str, read: Read) -> Path:
    """%resource or %rootResource."""
    return Path((kind,), lambda value, run: (read(value, run),), always, never, read)


def member(model: Model, source: Path, name: str) -> Path:
    """The elements of a name below a path."""
    kind = source.only_type
    steps = model.steps_of(kind).get(name)
    if not steps and kind == "Resource":
        steps = model.steps_of("DomainResource").get(name)
    if not steps:
        raise Unsupported
    return through(source, steps)


def through(source: Path, steps: tuple[Step, ...]) -> Path:
    """The members below a path."""
    types = tuple(step.type for step in steps)
    if source.one is None:
        return below_many(source, steps, types)
    many = any(step.many for step in steps)
    read = None if source.is_this else source.one
    exists, missing = existence(steps, read)
    items = reader_of_all(steps, read)
    one = None if many else reader(steps, read)
    return Path(types, items, exists, missing, one, steps, source.one)


def existence(steps: tuple[Step, ...], source: Read | None) -> tuple[Test, Test]:
    """Tests that one of the members is there, and that none is."""
    keys = [key for step in steps for key in (step.key, step.shadow) if key is not None]
    if source is not None:
        return existence_below(frozenset(keys), source)
    if len(keys) == 1:
        (key,) = keys
        return (lambda value, run: key in value), (lambda value, run: key not in value)
    if len(keys) == 2:
        key, shadow = keys
        return (
            lambda value, run: key in value or shadow in value,
            lambda value, run: key not in value and shadow not in value,
        )
    none_of = frozenset(keys).isdisjoint
    return (lambda value, run: not none_of(value)), (lambda value, run: none_of(value))


def existence_below(keys: frozenset[str], source: Read) -> tuple[Test, Test]:
    """The same below a single element."""
    none_of = keys.isdisjoint

    def missing(value: Any, run: Any) -> bool:
        holder = source(value, run)
        return holder is None or none_of(holder)

    return (lambda value, run: not missing(value, run)), missing


def reader(steps: tuple[Step, ...], source: Read | None) -> Read:
    """Takes the value of a single element; None where it has none."""
    keys = tuple(step.key for step in steps)
    if len(keys) == 1:
        (key,) = keys
        if source is None:
            return lambda value, run: value.get(key)
        get = source

        def one(value: Any, run: Any) -> Any:
            holder = get(value, run)
            return None if holder is None else holder.get(key)

        return one

    def one_of(value: Any, run: Any) -> Any:
        holder = value if source is None else source(value, run)
        if holder is None:
            return None
        return next((holder[key] for key in keys if key in holder), None)

    return one_of


def reader_of_all(steps: tuple[Step, ...], source: Read | None) -> ReadAll:
    """Takes the items of a member of a single element."""
    takes = tuple(taker(step) for step in steps)
    if len(takes) == 1:
        (take,) = takes
        if source is None:
            return lambda value, run: take(value)

    def items(value: Any, run: Any) -> list[Any] | tuple[Any, ...]:
        holder = value if source is None else source(value, run)
        if holder is None:
            return ()
        for take in takes:
            found = take(holder)
            if found:
                return found
        return ()

    return items


def taker(step: Step) -> Callable[[dict[str, Any]], list[Any] | tuple[Any, ...]]:
    """Takes the items of one member of an object."""
    key, shadow = step.key, step.shadow
    if shadow is None:
        if step.many:
            return lambda holder: holder.get(key, ())
        return lambda holder: (holder[key],) if key in holder else ()

    def primitives(holder: dict[str, Any]) -> list[Any] | tuple[Any, ...]:
        found = holder.get(key)
        extra = holder.get(shadow)
        if extra is None:
            return () if found is None else found if found.__class__ is list else (found,)
        if extra.__class__ is not list:
            return (VALUELESS if found is None else found,)
        return joined(found or [], extra)

    return primitives


def joined(values: list[Any], extras: list[Any]) -> list[Any]:
    """The items of an array of primitives with its array of extensions."""
    found = []
    for index in range(max(len(values), len(extras))):
        value = values[index] if index < len(values) else None
        extra = extras[index] if index < len(extras) else None
        if value is not None or extra is not None:
            found.append(VALUELESS if value is None else value)
    return found


def below_many(source: Path, steps: tuple[Step, ...], types: tuple[str, ...]) -> Path:
    """The members below several elements."""
    from_all = source.items
    takes = tuple(taker(step) for step in steps)
    none_of = frozenset(key for step in steps for key in (step.key, step.shadow) if key is not None).isdisjoint

    def missing(value: Any, run: Any) -> bool:
        for holder in from_all(value, run):  # noqa: SIM110 a generator doubles the cost
            if not none_of(holder):
                return False
        return True

    def items(value: Any, run: Any) -> list[Any]:
        found: list[Any] = []
        for holder in from_all(value, run):
            for take in takes:
                found += take(holder)
        return found

    return Path(types, items, lambda value, run: not missing(value, run), missing)


def filtered(source: Path, test: Test) -> Path:
    """The items that pass a test."""
    from_all = source.items

    def items(value: Any, run: Any) -> list[Any]:
        return [item for item in from_all(value, run) if test(item, run)]

    def exists(value: Any, run: Any) -> bool:
        for item in from_all(value, run):  # noqa: SIM110 a generator doubles the cost
            if test(item, run):
                return True
        return False

    return Path(source.types, items, exists, lambda value, run: not exists(value, run))


def projected(source: Path, read: Read) -> Path:
    """A string computed from each item."""
    from_all = source.items

    def items(value: Any, run: Any) -> list[Any]:
        return [read(item, run) for item in from_all(value, run)]

    return Path(("string",), items, source.exists, source.missing)


def first(source: Path) -> Path:
    """The first item."""
    from_all = source.items

    def one(value: Any, run: Any) -> Any:
        found = from_all(value, run)
        return None if not found or found[0] is VALUELESS else found[0]

    return Path(source.types, lambda value, run: from_all(value, run)[:1], source.exists, source.missing, one)


def tail(source: Path) -> Path:
    """All but the first item."""
    from_all = source.items

    def missing(value: Any, run: Any) -> bool:
        return len(from_all(value, run)) < 2

    def items(value: Any, run: Any) -> list[Any] | tuple[Any, ...]:
        return from_all(value, run)[1:]

    return Path(source.types, items, lambda value, run: not missing(value, run), missing)


def united(left: Path, right: Path) -> Path:
    """Either of two paths, as far as existence goes."""
    one, other, no_one, no_other = left.exists, right.exists, left.missing, right.missing
    return Path(
        (),
        lambda value, run: [*left.items(value, run), *right.items(value, run)],
        lambda value, run: one(value, run) or other(value, run),
        lambda value, run: no_one(value, run) and no_other(value, run),
    )


def narrowed(source: Path, accepts: Callable[[str], bool]) -> Path:
    """A choice element, of certain types only."""
    if not source.steps or any(step.holds_resource for step in source.steps):
        raise Unsupported
    steps = tuple(step for step in source.steps if accepts(step.type))
    holder = source.holder
    if not steps or holder is None:
        raise Unsupported
    return through(Path(("",), lambda value, run: (holder(value, run),), always, never, holder), steps)
