"""Functions that FHIR R4 adds (FHIR R4, 2.9.1.1), and those of SQL on FHIR v2 (getResourceKey, getReferenceKey)."""

from __future__ import annotations

from typing import Any

from fhir_server import xhtml
from fhir_server.fhirpath.collection import string
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame
from fhir_server.fhirpath.function import Function, Table
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.static import Static, always, same, system

BASE_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
BOOLEAN = always(system("Boolean"))
REFERENCE_TYPES = frozenset({"uri", "url", "canonical", "string", "uuid", "oid"})
MODIFIER_KEY = "modifierExtension"


def extension(frame: Frame, focus: list[Any], url: list[Any]) -> list[Any]:
    """The extensions with a url."""
    wanted = string(url, "the url of an extension")
    found: list[Any] = []
    if wanted is None:
        return found
    for item in focus:
        if item.__class__ is Node:
            frame.evaluation.model.select(item, "extension", found)
    return [item for item in found if isinstance(item.value, dict) and item.value.get("url") == wanted]


def has_extension(frame: Frame, focus: list[Any], url: list[Any]) -> list[Any]:
    """True where there is an extension with a url; a search parameter of R4 asks it without defining it."""
    return [bool(extension(frame, focus, url))]


def has_value(frame: Frame, focus: list[Any]) -> list[Any]:
    """True for a single primitive that has a value, not extensions alone."""
    return [len(focus) == 1 and is_valued(frame, focus[0])]


def is_valued(frame: Frame, item: Any) -> bool:
    """True for a System value or a primitive with a value."""
    return item.__class__ is not Node or (item.value is not None and not isinstance(item.value, dict))


def value(frame: Frame, focus: list[Any]) -> list[Any]:
    """The value of a single primitive."""
    return focus if len(focus) == 1 and is_valued(frame, focus[0]) else []


def resolve(frame: Frame, focus: list[Any]) -> list[Any]:
    """The resources that references name; those that cannot be found are left out."""
    found = []
    frame.evaluation.charge(len(focus))
    for item in focus:
        reference = reference_text(item)
        node = referenced(frame, reference) if reference else None
        if node is not None:
            found.append(node)
    return found


def reference_text(item: Any) -> str | None:
    """The literal reference of a Reference, a canonical or a uri."""
    if item.__class__ is not Node:
        return item if isinstance(item, str) else None
    raw = item.value
    if isinstance(raw, dict):
        raw = raw.get("reference") if item.type == "Reference" else None
    return raw if isinstance(raw, str) else None


def referenced(frame: Frame, reference: str) -> Node | None:
    """The resource of a reference: contained, the container itself, or what the environment knows."""
    evaluation = frame.evaluation
    if reference.startswith("#"):
        return contained(evaluation.root or evaluation.resource, reference[1:])
    body = evaluation.environment.resolve(reference)
    return None if body is None else evaluation.model.node(body)


def contained(root: Node | None, identity: str) -> Node | None:
    """The contained resource with an id; the container for no id."""
    if root is None or not identity or not isinstance(root.value, dict):
        return root
    for index, body in enumerate(root.value.get("contained", ())):
        if isinstance(body, dict) and body.get("id") == identity:
            return Node(body, str(body.get("resourceType", "")), None, root.value, "contained", index)
    return None


def conforms_to(frame: Frame, focus: list[Any], structure: list[Any]) -> list[Any]:
    """Whether the single input meets a profile; FHIRPathError for an unknown profile."""
    url = string(structure, "the canonical of a profile")
    if not focus or url is None:
        return []
    if len(focus) > 1 or focus[0].__class__ is not Node:
        raise FHIRPathError("conformsTo() needs a single resource or element")
    node: Node = focus[0]
    known = frame.evaluation.environment.conforms_to(node, url)
    if known is not None:
        return [known]
    name = url.removeprefix(BASE_STRUCTURE)
    if not frame.evaluation.model.knows(name):
        raise FHIRPathError(f"Unknown profile {url}")
    return [frame.evaluation.model.is_subtype(node.type, name)]


