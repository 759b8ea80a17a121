"""What an extension tells those who look after a node: what it keeps in the data folder, and what it finds amiss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept in the data folder, as paths below it; what is not there is left out of a backup.

    A backup takes the `databases` (SQLite) first, then the resources, then the `secrets` (files that are keys) and what
    is in `folders`: whatever a database or a resource names must be there, finished, before it is named, and never
    changes nor goes after that.
    """

    databases: Sequence[str] = ()
    folders: Sequence[str] = ()
    secrets: Sequence[str] = ()


NOTHING_KEPT = Kept()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: how good it is, in words, and what to do where it is not."""

    state: Literal["good", "warning", "bad"]
    text: str
    fix: str | None = None


def nothing_found() -> Iterator[tuple[str, Finding]]:
    """Have nothing to look at."""
    yield from ()
