"""Rows of views that other nodes submit, looked through and put into the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import FhirError
from fhir_server.national.catalogue import own_view
from fhir_server.national.definition import View, read_view
from fhir_server.national.lake import Lake
from fhir_server.national.parquet import arrow_of
from fhir_server.national.view import view_engine

DATES: Mapping[str, str] = {
    "appointments": "start",
    "compositions": "date",
    "conditions": "recorded",
    "encounters": "period_start",
    "imaging_studies": "started",
    "medication_requests": "authored_on",
    "service_requests": "authored_on",
    "tasks": "authored_on",
}
"""The column of each view that says to which month a row belongs; rows of the others belong to none."""


class Arrivals:
    """Takes rows of the views of this server into the lake of a folder; everything here blocks."""

    def __init__(self, folder: Path, definitions: Definitions) -> None:
        self._lake = Lake(folder)
        self._engine = view_engine(definitions)
        self._views: dict[str, View] = {}

    def _view(self, name: str) -> View:
        if name not in self._views:
            view = read_view(self._engine, own_view(name))
            self._views[view.name] = self._views[name] = view
        return self._views[name]

    def about(self, view: str) -> str:
        """The resource type that a view is about; raise NotFound where there is no such view."""
        return self._view(view).resource

    def wrong(self, view: str, rows: Sequence[Mapping[str, Any]]) -> tuple[int, str] | None:
        """The number of the first row that is none of the view's, and why; None where all are."""
        columns = self._view(view).columns
        names = {column.name for column in columns}
        for number, row in enumerate(rows):
            others = sorted(row.keys() - names)
            if others:
                return number, f"{others[0][:60]!r} is no column of the view {view}."
        try:
            arrow_of(columns, rows)
        except FhirError as failure:
            text = str(failure)
        else:
            return None
        return next(number for number, row in enumerate(rows) if self._is_unfit(view, row)), text

    def _is_unfit(self, view: str, row: Mapping[str, Any]) -> bool:
        try:
            arrow_of(self._view(view).columns, [row])
        except FhirError:
            return True
        return False

    def put(self, view: str, node: str, rows: Sequence[Mapping[str, Any]], place: int, name: str) -> None:
        """Add rows of a node, which replace what was known of their resources; those of one name count once."""
        known = self._view(view)
        self._lake.append(known, node, rows, place, name, DATES.get(known.name, ""))

    def remove(self, view: str, node: str, ids: Sequence[str], place: int, name: str) -> None:
        """Add that resources of a node are gone."""
        self._lake.remove(self._view(view), node, ids, place, name)

    def drop(self, view: str, name: str) -> int:
        """Forget what came under a name; return how many rows were forgotten."""
        return self._lake.drop(self._view(view).name, name)
