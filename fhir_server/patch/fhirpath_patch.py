"""FHIRPath Patch: add, insert, delete, replace and move where FHIRPath points (FHIR R4, FHIRPath Patch)."""

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.definitions.datatype import Type
from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Invalid, Issue
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import MOST_STEPS, Evaluation
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.syntax import Binary, Call, Name, text, walk
from fhir_server.formats import is_xml
from fhir_server.patch.operation import Operation, excerpt, nearest, refuse_too_many
from fhir_server.patch.tree import fresh, pairs_of, prune, put_pairs, size
from fhir_server.patch.typed_value import TypedValue, Values
from fhir_server.resource.exact import parse_exact
from fhir_server.resource.parsing import STANDARD_LIMITS, Limits, repeated_members
from fhir_server.xml_format import read_xml

_LONGEST_PATH = 4000
_MOST_WORK = 30_000_000
_HEAVY = 10  # a function or an operator compares and counts what a step only follows
_EXAMPLE = (
    '{"name": "operation", "part": [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString":'
    ' "Patient.birthDate"}, {"name": "value", "valueDate": "1930-01-01"}]}'
)


def read_fhirpath_patch(raw: bytes, definitions: Definitions, limits: Limits = STANDARD_LIMITS) -> dict[str, Any]:
    """Return the Parameters in JSON or XML text, decimals exact; raise Invalid or TooLarge for other texts."""
    if is_xml(raw):
        body, issues = read_xml(raw, definitions, limits)
    else:
        body = parse_exact(raw, limits)
        issues = repeated_members(raw, body)
    if issues:
        raise Invalid(*issues)
    return body


def apply_fhirpath_patch(
    resource: dict[str, Any], parameters: Mapping[str, Any], definitions: Definitions
) -> dict[str, Any]:
    """Return the resource changed by all operations in turn; raise Invalid or Unprocessable when one fails."""
    operations = _operations(parameters)
    if resource.get("resourceType") not in definitions.resource_types:
        raise Invalid("What is patched must be a resource of FHIR R4.")
    editing = _Editing(fresh(resource), definitions, size(resource) + size(operations))
    for index, part in enumerate(operations):
        editing.apply(part, index)
    return editing.resource


def _operations(parameters: Mapping[str, Any]) -> list[Any]:
    kind = parameters.get("resourceType")
    if kind != "Parameters":
        what = f"a FHIRPath Patch is a Parameters resource; this is {excerpt(kind)}"
        raise Invalid(Issue("error", "structure", f"A body of FHIR cannot patch: {what}.", fix=f"Send {_EXAMPLE}."))
    operations = parameters.get("parameter", [])
    if not isinstance(operations, list):
        raise Invalid(Issue("error", "structure", "parameter must be an array.", ("Parameters.parameter",)))
    refuse_too_many(len(operations))
    return operations


def _parts(body: Any, operation: Operation) -> dict[str, Mapping[str, Any]]:
    """Return the parts of one operation by name."""
    name = body.get("name") if isinstance(body, dict) else None
    if name != "operation":
        raise operation.malformed(f"each parameter must be named 'operation'; this is {excerpt(name)}", _EXAMPLE)
    listed = body.get("part", [])
    if not isinstance(listed, list) or not all(isinstance(part, dict) for part in listed):
        raise operation.malformed("part must be an array of objects", _EXAMPLE)
    parts: dict[str, Mapping[str, Any]] = {}
    for part in listed:
        name = part.get("name")
        if not isinstance(name, str) or name not in _PARTS:
            raise operation.malformed(f"there is no part {excerpt(name)!r}", nearest(str(name), _PARTS))
        if name in parts:
            raise operation.malformed(f"the part {name!r} appears more than once")
        parts[name] = part
    return parts


