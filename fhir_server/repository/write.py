"""What a client asks to be written, and what became of it (FHIR R4, 3.1.0.4 update to 3.1.0.8 create)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from fhir_server.errors import FhirError, Issue
from fhir_server.patch.apply import PatchKind
from fhir_server.repository.sent import Sent
from fhir_server.store.protocol import Method, Version

Pairs = Sequence[tuple[str, str]]
Effect = Literal["created", "updated", "deleted", "unchanged", "found"]
"""What happened to a resource; `found` is what a conditional create finds instead of creating."""

ANY = "*"


@dataclass(slots=True)
class Write:
    """One change that a client asks for.

    The resource is named by `id` or by `criteria`, a search that must find one; a POST with criteria is a conditional
    create. `match` holds the versions of If-Match (or ANY), `unless_exists` is If-None-Match: *. `full_url` is what
    other entries of a transaction call it, `place` its place there. With `advised` all that validation says comes back.
    """

    method: Method
    type: str
    id: str | None = None
    criteria: Pairs | None = None
    sent: Sent | None = None
    patch: tuple[PatchKind, bytes | dict[str, Any]] | None = None
    match: tuple[int, ...] | str | None = None
    unless_exists: bool = False
    full_url: str | None = None
    place: int | None = None
    advised: bool = False

    @property
    def must_be(self) -> bool:
        """Whether the client named one state that the resource must be in."""
        return self.unless_exists or (isinstance(self.match, tuple) and len(self.match) == 1)


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of one write: the effect, the version that is current now, and what validation advises.

    `version` is None when there was nothing to delete. A conditional delete of several has the others in `more`.
    """

    effect: Effect
    version: Version | None
    issues: tuple[Issue, ...] = ()
    more: tuple[Version, ...] = ()


Found = frozenset[tuple[str, str]]


class placed:  # noqa: N801 -- it is used as a word of the language: with placed(...)
    """Names the entry of a Bundle in what fails within."""

    __slots__ = ("_place",)

    def __init__(self, place: int | None) -> None:
        self._place = place

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, failure: BaseException | None, _trace: object) -> None:
        """Place a failure."""
        if isinstance(failure, FhirError) and self._place is not None:
            failure.issues = tuple(at_entry(issue, self._place) for issue in failure.issues)


def at_entry(issue: Issue, place: int) -> Issue:
    """Return the same issue about the resource of an entry."""
    entry = f"Bundle.entry[{place}]"
    if not issue.expression:
        return replace(issue, expression=(entry,))
    inner = (path.partition(".") for path in issue.expression)
    return replace(
        issue,
        expression=tuple(
            path if path.startswith("Bundle.entry[") else f"{entry}.resource{dot}{rest}"
            for path, (_, dot, rest) in zip(issue.expression, inner, strict=True)
        ),
    )


NewId = Callable[[], str]
