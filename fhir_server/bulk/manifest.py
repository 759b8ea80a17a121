"""Manifests of others: which files they name, of which types (Bulk Data Access 3.0, 2.5.1; 4.0 ballot, $bulk-submit).

The type of a file is a resource type, or the canonical of a view, urn:nhipcau:view:[name], whose rows it holds. What is
in `deleted` holds transactions of DELETEs, or, for a view, lines {"id": "..."} of the resources whose rows are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.errors import Issue, Unprocessable

VIEW = "urn:nhipcau:view:"
MOST_FILES = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a manifest: what it holds, where it is, how many lines it says it has; `view` where these are rows."""

    type: str
    url: str
    count: int | None = None
    deleted: bool = False

    @property
    def view(self) -> str:
        """The name of the view whose rows it holds; empty for resources."""
        return self.type.removeprefix(VIEW) if self.type.startswith(VIEW) else ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, or a page of it: its files, whether they take a token, and the URL of the next page."""

    files: tuple[Listed, ...]
    needs_token: bool
    following: str


def read_manifest(raw: bytes, types: Collection[str], place: str) -> Manifest:
    """Return a manifest from its JSON; raise Unprocessable, naming `place`, for what is none."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _wrong(f"{place} is no JSON: {error}") from None
    if not isinstance(body, dict) or not isinstance(body.get("output"), list):
        raise _wrong(f"{place} is no manifest: it has no list `output`.")
    files = []
    for name in ("output", "deleted"):
        listed = body.get(name) or []
        if not isinstance(listed, list):
            raise _wrong(f"{place}: `{name}` is no list.")
        for index, item in enumerate(listed):
            files.append(_listed(item, types, f"{place}: {name}[{index}]", deleted=name == "deleted"))
    if len(files) > MOST_FILES:
        raise _wrong(f"{place} names more than {MOST_FILES:,} files.")
    return Manifest(tuple(files), body.get("requiresAccessToken") is True, _following(body))


def _listed(item: Any, types: Collection[str], where: str, *, deleted: bool) -> Listed:
    if not isinstance(item, dict) or not isinstance(item.get("url"), str):
        raise _wrong(f"{where} has no url.")
    kind = item.get("type")
    holds_rows = isinstance(kind, str) and kind.startswith(VIEW)
    known = kind == "Bundle" if deleted else kind in types and kind != "Bundle"
    if not isinstance(kind, str) or not (known or holds_rows):
        raise _wrong(f"{where}: {str(kind)[:80]} is no type that can stand there.")
    count = item.get("count")
    return Listed(kind, item["url"], count if isinstance(count, int) else None, deleted)


def _following(body: Mapping[str, Any]) -> str:
    links = body.get("link")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            return str(link["url"])
    return ""


def _wrong(text: str) -> Unprocessable:
    return Unprocessable(Issue("error", "structure", text))
