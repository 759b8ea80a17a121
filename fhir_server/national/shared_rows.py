"""The rows that nodes share, as they stand in the lake now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fhir_server.errors import NotFound
from fhir_server.national.lake import Lake, connected, duck_source


class SharedRows:
    """Reads the lake of a folder; it blocks."""

    def __init__(self, folder: Path) -> None:
        self._lake = Lake(folder)

    def of(self, view: str, node: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """The rows of a view that a node shares."""
        try:
            current = self._lake.current(view, duck_source(self._lake.paths(view)))
        except NotFound:
            return []
        names = ", ".join(f'"{name}"' for name in columns)
        with connected() as connection:
            found = connection.execute(f"SELECT {names} FROM ({current}) WHERE node = ?", [node]).fetchall()
        return [dict(zip(columns, row, strict=True)) for row in found]

    def nodes(self, view: str) -> list[str]:
        """Which nodes share rows of a view."""
        return sorted({piece.node for piece in self._lake.pieces(view)})
