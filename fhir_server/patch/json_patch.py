"""JSON Patch: the operations of RFC 6902 at places that JSON Pointers (RFC 6901) name."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.errors import Invalid, Issue
from fhir_server.patch.operation import Operation, excerpt, nearest, refuse_too_many
from fhir_server.patch.tree import depth, equal, fresh, prune
from fhir_server.resource.exact import dump_exact, parse_exact_json
from fhir_server.resource.parsing import STANDARD_LIMITS, Limits, repeated_members

Pointer = tuple[str, ...]

_END = "-"
_INDEX = re.compile(r"0|[1-9][0-9]*", re.ASCII).fullmatch
_LONGEST_INDEX = 9
_LONGEST_EXPRESSION = 200
_CARRIED_AT_MOST = 4
_BAD_ESCAPE = re.compile(r"~(?![01])").search
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def read_json_patch(raw: bytes, limits: Limits = STANDARD_LIMITS) -> list[Any]:
    """Return the operations of a patch document, numbers and strings exact; raise Invalid or TooLarge for others."""
    operations = parse_exact_json(raw, limits)
    if not isinstance(operations, list):
        text = f"A JSON Patch must be an array of operations; this is {_kind(operations)}."
        fix = 'Send [{"op": "replace", "path": "/gender", "value": "female"}], or Parameters as application/fhir+json.'
        raise Invalid(Issue("error", "structure", text, fix=fix))
    if issues := repeated_members(raw, operations):
        raise Invalid(*issues)
    return operations


def apply_json_patch(
    document: Any, operations: list[Any], limits: Limits = STANDARD_LIMITS, *, keeps_emptied: bool = True
) -> Any:
    """Return the document changed by all operations in turn; raise Invalid or Unprocessable for the first that fails.

    Objects and arrays that lose their last member stay, as the RFC has it, unless `keeps_emptied` is false: FHIR knows
    nothing empty.
    """
    refuse_too_many(len(operations))
    editing = _Editing(fresh(document), limits)
    for index, body in enumerate(operations):
        editing.apply(body, index)
    if not keeps_emptied:
        prune(editing.document, editing.emptied)
    return editing.document


def read_pointer(text: Any) -> Pointer:
    """Return the steps of a JSON Pointer; raise ValueError with what is wrong (RFC 6901, section 3)."""
    if not isinstance(text, str):
        raise ValueError(f"must be a string, and is {_kind(text)}")  # noqa: TRY004 a value of the document is wrong
    if text and not text.startswith("/"):
        raise ValueError(f"must start with '/': {excerpt(text)!r} does not")
    if _BAD_ESCAPE(text):
        raise ValueError("may have '~' only in '~0' (for ~) and '~1' (for /)")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])


def _written(pointer: Pointer) -> str:
    return excerpt("".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in pointer)) or "the document"


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS.items() if isinstance(value, kind)), "a number")


class _Editing:
    """A document being patched; `emptied` are the objects and arrays that lost their last member."""

    def __init__(self, document: Any, limits: Limits) -> None:
        self.document = document
        self.emptied: list[Any] = []
        self._limits = limits
        self._carried = 0

    def apply(self, body: Any, index: int) -> None:
        """Apply one operation (RFC 6902, section 4)."""
        if not isinstance(body, dict):
            raise Operation(index).malformed(f"it must be an object, and is {_kind(body)}")
        name = body.get("op")
        if not isinstance(name, str) or name not in _OPERATIONS:
            found = "is missing" if "op" not in body else f"is {excerpt(name)!r}"
            raise Operation(index).malformed(f"op {found}; it must be one of {', '.join(_OPERATIONS)}")
        needed, apply = _OPERATIONS[name]
        if missing := next((member for member in needed if member not in body), None):
            raise Operation(index, name).malformed(f"it has no {missing!r}, which {name} needs")
        pointers = self._pointers(body, Operation(index, name), needed)
        operation = Operation(index, f"{name} {_written(pointers['path'])}", self._expression(pointers["path"]))
        apply(self, body, pointers, operation)

    def _pointers(self, body: dict[str, Any], operation: Operation, needed: tuple[str, ...]) -> dict[str, Pointer]:
        pointers = {}
        for member in needed:
            if member != "value":
                try:
                    pointers[member] = read_pointer(body[member])
                except ValueError as fault:
                    raise operation.malformed(
                        f"{member} {fault}", "Write a JSON Pointer such as /name/0/given."
                    ) from None
        return pointers

    def _expression(self, pointer: Pointer) -> tuple[str, ...]:
        kind = self.document.get("resourceType") if isinstance(self.document, dict) else None
        if not isinstance(kind, str):
            return ()
        steps = (f"[{step}]" if _INDEX(step) else f".{step}" for step in pointer if step != _END)
        expression = kind + "".join(steps)
        return (expression,) if len(expression) <= _LONGEST_EXPRESSION else ()

    def add(self, body: dict[str, Any], pointers: dict[str, Pointer], operation: Operation) -> None:
        """RFC 6902, section 4.1."""
        self._put(pointers["path"], fresh(body["value"]), operation)

    def remove(self, body: dict[str, Any], pointers: dict[str, Pointer], operation: Operation) -> None:
        """RFC 6902, section 4.2."""
        self._take(pointers["path"], operation)

    def replace(self, body: dict[str, Any], pointers: dict[str, Pointer], operation: Operation) -> None:
        """RFC 6902, section 4.3: the target must exist, and what replaces it stands in its place."""
        path, value = pointers["path"], fresh(body["value"])
        self._refuse_depth(path, value, operation)
        if not path:
            self.document = value
            return
        self._value(path, operation)
        container = self._value(path[:-1], operation)
        container[int(path[-1]) if isinstance(container, list) else path[-1]] = value

    def move(self, body: dict[str, Any], pointers: dict[str, Pointer], operation: Operation) -> None:
        """RFC 6902, section 4.4."""
        path, origin = pointers["path"], pointers["from"]
        self._value(origin, operation)
        if path == origin:
            return
        if path[: len(origin)] == origin:
            raise operation.refused(f"{_written(origin)} cannot be moved into itself")
        value = self._take(origin, operation)
        self._carry(value, operation)
        self._put(path, value, operation)

    def copy(self, body: dict[str, Any], pointers: dict[str, Pointer], operation: Operation) -> None:
        """RFC 6902, section 4.5."""
        value = self._value(pointers["from"], operation)
        self._carry(value, operation)
        self._put(pointers["path"], fresh(value), operation)

    def test(self, body: dict[str, Any], pointers: dict[str, Pointer], operation: Operation) -> None:
        """RFC 6902, section 4.6."""
        value = self._value(pointers["path"], operation)
        if not equal(value, body["value"]):
            found, wanted = excerpt(dump_exact(value).decode()), excerpt(dump_exact(body["value"]).decode())
            raise operation.refused(
                f"the value is {found}, not {wanted}", "Read the resource again: it is not what the patch was made for."
            )

    def _carry(self, value: Any, operation: Operation) -> None:
        """Bound what one patch copies and moves: a document could double with every operation."""
        self._carried += len(dump_exact(value))
        most = _CARRIED_AT_MOST * self._limits.string
        if self._carried > most:
            raise operation.too_large(f"the patch copies and moves more than {most} bytes")

    def _value(self, pointer: Pointer, operation: Operation) -> Any:
        value = self.document
        for at, step in enumerate(pointer):
            if isinstance(value, dict):
                if step not in value:
                    text = f"{_written(pointer[: at + 1])} does not exist"
                    raise operation.refused(text, nearest(step, value))
                value = value[step]
            elif isinstance(value, list):
                value = value[self._index(pointer[: at + 1], len(value) - 1, operation)]
            else:
                raise operation.refused(f"{_written(pointer[:at])} is {_kind(value)}, so it has no {excerpt(step)!r}")
        return value

    def _index(self, pointer: Pointer, last: int, operation: Operation) -> int:
        """Return the last step as an index, at most `last` (RFC 6901, section 4)."""
        step, array = pointer[-1], _written(pointer[:-1])
        if step == _END:
            raise operation.refused(f"{array} has no item after its last; '-' is a place only to put a value at")
        if not _INDEX(step):
            text = f"{array} is an array, and {excerpt(step)!r} is no index: those are 0, 1, 2, and so on"
            raise operation.refused(text)
        if len(step) > _LONGEST_INDEX or int(step) > last:
            items = f"its last item is {last}" if last >= 0 else "it is empty"
            raise operation.refused(f"{array} has no place {excerpt(step)}; counted from 0, {items}")
        return int(step)

    def _put(self, pointer: Pointer, value: Any, operation: Operation) -> None:
        self._refuse_depth(pointer, value, operation)
        if not pointer:
            self.document = value
            return
        container = self._value(pointer[:-1], operation)
        if isinstance(container, dict):
            container[pointer[-1]] = value
        elif isinstance(container, list):
            size = len(container)
            container.insert(size if pointer[-1] == _END else self._index(pointer, size, operation), value)
        else:
            raise operation.refused(f"{_written(pointer[:-1])} is {_kind(container)}, and can hold nothing")

    def _take(self, pointer: Pointer, operation: Operation) -> Any:
        if not pointer:
            raise operation.refused(
                "the document itself cannot be removed", "Delete the resource by a DELETE of its URL."
            )
        value = self._value(pointer, operation)
        container = self._value(pointer[:-1], operation)
        del container[int(pointer[-1]) if isinstance(container, list) else pointer[-1]]
        if not container:
            self.emptied.append(container)
        return value

    def _refuse_depth(self, pointer: Pointer, value: Any, operation: Operation) -> None:
        if len(pointer) + depth(value) > self._limits.depth:
            raise operation.too_large(f"the document would be nested more than {self._limits.depth} levels deep")


_Apply = Callable[[_Editing, dict[str, Any], dict[str, Pointer], Operation], None]
_OPERATIONS: Mapping[str, tuple[tuple[str, ...], _Apply]] = {
    "add": (("path", "value"), _Editing.add),
    "remove": (("path",), _Editing.remove),
    "replace": (("path", "value"), _Editing.replace),
    "move": (("path", "from"), _Editing.move),
    "copy": (("path", "from"), _Editing.copy),
    "test": (("path", "value"), _Editing.test),
}
"""What each operation needs besides `op`, and how it is applied."""
