"""One validation under way: what it is about, and the faults found so far.

Checks know the object that they look at, not where it stands, so that a sound resource costs no paths. A fault names
the JSON object that holds it; `location.locate` finds its path afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fhir_server.fhirpath.environment import Environment

Json = dict[str, Any]


@dataclass(slots=True)
class Fault:
    """One finding about member `key` (item `index` of it) of `holder`, or about `holder` itself when key is None.

    `depth` is `write` for what R4 forbids, `full` for what only the reference validator's full depth calls wrong.
    `code` is an R4 issue-type code. Nobody changes a fault; it is not frozen, since that doubles what making one costs.
    """

    holder: Any
    key: str | None
    index: int | None
    severity: str
    code: str
    text: str
    rule: str | None = None
    profile: str | None = None
    depth: str = "write"

    def at(self, index: int) -> Fault:
        """The same fault, of one item."""
        return replace(self, index=index)


class Resolver(Protocol):
    """Looks up what a reference outside the resource names."""

    def __call__(self, reference: str) -> Json | None:
        """The resource, or None where it is not known."""


def resolve_nothing(reference: str) -> Json | None:
    """Know no other resource."""
    return None


class Run:
    """The state that checks share while one resource is validated.

    `resource` is the nearest resource around the value in hand (FHIRPath's %resource), `root` the one that contains it
    (%rootResource), `bundles` the Bundles around, outermost first. `fragments` holds the `#id` references met in it.
    `later` holds checks that need the whole resource to have been seen. `memo` keeps what was found out once and is
    asked for again: entries of a Bundle, whether a resource meets a profile.
    """

    __slots__ = (
        "_environment",
        "bundles",
        "environment_of",
        "faults",
        "fragments",
        "later",
        "memo",
        "outermost",
        "resolver",
        "resource",
        "root",
    )

    def __init__(
        self, outermost: Json, environment_of: Callable[[Run], Environment], resolver: Resolver = resolve_nothing
    ) -> None:
        self.environment_of = environment_of
        self._environment: Environment | None = None
        self.outermost = outermost
        self.resource = outermost
        self.root = outermost
        self.bundles: list[Json] = []
        self.faults: list[Fault] = []
        self.fragments: set[str] = set()
        self.later: list[Callable[[], None]] = []
        self.memo: dict[Any, Any] = {}
        self.resolver = resolver

    @property
    def environment(self) -> Environment:
        """What invariants may ask, made when the first one asks."""
        if self._environment is None:
            self._environment = self.environment_of(self)
        return self._environment

    def report(self, fault: Fault) -> None:
        """Keep a fault."""
        self.faults.append(fault)

    def error(self, holder: Any, key: str | None, code: str, text: str, index: int | None = None) -> int:
        """Keep an error at `key` of `holder`; returns 0, the number of members counted in a value that is wrong."""
        self.faults.append(Fault(holder, key, index, "error", code, text))
        return 0


Check = Callable[[Any, Json, Run], int]
"""Looks at a value that `holder` holds and reports faults; returns the number of JSON members seen in it."""


Rule = Callable[[Json, Run], None]
"""Looks at an object as a whole and reports faults."""
