"""The shape of a row of the functions table (FHIRPath 2.0, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.fhirpath.evaluation import Frame
from fhir_server.fhirpath.static import Result, unknown

Evaluate = Callable[..., list[Any]]
"""Takes the frame, the input and the arguments: collections of values, or compiled expressions."""


@dataclass(frozen=True, slots=True)
class Function:
    """A row of the table.

    `arguments` says what the function is given for them: their `values`, evaluated where the call stands; the
    compiled `expressions`, to be evaluated for each item; sort `keys`; or a `type`. `accepts` names the System types
    of input that make sense, where that can be checked before evaluation; `ordered` needs an input with an order.
    """

    evaluate: Evaluate
    minimum: int = 0
    maximum: int | None = None
    arguments: Literal["values", "expressions", "keys", "type"] = "values"
    result: Result = unknown
    accepts: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def most(self) -> int:
        """The largest number of arguments."""
        return self.minimum if self.maximum is None else self.maximum

    def arity(self) -> str:
        """How many arguments it takes, for a message."""
        if self.most == self.minimum:
            return f"{self.minimum} argument{'' if self.minimum == 1 else 's'}"
        return f"{self.minimum} to {self.most} arguments"


Table = Mapping[str, Function]


def each(frame: Frame, items: list[Any], expression: Callable[[Frame], list[Any]]) -> list[list[Any]]:
    """What an expression yields for each item."""
    frame.evaluation.charge(len(items))
    return [expression(frame.inner(item, index)) for index, item in enumerate(items)]
