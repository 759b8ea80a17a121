"""What all stores share of including other resources with the matches (FHIR R4, 3.1.1.5.4)."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.errors import TooCostly

MOST_INCLUDED = 10_000
MOST_ROUNDS = 50


class TooManyIncluded(TooCostly):
    """More would be included than one page may hold."""


def pinned_only(versions: Iterable[str], body: bytes) -> frozenset[str]:
    """Of the versions that a resource refers to, those whose resource it does not also name without a version.

    Both have a row for the resource itself, which tells them not apart.
    """
    paths = {path.partition("/_history/")[0] for path in versions}
    return frozenset(path for path in paths if f'{path}"'.encode() not in body)
