"""One test of a public suite and whether this server passes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one test; `note` says what differed."""

    name: str
    passed: bool
    note: str = ""
