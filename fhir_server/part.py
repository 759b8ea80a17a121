"""Parts of the server that are loaded when they are chosen: a store, an entrance, a command."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from threading import RLock
from typing import Generic, TypeVar

T = TypeVar("T")
_LOADING = RLock()
"""One thread at a time: of modules that import each other, a second thread could see one half made."""


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """Something named "module:name" that most processes never use, and that takes libraries along.

    The contracts about imports see a part where its type is imported for the type checker. The others are named in
    one table each, by a module whose layer is above theirs.
    """

    name: str

    def load(self) -> T:
        """The part itself; the first time its module is imported."""
        with _LOADING:
            part: T = EntryPoint(self.name, self.name, "").load()
        return part
