"""Type specifiers, `is`, `as`, `ofType` and `type()` (FHIRPath 2.0, sections 6.3 and 10; FHIR R4, 2.9.1.1)."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.collection import type_name
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame
from fhir_server.fhirpath.function import Function, Table
from fhir_server.fhirpath.model import Model
from fhir_server.fhirpath.node import Node, TypeInfo
from fhir_server.fhirpath.static import SYSTEM_NAMES, Static, always, system
from fhir_server.fhirpath.syntax import Name, Syntax, TypeName

NAMESPACES = ("FHIR", "System")


def specifier(model: Model, argument: Syntax) -> TypeName:
    """The type that a function's argument names."""
    match argument:
        case Name(name=name, source=None):
            return known(model, TypeName(argument.position, name))
        case Name(name=name, source=Name(name=namespace, source=None)) if namespace in NAMESPACES:
            return known(model, TypeName(argument.position, name, namespace))
    raise FHIRPathError("Expected the name of a type", argument.position)


def known(model: Model, kind: TypeName) -> TypeName:
    """The type, if there is one of that name."""
    is_fhir = kind.namespace in (None, "FHIR") and model.knows(kind.name)
    is_system = kind.namespace == "System" or (kind.namespace is None and kind.name in SYSTEM_NAMES)
    if not is_fhir and not is_system:
        raise FHIRPathError(f"Unknown type {kind}", kind.position)
    return kind


def is_of(model: Model, item: Any, kind: TypeName) -> bool:
    """True when an item is of a type or one that specialises it."""
    if item.__class__ is Node:
        return kind.namespace != "System" and model.is_subtype(item.type, kind.name)
    return kind.namespace != "FHIR" and kind.name in (type_name(item), "Any")


def becomes(model: Model, item: Any, kind: TypeName) -> bool:
    """True when an item can be read as a type; a `code` is not read as `string`, though it is one."""
    if item.__class__ is Node and item.type != kind.name and model.is_primitive(item.type):
        return False
    return is_of(model, item, kind)


def narrowed(kind: TypeName, focus: Static) -> Static:
    """The static type after a type filter."""
    if kind.namespace == "System":
        return Static(frozenset({f"System.{kind.name}"}), focus.many)
    is_system = focus.types is not None and all(t.startswith("System.") for t in focus.types) and focus.types
    return Static(frozenset({f"System.{kind.name}" if is_system else kind.name}), focus.many)


def type_of(frame: Frame, focus: list[Any]) -> list[Any]:
    """Namespace and name of the type of each item."""
    model = frame.evaluation.model
    found = []
    for item in focus:
        if item.__class__ is not Node:
            found.append(TypeInfo("System", type_name(item), "System.Any"))
            continue
        base = model.definitions.type(item.type).base if model.knows(item.type) else None
        is_path = "." in item.type
        found.append(TypeInfo("FHIR", (base if is_path else None) or item.type, f"FHIR.{base}" if base else None))
    return found


FUNCTIONS: Table = {"type": Function(type_of, result=always(system("TypeInfo", many=True)))}
