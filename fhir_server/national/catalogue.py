"""Where views come from: those of this server by name, and those that clients store as Libraries (SQL on FHIR v2).

R4 has no resource type for views. One that is stored is a Library whose content is the ViewDefinition's JSON, of a
media type below; its url, or `Library/[id]`, is what it is referred to by.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from fhir_server.errors import FhirError, Issue, NotFound, Unprocessable
from fhir_server.resource.parsing import parse, parse_json
from fhir_server.resource.reference import parse_reference
from fhir_server.rest.failure import nearest
from fhir_server.rest.node import Node

FOLDER = resources.files("fhir_server.national").joinpath("views")
VIEW = "ViewDefinition"
LIBRARY = "Library"
OF_VIEWS = frozenset({"application/json", "application/fhir+json", "application/viewdefinition+json"})
CANONICAL = "urn:nhipcau:view:"


@cache
def own_views() -> Mapping[str, Mapping[str, Any]]:
    """Return the views of this server by their name."""
    bodies = (
        parse_json(file.read_bytes())
        for file in sorted(FOLDER.iterdir(), key=lambda each: each.name)
        if file.name.endswith(".json")
    )
    return {body["name"]: body for body in bodies}


def own_view(name: str) -> Mapping[str, Any]:
    """Return a view of this server by its name or its id, which has hyphens; raise NotFound."""
    found = own_views().get(name.replace("-", "_"))
    if found is None:
        raise NotFound(f"There is no view {name[:80]}.{nearest(name, own_views())}")
    return found


async def view_at(node: Node, reference: str) -> Mapping[str, Any]:
    """Return the JSON of a view that a reference or a canonical leads to; raise NotFound or Unprocessable."""
    text = reference.partition("|")[0]
    if text.startswith(CANONICAL):
        return own_view(text.removeprefix(CANONICAL))
    kind, _, name = text.rpartition("/")
    if kind == VIEW:
        return own_view(name)
    library = await library_at(node, reference)
    return view_in(library)


def view_in(library: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the view that a Library holds; raise Unprocessable where it holds none."""
    raw = content_of(library, OF_VIEWS)
    body = None if raw is None else parse_json(raw)
    if not isinstance(body, dict):
        text = f"Library/{library.get('id', '')} holds no ViewDefinition: content of {', '.join(sorted(OF_VIEWS))}."
        raise Unprocessable(Issue("error", "not-found", text, ("Library.content",)))
    return body


async def library_at(node: Node, reference: str) -> Mapping[str, Any]:
    """Return the Library that a reference or a canonical leads to; raise NotFound where there is none."""
    parsed = parse_reference(reference)
    if parsed.type == LIBRARY and parsed.id is not None:
        return parse((await node.repository.read(LIBRARY, parsed.id)).body or b"")
    url, _, version = reference.partition("|")
    pairs = [("url", url), *([("version", version)] if version else []), ("_sort", "-_lastUpdated")]
    try:
        page = await node.repository.page(node.repository.query((LIBRARY,), pairs).plan, 1)
    except FhirError as failure:
        raise NotFound(f"There is no view {reference[:200]}: {failure}") from None
    if not page.matches:
        raise NotFound(f"There is no view {reference[:200]}.")
    return parse(page.matches[0].body or b"")


def content_of(library: Mapping[str, Any], kinds: frozenset[str]) -> bytes | None:
    """Return the first content of a Library that is of one of these media types; None where there is none."""
    for attachment in library.get("content", ()):
        kind = str(attachment.get("contentType", "")).partition(";")[0].strip().lower()
        if kind in kinds and isinstance(attachment.get("data"), str):
            try:
                return b64decode(attachment["data"], validate=False)
            except Error:
                raise Unprocessable(
                    Issue("error", "value", "The data is no base64.", ("Library.content.data",))
                ) from None
    return None
