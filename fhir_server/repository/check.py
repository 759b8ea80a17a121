"""Checks of writes that extensions add: decided inside the write, so that nobody can come between check and commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fhir_server.access.caller import Caller
from fhir_server.errors import Issue

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """One resource that is to be stored: what it is now (None: it is new), and what it is to be (None: deleted)."""

    type: str
    id: str
    former: Json | None
    body: Json | None
    caller: Caller


class Around(Protocol):
    """What is stored beside it, as the whole request will leave it, whoever asks."""

    async def read(self, kind: str, resource_id: str) -> Json | None:
        """A resource; None where there is none."""
        ...

    async def owners(self, kind: str, resource_id: str) -> tuple[str, ...]:
        """The facilities that a resource belongs to, the first of them being the one that made it."""
        ...

    async def found(self, kind: str, pairs: Sequence[tuple[str, str]], most: int = 200) -> Sequence[Json]:
        """What a search finds. Where it would find others when the request is committed, all is checked again."""
        ...

    async def identities(self) -> frozenset[str]:
        """The references that mean the caller."""
        ...


Check = Callable[[Written, Around], Awaitable[Sequence[Issue]]]
"""Returns warnings; raises a kind of FhirError for what must not be stored."""


@dataclass(frozen=True, slots=True)
class WriteCheck:
    """A check of every write of some types.

    One that has no use for what was there says so: then nobody waits for others who write the same.
    """

    types: frozenset[str]
    check: Check
    sees_former: bool = True
