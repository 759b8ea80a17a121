"""The state of one evaluation, and of the scopes within it (FHIRPath 2.0, sections 5.2 and 9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.model import Model
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.temporal import DateTime, from_clock

MOST_STEPS = 1_000_000
"""Items that the loops of one evaluation may visit, so that an expression from outside cannot occupy a server."""


Trace = Callable[[str, list[Any]], None]
"""Is told what an expression traces: the name, and the items."""


class Evaluation:
    """What stays the same during one evaluation; the clock is read once at most."""

    __slots__ = (
        "_moment", "clock", "context", "environment", "model", "resource", "root", "steps", "trace", "variables",
    )  # fmt: skip

    def __init__(
        self,
        model: Model,
        environment: Environment,
        clock: Callable[[], datetime],
        context: list[Any],
        resource: Node | None,
        root: Node | None,
        variables: dict[str, list[Any]],
    ) -> None:
        self.model = model
        self.environment = environment
        self.clock = clock
        self.context = context
        self.resource = resource
        self.root = root
        self.variables = variables
        self.steps = 0
        self.trace: Trace | None = None
        self._moment: DateTime | None = None

    @property
    def moment(self) -> DateTime:
        """Now."""
        if self._moment is None:
            self._moment = from_clock(self.clock())
        return self._moment

    def charge(self, count: int) -> None:
        """Count visited items; FHIRPathError when an expression visits too many."""
        self.steps += count
        if self.steps > MOST_STEPS:
            raise FHIRPathError(f"The evaluation visits more than {MOST_STEPS} items")


class Frame:
    """A scope: the items that a path without head starts from, the loop's index and total, and defined variables."""

    __slots__ = ("evaluation", "index", "this", "total", "variables")

    def __init__(
        self,
        evaluation: Evaluation,
        this: list[Any],
        variables: dict[str, list[Any]] | None = None,
        index: int | None = None,
        total: list[Any] | None = None,
    ) -> None:
        self.evaluation = evaluation
        self.this = this
        self.variables = variables
        self.index = index
        self.total = total

    def inner(self, item: Any, index: int) -> Frame:
        """The scope of one item of a loop."""
        return Frame(self.evaluation, [item], self.variables, index, self.total)

    def forked(self) -> Frame:
        """The same scope, whose new variables the outer one does not see."""
        return Frame(self.evaluation, self.this, self.variables, self.index, self.total)

    def define(self, name: str, value: list[Any]) -> None:
        """Give a variable a value for the rest of this scope."""
        self.variables = {**(self.variables or {}), name: value}


Run = Callable[[Frame], list[Any]]
"""A compiled expression."""
