"""What FHIRPath Patch adds: a typed value, a resource, or an object by parts (FHIR R4, FHIRPath Patch)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions.datatype import Member, Type
from fhir_server.definitions.registry import Definitions
from fhir_server.patch.operation import Operation, excerpt, nearest
from fhir_server.patch.tree import Pair, fresh, pairs_of, put_pairs

_READ_AS: Mapping[str, frozenset[str]] = {
    "xhtml": frozenset({"string", "markdown"}),
    "dateTime": frozenset({"date", "instant"}),
    "instant": frozenset({"dateTime"}),
}
"""Types whose values stand for another's: Parameters has no valueXhtml, and a date is a dateTime to the day."""


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A value with the name of its type and, of a primitive, the object beside it; or the parts that make an object."""

    type: str
    value: Any = None
    extra: Any = None
    parts: Sequence[Any] | None = None

    @property
    def shown(self) -> str:
        """What it is, for a failure's text."""
        return "an object by parts" if self.parts is not None else f"a value of type {self.type}"


class Values:
    """Reads the values of one patch and fits them to the elements that they are for."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        members = definitions.type("Parameters.parameter").members
        self._members = {key: member for key, member in members.items() if member.choice == "value"}

    def read(self, part: Mapping[str, Any], operation: Operation) -> TypedValue:
        """Return what a part holds: one of value[x], resource and part."""
        keys = {key.removeprefix("_") for key in part if key.removeprefix("_").startswith("value")}
        sources = [*sorted(keys), *(key for key in ("resource", "part") if part.get(key))]
        name = excerpt(part.get("name", "value"))
        if len(sources) != 1:
            found = f"several: {', '.join(map(excerpt, sources))}" if sources else "none"
            raise operation.malformed(f"{name} must have one of value[x], resource or part, and has {found}")
        source = sources[0]
        if source == "part":
            return self._by_parts(part["part"], name, operation)
        if source == "resource":
            return self._resource(part["resource"], name, operation)
        if source not in self._members:
            text = f"{name} has {excerpt(source)}, which Parameters does not know"
            raise operation.malformed(text, nearest(source, self._members))
        return TypedValue(self._members[source].type, part.get(source), part.get(f"_{source}"))

    def _by_parts(self, parts: Any, name: str, operation: Operation) -> TypedValue:
        if not isinstance(parts, list) or not all(isinstance(each, dict) for each in parts):
            raise operation.malformed(f"part of {name} must be an array of objects")
        return TypedValue("", parts=parts)

    def _resource(self, body: Any, name: str, operation: Operation) -> TypedValue:
        kind = body.get("resourceType") if isinstance(body, dict) else None
        if not isinstance(kind, str) or kind not in self._definitions.resource_types:
            raise operation.malformed(f"resource of {name} must be a resource of FHIR R4")
        return TypedValue(kind, body)

    def fits(self, value: TypedValue, kind: str) -> bool:
        """Whether a value may stand in an element of a type."""
        if not self._definitions.has_type(kind):
            return False
        if value.parts is not None:
            return self._definitions.type(kind).kind in ("complex", "backbone")
        is_subtype = self._definitions.is_subtype
        if is_subtype(value.type, kind) or value.type in _READ_AS.get(kind, ()):
            return True
        return self._definitions.type(kind).kind == "primitive" and is_subtype(kind, value.type)

    def pair(self, value: TypedValue, kind: str, operation: Operation) -> Pair:
        """Return the JSON of a value that fits a type, and the object beside it."""
        if value.parts is None:
            return fresh(value.value), fresh(value.extra)
        return self._built(value.parts, self._definitions.type(kind), operation), None

    def member(self, kind: Type, name: str, value: TypedValue, operation: Operation) -> Member:
        """Return the member of a type that has a name and takes a value; raise Unprocessable where there is none."""
        candidates = [member for member in self.named(kind, name, operation) if self.fits(value, member.type)]
        exact = [member for member in candidates if member.type == value.type]
        if exact or len(candidates) == 1:
            return (exact or candidates)[0]
        allowed = [member.type for member in self.named(kind, name, operation)]
        wanted = " or ".join(allowed) if len(allowed) <= 5 else f"one of {len(allowed)} types"
        text = f"{kind.name}.{excerpt(name)} takes {wanted}, not {value.shown}"
        keys = sorted(f"value{t[0].upper()}{t[1:]}" for t in allowed if f"value{t[0].upper()}{t[1:]}" in self._members)
        by_parts = any(self._definitions.type(t).kind == "backbone" for t in allowed if self._definitions.has_type(t))
        fix = "Give its elements as parts." if by_parts else f"Give it as {', '.join(keys)}." if keys else None
        raise operation.refused(text, fix)

    def named(self, kind: Type, name: str, operation: Operation) -> Sequence[Member]:
        """Return the members that an element's name stands for, or the one that a name with a type's suffix does."""
        bare = name.removesuffix("[x]")
        own = kind.members.get(bare)
        members = kind.names.get(bare) or ((own,) if own is not None else ())
        if not members or (kind.kind == "primitive" and bare == "value"):
            text = f"{kind.name} has no element {excerpt(name)!r}"
            raise operation.refused(text, nearest(name, kind.names))
        return members

    def taken(self, owner: dict[str, Any], kind: Type, member: Member) -> str | None:
        """The name of the member by which an element that cannot repeat is already there."""
        if member.many:
            return None
        return next((other.key for other in kind.names[member.name] if pairs_of(owner, other.key)), None)

    def _built(self, parts: Sequence[Any], kind: Type, operation: Operation) -> dict[str, Any]:
        """Make an object, one element from each part."""
        owner: dict[str, Any] = {}
        for part in parts:
            name = part.get("name")
            if not isinstance(name, str):
                raise operation.malformed(f"each part of a {kind.name} must have the name of its element")
            value = self.read(part, operation)
            member = self.member(kind, name, value, operation)
            if self.taken(owner, kind, member):
                raise operation.refused(f"{kind.name}.{excerpt(name)} may appear only once")
            pairs = [*pairs_of(owner, member.key), self.pair(value, member.type, operation)]
            put_pairs(owner, member.key, pairs, many=member.many)
        return owner
