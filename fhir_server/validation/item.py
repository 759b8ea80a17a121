"""Occurrences of an element: each value with its holder and its `_field` sibling (FHIR R4, 2.6.2 JSON)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.validation.primitive import FORMATS
from fhir_server.validation.run import Json


class Item:
    """One occurrence; `index` is None where the member does not repeat, `extra` the `_field` object of a primitive."""

    __slots__ = ("extra", "holder", "index", "key", "type", "value")

    def __init__(
        self,
        holder: Json,
        key: str | None,
        index: int | None,
        value: Any,
        type: str,  # noqa: A002 the word of the standard
        extra: Json | None = None,
    ) -> None:
        self.holder = holder
        self.key = key
        self.index = index
        self.value = value
        self.type = type
        self.extra = extra

    @property
    def parts(self) -> Json:
        """The object that has the item's own members: its value, or the `_field` object of a primitive."""
        if self.value.__class__ is dict:
            return self.value
        return self.extra if self.extra.__class__ is dict else {}

    @property
    def place(self) -> tuple[Any, str | None, int | None]:
        """Where a fault about the item is: the item itself when it is an object, else its place in the holder."""
        if self.value.__class__ is dict:
            return self.value, None, None
        return self.holder, self.key, self.index


Finder = Callable[[Json], Sequence[Item]]


def finder(members: Sequence[Member]) -> Finder:
    """What finds the occurrences of an element in an object; `members` are its keys, more than one for a choice."""
    if len(members) == 1:
        return one_key_finder(members[0])
    by_key = {key: m for m in members for key in (m.key, f"_{m.key}")}

    def find(holder: Json) -> Sequence[Item]:
        found: Sequence[Item] = ()
        for key in holder:
            member = by_key.get(key)
            if member is not None and (key == member.key or member.key not in holder):
                found = [*found, *member_items(holder, member)]
        return found

    return find


def one_key_finder(member: Member) -> Finder:
    """What finds the occurrences under one key, and the key of its `_field` objects where it is a primitive."""
    key = member.key
    if member.type in FORMATS:
        sibling = f"_{key}"
        return lambda holder: member_items(holder, member) if key in holder or sibling in holder else ()
    return lambda holder: member_items(holder, member) if key in holder else ()


def member_items(holder: Json, member: Member) -> list[Item]:
    """The occurrences under one key."""
    key = member.key
    value = holder.get(key)
    extra = holder.get(f"_{key}") if member.type in FORMATS else None
    if value is None and extra is None:
        return []
    if value.__class__ is list or extra.__class__ is list:
        return list_items(holder, member, value, extra)
    return [Item(holder, key, None, value, type_of(value, member.type), extra)]


def list_items(holder: Json, member: Member, value: Any, extra: Any) -> list[Item]:
    """The occurrences of a member that repeats; nulls that no sibling fills are none."""
    values = value if value.__class__ is list else ()
    extras = extra if extra.__class__ is list else ()
    key, kind = member.key, member.type
    if not extras:
        return [Item(holder, key, i, v, type_of(v, kind)) for i, v in enumerate(values) if v is not None]
    found = []
    for index in range(max(len(values), len(extras))):
        one = values[index] if index < len(values) else None
        more = extras[index] if index < len(extras) else None
        if one is not None or more is not None:
            found.append(Item(holder, key, index, one, type_of(one, kind), more))
    return found


def type_of(value: Any, kind: str) -> str:
    """The type of a value: a resource names its own."""
    if value.__class__ is dict and "resourceType" in value and kind in ("Resource", "DomainResource"):
        named = value["resourceType"]
        return named if named.__class__ is str else kind
    return kind
