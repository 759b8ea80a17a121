"""Index rows of special parameters: the position that `near` measures from (FHIR R4, 8.7 Location)."""

from __future__ import annotations

from typing import Any

from fhir_server.search.leaf import Leaf, Write
from fhir_server.search.row import Rows, Special


def position_writer(leaf: Leaf) -> Write:
    """Location.position: latitude and longitude in degrees."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        latitude, longitude = value.get("latitude"), value.get("longitude")
        if latitude is not None and longitude is not None:
            rows += [(number + Special.POSITION, float(latitude), float(longitude)) for number in leaf.numbers]

    return write


WRITERS = {"Location.position": position_writer}