def member_of(frame: Frame, focus: list[Any], value_set: list[Any]) -> list[Any]:
    """Whether the single code or concept is in a value set; empty when that is not known."""
    url = string(value_set, "the canonical of a value set")
    if len(focus) != 1 or url is None:
        return []
    known = frame.evaluation.environment.member_of(as_node(focus[0]), url)
    return [] if known is None else [known]


def subsumes(frame: Frame, focus: list[Any], other: list[Any]) -> list[Any]:
    """Whether the input is the same as the other concept or above it; empty when that is not known."""
    if len(focus) != 1 or len(other) != 1:
        return []
    known = frame.evaluation.environment.subsumes(as_node(focus[0]), as_node(other[0]))
    return [] if known is None else [known]


def subsumed_by(frame: Frame, focus: list[Any], other: list[Any]) -> list[Any]:
    """Whether the other concept is the same as the input or above it; empty when that is not known."""
    return subsumes(frame, other, focus)


def as_node(item: Any) -> Node:
    """An item with a type; a System string counts as a string."""
    return item if isinstance(item, Node) else Node(item, "string")


def html_checks(frame: Frame, focus: list[Any]) -> list[Any]:
    """Whether narratives hold only what FHIR allows in XHTML."""
    bodies = [item.value if item.__class__ is Node else item for item in focus]
    return [all(isinstance(body, str) and not xhtml.problems(body) for body in bodies)]


def check_modifiers(frame: Frame, focus: list[Any], *known: list[Any]) -> list[Any]:
    """The input; FHIRPathError where it carries a modifier extension that is not among those named."""
    urls = {string(url, "the url of an extension") for url in known}
    for item in focus:
        body = item.value if item.__class__ is Node else None
        for modifier in body.get(MODIFIER_KEY, ()) if isinstance(body, dict) else ():
            if modifier.get("url") not in urls:
                raise FHIRPathError(f"Unknown modifier extension {modifier.get('url')}")
    return focus


def element_definition(frame: Frame, focus: list[Any]) -> list[Any]:
    """Empty: elements do not carry their definition here, which the function lets an engine say."""
    return []


def slice_of(frame: Frame, focus: list[Any], structure: list[Any], name: list[Any]) -> list[Any]:
    """Empty: which slice an element belongs to is the validator's knowledge."""
    return []


def resource_key(frame: Frame, focus: list[Any]) -> list[Any]:
    """`Type/id` of each resource."""
    found = []
    for item in focus:
        body = item.value if item.__class__ is Node else None
        if isinstance(body, dict) and "resourceType" in body and "id" in body:
            found.append(f"{body['resourceType']}/{body['id']}")
    return found


def reference_key(frame: Frame, focus: list[Any], kind: str | None = None) -> list[Any]:
    """`Type/id` of each literal reference, of one type where it is named."""
    found = []
    for item in focus:
        literal = reference_text(item)
        parts = literal.partition("/_history/")[0].split("/") if literal else []
        if len(parts) < 2 or not parts[-1]:
            continue
        if kind is None or kind == parts[-2]:
            found.append(f"{parts[-2]}/{parts[-1]}")
    return found


STRINGS = always(system("String", many=True))
FUNCTIONS: Table = {
    "extension": Function(extension, 1, result=always(Static(frozenset({"Extension"})))),
    "hasExtension": Function(has_extension, 1, result=BOOLEAN),
    "hasValue": Function(has_value, result=BOOLEAN),
    "getValue": Function(value, result=same),
    "resolve": Function(resolve),
    "conformsTo": Function(conforms_to, 1, result=BOOLEAN),
    "memberOf": Function(member_of, 1, result=BOOLEAN),
    "subsumes": Function(subsumes, 1, result=BOOLEAN),
    "subsumedBy": Function(subsumed_by, 1, result=BOOLEAN),
    "htmlChecks": Function(html_checks, result=BOOLEAN),
    "checkModifiers": Function(check_modifiers, 1, 20, result=same),
    "elementDefinition": Function(element_definition),
    "slice": Function(slice_of, 2),
    "getResourceKey": Function(resource_key, result=STRINGS),
    "getReferenceKey": Function(reference_key, 0, 1, "type", STRINGS),
}