class _Editing:
    """A resource being patched, of `values` at most; what its paths visit is bounded for the whole patch."""

    def __init__(self, resource: dict[str, Any], definitions: Definitions, values: int) -> None:
        self.resource = resource
        self._type = str(resource["resourceType"])
        self._definitions = definitions
        # An engine of its own: what a client writes must not push the server's expressions out of its memory.
        self._engine = Engine(definitions)
        self._values = Values(definitions)
        self._size = values
        self._work = 0
        self._visited = 0

    def apply(self, body: Any, index: int) -> None:
        """Apply one operation."""
        place = (f"Parameters.parameter[{index}]",)
        operation = Operation(index, "", place)
        parts = _parts(body, operation)
        kind = self._value(parts, "type", str, operation)
        if kind not in _OPERATIONS:
            what = f"type must be one of {', '.join(_OPERATIONS)}, and is {excerpt(kind)!r}"
            raise operation.malformed(what, nearest(kind, _OPERATIONS))
        path = self._value(parts, "path", str, Operation(index, kind, place))
        operation = Operation(index, f"{kind} {excerpt(path)}", place)
        needed, apply = _OPERATIONS[kind]
        if missing := [name for name in needed if name not in parts]:
            raise operation.malformed(f"it has no part {missing[0]!r}, which {kind} needs")
        if extra := [name for name in parts if name not in ("type", "path", *needed)]:
            raise operation.malformed(f"{kind} takes no part {extra[0]!r}")
        apply(self, path, parts, operation)

    def _value(self, parts: Mapping[str, Mapping[str, Any]], name: str, kind: type, operation: Operation) -> Any:
        if name not in parts:
            raise operation.malformed(f"it has no part {name!r}", _EXAMPLE)
        value = self._values.read(parts[name], operation).value
        if not isinstance(value, kind) or isinstance(value, bool):
            wanted = "a string" if kind is str else "an integer"
            raise operation.malformed(f"{name} must be {wanted}, and is {excerpt(value)}")
        return value

    def add(self, path: str, parts: Mapping[str, Mapping[str, Any]], operation: Operation) -> None:
        """Append to an element that may repeat, or make one that does not exist yet."""
        name = self._value(parts, "name", str, operation)
        value = self._values.read(parts["value"], operation)
        node = self._only(path, operation)
        kind = self._known(node, operation)
        member = self._values.member(kind, name, value, operation)
        owner = self._owner(node, operation)
        if taken := self._values.taken(owner, kind, member):
            raise operation.refused(f"there already is one {taken}, and it cannot repeat", "Replace it instead.")
        pairs = [*pairs_of(owner, member.key), self._values.pair(value, member.type, operation)]
        put_pairs(owner, member.key, pairs, many=member.many)

    def insert(self, path: str, parts: Mapping[str, Mapping[str, Any]], operation: Operation) -> None:
        """Put a value at an index of a list, which may be empty yet."""
        index = self._value(parts, "index", int, operation)
        value = self._values.read(parts["value"], operation)
        owner, kind, name = self._list(path, operation)
        member = self._values.member(kind, name, value, operation)
        pairs = pairs_of(owner, member.key)
        self._refuse_outside("index", index, len(pairs), operation)
        pairs.insert(index, self._values.pair(value, member.type, operation))
        put_pairs(owner, member.key, pairs, many=True)

    def move(self, path: str, parts: Mapping[str, Mapping[str, Any]], operation: Operation) -> None:
        """Put an item of a list to another index, counted without it."""
        source = self._value(parts, "source", int, operation)
        destination = self._value(parts, "destination", int, operation)
        owner, _, name = self._list(path, operation)
        pairs = pairs_of(owner, name)
        if not pairs:
            raise operation.refused("the list is empty, so nothing can be moved")
        self._refuse_outside("source", source, len(pairs) - 1, operation)
        self._refuse_outside("destination", destination, len(pairs) - 1, operation)
        pairs.insert(destination, pairs.pop(source))
        put_pairs(owner, name, pairs, many=True)

    def delete(self, path: str, parts: Mapping[str, Mapping[str, Any]], operation: Operation) -> None:
        """Remove one element if it is there, and what is empty without it."""
        nodes = self._select(path, operation)
        if not nodes:
            return
        node = self._one(nodes, operation)
        owner = self._holder(node, operation)
        pairs = pairs_of(owner, node.key)
        del pairs[max(node.index, 0)]
        put_pairs(owner, node.key, pairs, many=node.index >= 0)
        if not owner:
            self._charge(_HEAVY, operation)
            prune(self.resource, [owner])

    def replace(self, path: str, parts: Mapping[str, Mapping[str, Any]], operation: Operation) -> None:
        """Put a value, its extensions and id included, where another stood; of a choice also one of another type."""
        value = self._values.read(parts["value"], operation)
        node = self._only(path, operation)
        owner = self._holder(node, operation)
        key, kind = node.key, node.type
        is_of_kind = value.type == kind or (value.parts is not None and self._values.fits(value, kind))
        if not is_of_kind:
            key, kind = self._slot(node, owner, value, operation)
        pairs = pairs_of(owner, node.key)
        pairs[max(node.index, 0)] = self._values.pair(value, kind, operation)
        put_pairs(owner, key, pairs, many=node.index >= 0, instead=node.key)

    def _slot(self, node: Node, owner: dict[str, Any], value: TypedValue, operation: Operation) -> tuple[str, str]:
        """Return the key and the type that a value of another type gets."""
        kind = self._kind_of(owner, operation)
        own = kind.members.get(node.key)
        if own is None:
            raise operation.refused(f"{kind.name} has no element {excerpt(node.key)!r}")
        member = self._values.member(kind, own.name, value, operation)
        return member.key, member.type

    def _kind_of(self, owner: dict[str, Any], operation: Operation) -> Type:
        """Return the type of an object of the resource."""
        root = self._engine.node(self.resource)
        self._charge(_HEAVY, operation)
        nodes = [root, *self._engine.model.descendants([root])]
        found = next((node for node in nodes if node.value is owner or node.extra is owner), None)
        if found is None:
            raise operation.refused("the path leads out of what the definitions of FHIR describe")
        return self._known(found, operation)

    def _select(self, path: str, operation: Operation) -> list[Any]:
        if len(path) > _LONGEST_PATH:
            raise operation.too_large(f"the path is longer than {_LONGEST_PATH} characters")
        engine, root = self._engine, self._engine.node(self.resource)
        state = Evaluation(engine.model, engine.environment, engine.clock, [root], root, root, {})
        state.steps = self._visited
        try:
            expression = engine.compile(path, self._type)
            self._charge(
                sum(_HEAVY if isinstance(each, Binary | Call) else 1 for each in walk(expression.tree)), operation
            )
            return expression.run(state)
        except FHIRPathError as fault:
            if state.steps > MOST_STEPS:
                raise operation.too_costly() from None
            raise operation.malformed(str(fault)) from None
        finally:
            self._visited = state.steps

    def _charge(self, passes: int, operation: Operation) -> None:
        """Count so many passes over the whole resource."""
        self._work += passes * self._size
        if self._work > _MOST_WORK:
            raise operation.too_costly()

    def _only(self, path: str, operation: Operation) -> Node:
        nodes = self._select(path, operation)
        if not nodes:
            raise operation.refused(
                f"there is nothing at {excerpt(path)}", "Add what is missing on the way there first."
            )
        return self._one(nodes, operation)

    def _one(self, nodes: list[Any], operation: Operation) -> Node:
        if len(nodes) > 1:
            fix = "Choose one by its index, such as Patient.name[0], or by where()."
            raise operation.refused(f"the path selects {len(nodes)} elements, and must select one", fix)
        if not isinstance(nodes[0], Node):
            raise operation.refused("the path gives a value that is computed, and no element of the resource")
        return nodes[0]

    def _known(self, node: Node, operation: Operation) -> Type:
        if not self._definitions.has_type(node.type):
            raise operation.refused("the path leads out of what the definitions of FHIR describe")
        return self._definitions.type(node.type)

    def _holder(self, node: Node, operation: Operation) -> dict[str, Any]:
        """Return the object that has an element as a member."""
        if node.owner is None:
            raise operation.refused("the path selects a whole resource, and must select an element of it")
        return node.owner

    def _owner(self, node: Node, operation: Operation) -> dict[str, Any]:
        """Return the object that has the elements of a node: of a primitive the one beside it, made where needed."""
        if isinstance(node.value, dict):
            return node.value
        if isinstance(node.extra, dict):
            return node.extra
        if self._known(node, operation).kind != "primitive" or node.owner is None:
            raise operation.refused(f"what is there is no object, as a {node.type} must be")
        extra: dict[str, Any] = {}
        pairs = pairs_of(node.owner, node.key)
        pairs[max(node.index, 0)] = (node.value, extra)
        put_pairs(node.owner, node.key, pairs, many=node.index >= 0)
        return extra

    def _list(self, path: str, operation: Operation) -> tuple[dict[str, Any], Type, str]:
        """Return the object that has a list, its type, and the name of the list."""
        try:
            tree = self._engine.compile(path, self._type).tree
        except FHIRPathError as fault:
            raise operation.malformed(str(fault)) from None
        if not isinstance(tree, Name):
            fix = "Write it without index or filter at its end: Patient.name, or Patient.name[0].given."
            raise operation.malformed("the path must end in the name of a list", fix)
        node = self._engine.node(self.resource) if tree.source is None else self._only(text(tree.source), operation)
        kind = self._known(node, operation)
        members = self._values.named(kind, tree.name, operation)
        if not members[0].many:
            raise operation.refused(f"{kind.name}.{tree.name} is no list", "Use add, replace or delete.")
        return self._owner(node, operation), kind, tree.name

    def _refuse_outside(self, name: str, value: int, last: int, operation: Operation) -> None:
        if not 0 <= value <= last:
            raise operation.refused(f"{name} is {value}, and must be from 0 to {last}")


_Apply = Callable[[_Editing, str, Mapping[str, Mapping[str, Any]], Operation], None]
_OPERATIONS: Mapping[str, tuple[tuple[str, ...], _Apply]] = {
    "add": (("name", "value"), _Editing.add),
    "insert": (("index", "value"), _Editing.insert),
    "delete": ((), _Editing.delete),
    "replace": (("value",), _Editing.replace),
    "move": (("source", "destination"), _Editing.move),
}
"""The parts that each operation needs besides type and path, and how it is applied."""
_PARTS = ("type", "path", "name", "value", "index", "source", "destination")
