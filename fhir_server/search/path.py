"""Expressions that only step from member to member, taken apart so that one walk can follow them all.

FHIR R4, 5.6 SearchParameter.expression: nearly all of R4's are unions of paths with a type cast, a comparison of one
member with a code, or `resolve() is Type`. What is not such a union goes to the FHIRPath engine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.fhirpath.syntax import Binary, Call, Literal, Name, Special, Syntax, TypeName, TypeOperation


@dataclass(frozen=True, slots=True)
class Filter:
    """Keeps an element whose member `key` is `value`."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Step:
    """From an object to one JSON member, and what its values must satisfy."""

    member: Member
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from a type to one of its parts; `only` is the type that references at its end must point to."""

    steps: tuple[Step, ...]
    type: str
    only: str | None = None

    def step(self, member: Member) -> Path:
        """The path one member further."""
        return Path((*self.steps, Step(member)), member.type)

    def filtered(self, condition: Filter) -> Path:
        """The path with a condition on its last step."""
        last = self.steps[-1]
        return Path((*self.steps[:-1], Step(last.member, (*last.filters, condition))), self.type, self.only)


class NoPathError(Exception):
    """The expression is more than a union of paths."""


def paths(tree: Syntax, start: str, definitions: Definitions) -> tuple[Path, ...] | None:
    """The paths of an expression that starts at a type; None where it is more than paths.

    An extension at the end stands for its value, since that is what can be searched.
    """
    try:
        found = Tracer(start, definitions).trace(tree)
    except NoPathError:
        return None
    complete: list[Path] = []
    for path in found:
        if path.type == "Extension":
            complete += (path.step(member) for member in definitions.type("Extension").names["value"])
        else:
            complete.append(path)
    return tuple(dict.fromkeys(complete))


class Tracer:
    """Follows an expression through the definitions."""

    def __init__(self, start: str, definitions: Definitions) -> None:
        self.start = start
        self.definitions = definitions

    def trace(self, tree: Syntax) -> list[Path]:
        """The paths of a tree; NoPathError where it is more."""
        match tree:
            case Special(name="this"):
                return [Path((), self.start)]
            case Name(name=name, source=None):
                return self.head(name)
            case Name(name=name, source=Syntax() as source):
                return self.members(self.trace(source), name)
            case Binary(operator="|", left=left, right=right):
                return self.trace(left) + self.trace(right)
            case TypeOperation(operator="as", operand=operand, type=kind):
                return self.cast(self.trace(operand), kind)
            case Call(function="as" | "ofType", arguments=(Name() | TypeName() as kind,), source=Syntax() as source):
                return self.cast(self.trace(source), kind)
            case Call(function="where", arguments=(condition,), source=Syntax() as source):
                return self.where(self.trace(source), condition)
            case Call(function="extension", arguments=(Literal(value=str(url)),), source=source):
                whole = [Path((), self.start)] if source is None else self.trace(source)
                return [path.filtered(Filter("url", url)) for path in self.members(whole, "extension")]
        raise NoPathError

    def head(self, name: str) -> list[Path]:
        """A path that is only a name: the type that it starts from, or a member of it."""
        if name[:1].isupper():
            if name != self.start and not self.definitions.is_subtype(self.start, name):
                raise NoPathError
            return [Path((), self.start)]
        return self.members([Path((), self.start)], name)

    def members(self, whole: Iterable[Path], name: str) -> list[Path]:
        """One member further; every type of a choice is a path of its own."""
        found = []
        for path in whole:
            if path.only is not None or not self.definitions.has_type(path.type):
                raise NoPathError
            kind = self.definitions.type(path.type)
            if kind.kind == "resource" and path.steps:
                raise NoPathError
            found += [path.step(member) for member in kind.names.get(name, ())]
        return found

    def cast(self, whole: Iterable[Path], kind: Syntax) -> list[Path]:
        """Those of the named type, or of one that specialises it unless that is a primitive, as `as` and ofType() do.

        R4 once writes DateTime for dateTime.
        """
        name = kind.name if isinstance(kind, Name | TypeName) else ""
        if not self.definitions.has_type(name):
            name = name[:1].lower() + name[1:]
        if not self.definitions.has_type(name):
            raise NoPathError
        is_primitive = self.definitions.type(name).kind == "primitive"
        return [p for p in whole if p.type == name or (not is_primitive and self.definitions.is_subtype(p.type, name))]

    def where(self, whole: list[Path], condition: Syntax) -> list[Path]:
        """A comparison of one member, or the type of what a reference points to."""
        match condition:
            case Binary(operator="=", left=Name(name=key, source=None), right=Literal(value=str(value))):
                if all(path.steps and self.is_plain(path.type, key) for path in whole):
                    return [path.filtered(Filter(key, value)) for path in whole]
            case TypeOperation(operator="is", operand=Call(function="resolve", source=None), type=kind):
                if all(path.type == "Reference" for path in whole):
                    return [Path(path.steps, path.type, kind.name) for path in whole]
        raise NoPathError

    def is_plain(self, name: str, key: str) -> bool:
        """True for a single text member, which compares as it stands in JSON."""
        members = self.definitions.type(name).names.get(key, ()) if self.definitions.has_type(name) else ()
        if len(members) != 1 or members[0].many or members[0].choice is not None:
            return False
        return self.definitions.is_subtype(members[0].type, "string") or self.definitions.is_subtype(
            members[0].type, "uri"
        )
