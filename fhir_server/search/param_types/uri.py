"""Index rows of uri parameters (FHIR R4, 3.1.1.4.9 uri)."""

from __future__ import annotations

from typing import Any

from fhir_server.resource.reference import parse_canonical
from fhir_server.search.leaf import Leaf, Write
from fhir_server.search.row import Rows, Uri


def uri_writer(leaf: Leaf) -> Write:
    """A uri, url or oid: exactly as it is."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        if value:
            rows += [(number + Uri.URI, value, "") for number in leaf.numbers]

    return write


def canonical_writer(leaf: Leaf) -> Write:
    """A canonical: the URL and the version apart."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        if value:
            canonical = parse_canonical(value)
            url = canonical.url or value
            rows += [(number + Uri.URI, url, canonical.version or "") for number in leaf.numbers]

    return write


WRITERS = {"uri": uri_writer, "canonical": canonical_writer}
