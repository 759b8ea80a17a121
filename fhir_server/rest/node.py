"""What the handlers of all routes share: the repository, and what is known about this node."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from fhir_server.access.caller import Caller
from fhir_server.definitions.registry import Definitions
from fhir_server.repository.coverage import Coverage
from fhir_server.repository.repository import Repository
from fhir_server.resource.instant import Clock
from fhir_server.resource.parsing import Limits
from fhir_server.rest.cursor import Cursors
from fhir_server.rest.exchange import Exchange, Reply, Route
from fhir_server.settings import Settings
from fhir_server.terminology.knowledge import Knowledge
from fhir_server.validation.validator import Validator


class Notes(Protocol):
    """Short texts under names, the same for all processes and durable, as the store promises them."""

    async def note(self, name: str) -> str | None:
        """The text kept under a name; None when there is none."""
        ...

    async def keep(self, name: str, text: str | None, former: str | None) -> bool:
        """Keep a text (None: nothing) if `former` is what stands there now; False when it is not."""
        ...


@dataclass(frozen=True, slots=True)
class Node:
    """The first argument of every handler.

    `coverage` knows what the index lacks; `validator` checks at full depth; `notes` are kept beside resources; `limits`
    are those of one resource, `bundle_limits` of a whole Bundle. `find` gives the route of an exchange and `dispatch`
    answers it without a transport; `routes` are the rows of the table. `started` is when, in milliseconds; handlers
    keep in `remembered` what costs much to make. `security` is what the CapabilityStatement tells of it, where callers
    are asked who they are. `address` (host and port) is where other processes of the server reach this one; empty where
    there is one alone.
    """

    repository: Repository
    coverage: Coverage
    definitions: Definitions
    knowledge: Knowledge
    settings: Settings
    validator: Validator
    notes: Notes
    cursors: Cursors
    limits: Limits
    bundle_limits: Limits
    routes: tuple[Route, ...]
    find: Callable[[Exchange], Route]
    dispatch: Callable[[Exchange], Awaitable[Reply]]
    started: int
    remembered: dict[str, Any] = field(default_factory=dict)
    clock: Clock = time.time
    security: Mapping[str, Any] = field(default_factory=dict)
    address: str = ""

    def bound(self, caller: Caller) -> Node:
        """The node as it is for a caller."""
        return replace(self, repository=self.repository.as_(caller), cursors=self.cursors.of(caller.subject))
