"""Parameters whose expression is more than a union of paths: the FHIRPath engine selects, the same writers write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_server.fhirpath.engine import Engine, Expression
from fhir_server.fhirpath.environment import ReferencedTypes
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.node import SYSTEM_TYPES, Node, plain
from fhir_server.fhirpath.syntax import text
from fhir_server.search.leaf import Context, Leaf, Write
from fhir_server.search.param_types.composite import Part, join_rows, parts_of
from fhir_server.search.parameters import Component, Parameter
from fhir_server.search.reading import writer
from fhir_server.search.row import Rows

FHIR_TYPES = {
    "Boolean": "boolean", "String": "string", "Integer": "integer", "Decimal": "decimal", "Date": "date",
    "DateTime": "dateTime", "Quantity": "Quantity",
}  # fmt: skip
"""The FHIR type that a computed value is written as."""


class FreeReader:
    """Writes what expressions yield, of whatever types it is."""

    def __init__(self, engine: Engine, context: Context) -> None:
        self.engine = engine
        self.context = context
        self.environment = ReferencedTypes(context.definitions.resource_types)
        self._writers: dict[tuple[str, tuple[int, ...], str], Write | None] = {}

    def parameter(self, parameter: Parameter) -> Write | None:
        """The writer of a parameter for whole resources; None where its expression does not compile."""
        assert parameter.expression is not None
        expression = self.compiled(text(parameter.expression), parameter.resource_type)
        if expression is None:
            return None
        if parameter.type == "composite":
            return self.composite(parameter, expression)

        def write(value: Any, rows: Rows, resource: Any) -> None:
            for item in self.select(expression, value, resource):
                self.write(item, parameter.type, (parameter.number,), rows, resource, parameter.target)

        return write

    def composite(self, parameter: Parameter, base: Expression) -> Write | None:
        """The writer of a composite."""
        components = [(part, self.compiled(text(part.expression), None)) for part in parameter.components]

        def write(value: Any, rows: Rows, resource: Any) -> None:
            for item in self.select(base, value, resource):
                found = [self.parts(part, expression, item, resource) for part, expression in components]
                if all(found):
                    join_rows((parameter.number,), found, rows)

        return write

    def parts(self, component: Component, expression: Expression | None, base: Any, resource: Any) -> list[Part]:
        """What a component has at one base."""
        rows: Rows = []
        for item in self.select(expression, base, resource) if expression is not None else ():
            self.write(item, component.type, (0,), rows, resource)
        return parts_of(component.type, rows) if rows else []

    def compiled(self, source: str, name: str | None) -> Expression | None:
        """The expression, or None where it is wrong: a definition may come from anywhere."""
        try:
            return self.engine.compile(source, name, strict=False)
        except FHIRPathError:
            return None

    def select(self, expression: Expression, value: Any, resource: Any) -> Sequence[Any]:
        """What an expression yields; nothing where it fails on this resource."""
        try:
            return expression.evaluate(value, resource=resource, environment=self.environment)
        except FHIRPathError:
            return ()

    def write(
        self, item: Any, kind: str, numbers: tuple[int, ...], rows: Rows, resource: Any, target: Iterable[str] = ()
    ) -> None:
        """Add the rows of one selected item; a resource counts only where the parameter may point to its type."""
        if item.__class__ is not Node:
            name, value = FHIR_TYPES.get(type(item).__name__, system_type(item)), plain(item)
        elif item.type == "Extension":
            name, value = extension_value(item.value)
        else:
            name, value = item.type, item.value
        if value is None or (name in self.context.definitions.resource_types and name not in target):
            return
        key = (kind, numbers, name)
        if key not in self._writers:
            self._writers[key] = writer(kind, Leaf(numbers, name, None, self.context))
        write = self._writers[key]
        if write is not None:
            write(value, rows, resource)


def system_type(item: Any) -> str:
    """The FHIR type of a plain Python value."""
    return {bool: "boolean", int: "integer", str: "string"}.get(type(item), "decimal")


def extension_value(body: Any) -> tuple[str, Any]:
    """The type and the value of an extension; None as value where it has none."""
    for key, value in body.items():
        if key.startswith("value"):
            name = key.removeprefix("value")
            lower = name[:1].lower() + name[1:]
            return lower if lower in SYSTEM_TYPES and name != "Quantity" else name, value
    return "", None
