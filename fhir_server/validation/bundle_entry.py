"""Entries of a Bundle and what a reference within names (FHIR R4, 2.36.4 Resolving references in Bundles)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Json, Run
from fhir_server.validation.uri import is_absolute

RESTFUL = re.compile(
    r"(?:https?://(?:[A-Za-z0-9\\.:%$\-_]*/)*)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
).fullmatch


@dataclass(frozen=True, slots=True)
class Found:
    """What a reference names: an entry, or why none can be told; `missing` when nothing looks like it."""

    entry: Json | None = None
    problem: str | None = None
    missing: bool = False


def entries_of(bundle: Json) -> Sequence[Json]:
    """The entries of a Bundle that have the shape of one."""
    entries: Any = bundle.get("entry")
    return [e for e in entries if e.__class__ is dict] if entries.__class__ is list else ()


def resource_of(entry: Json) -> Json | None:
    """The resource of an entry."""
    resource: Any = entry.get("resource")
    return resource if resource.__class__ is dict else None


class Entries:
    """The entries of one Bundle by fullUrl, by `Type/id` and by the identity of the resource."""

    def __init__(self, bundle: Json) -> None:
        self.by_url: dict[str, list[Json]] = {}
        self.by_path: dict[str, list[Json]] = {}
        self.owners: dict[int, Json] = {}
        for entry in entries_of(bundle):
            self._add(entry)

    def _add(self, entry: Json) -> None:
        url, resource = entry.get("fullUrl"), resource_of(entry)
        if resource is not None:
            self.owners[id(resource)] = entry
        urls = [url] if url.__class__ is str else []
        paths = []
        if resource is not None and resource.get("id") is not None:
            paths.append(f"{resource.get('resourceType')}/{resource['id']}")
        version = version_of(entry)
        if version is not None:
            urls += [f"{u}/_history/{version}" for u in urls]
            paths += [f"{p}/_history/{version}" for p in paths]
        for name in urls:
            self.by_url.setdefault(name, []).append(entry)
        for name in paths:
            self.by_path.setdefault(name, []).append(entry)

    def named(self, url: str) -> Sequence[Json]:
        """The entries of an absolute URL, with `/_history/` those of that version."""
        path, history, version = url.partition("/_history/")
        same = self.by_url.get(path, ())
        return [e for e in same if version_of(e) == version] if history else same

    def find(self, reference: str, source: Json, resource_types: frozenset[str]) -> Found:
        """What a reference that stands in an entry names, by the fullUrls alone."""
        target = reference.partition("#")[0]
        absolute = is_absolute(target)
        url = target if absolute else neighbour(target, source)
        same = self.by_url.get(url, ()) if url is not None else ()
        if len(same) == 1:
            return Found(same[0])
        if same:
            return Found(problem=f"{shown(reference)} names {len(same)} entries of the Bundle.")
        if absolute:
            return Found(missing=True)
        kind, _, rest = target.partition("/")
        if not rest or kind not in resource_types:
            return Found()
        alike = self.by_path.get("/".join(target.split("/")[:2]))
        if not alike:
            return Found(missing=True)
        text = f"{shown(reference)} names no entry: one holds such a resource, but its fullUrl is another."
        return Found(problem=text)


def version_of(entry: Json) -> str | None:
    """The version that the resource of an entry states."""
    meta: Any = (resource_of(entry) or {}).get("meta")
    version = meta.get("versionId") if meta.__class__ is dict else None
    return version if version.__class__ is str else None


def index_of(bundle: Json, run: Run) -> Entries:
    """The entries of a Bundle, made ready once in a run."""
    key = "index", id(bundle)
    if key not in run.memo:
        run.memo[key] = Entries(bundle)
    found: Entries = run.memo[key]
    return found


def neighbour(reference: str, source: Json) -> str | None:
    """The URL of a relative reference, by the fullUrl of the entry that it stands in."""
    url, resource = source.get("fullUrl"), resource_of(source)
    if url.__class__ is not str or resource is None or RESTFUL(url) is None:
        return None
    own = f"{resource.get('resourceType')}/{resource.get('id')}"
    return url[: -len(own)] + reference if url.endswith(own) else None
