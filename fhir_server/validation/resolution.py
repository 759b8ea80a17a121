"""What a reference names within the resource in hand (FHIR R4, 2.3.0 references, 2.36.4 resolving in a Bundle)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.resource.reference import parse_reference
from fhir_server.validation.item import Item
from fhir_server.validation.run import Json, Run


def resolved(reference: str, run: Run) -> Item | None:
    """The contained resource, Bundle entry or known resource that a literal reference names; None when unknown."""
    if reference[:1] == "#":
        return contained_named(reference[1:], run.root)
    for bundle in bundles_around(run):
        found = entry_named(bundle, reference, run)
        if found is not None:
            return found
    known = run.resolver(reference)
    return None if known is None else Item(known, None, None, known, str(known.get("resourceType")))


def contained_named(identity: str, root: Json) -> Item | None:
    """The contained resource of an id; the container itself for an empty one."""
    if not identity:
        return Item(root, None, None, root, str(root.get("resourceType")))
    contained = root.get("contained")
    for index, resource in enumerate(contained if contained.__class__ is list else ()):
        if resource.__class__ is dict and resource.get("id") == identity:
            return Item(root, "contained", index, resource, str(resource.get("resourceType")))
    return None


def bundles_around(run: Run) -> Iterator[Json]:
    """The Bundles around the resource in hand, innermost first."""
    yield from reversed(run.bundles)
    if run.outermost.get("resourceType") == "Bundle" and run.outermost not in run.bundles:
        yield run.outermost


def entry_named(bundle: Json, reference: str, run: Run) -> Item | None:
    """The entry of a Bundle that a reference names, seen from the resource in hand."""
    by_url, by_path, urls = entries_of(bundle, run)
    target = reference.partition("#")[0]
    if target in by_url:
        return by_url[target]
    parsed = parse_reference(target)
    if parsed.kind == "absolute" and parsed.version is not None:
        return by_url.get(target.partition("/_history/")[0])
    if parsed.kind != "relative" or parsed.path is None:
        return None
    base = parse_reference(urls.get(id(run.root), "")).base
    if base is not None and f"{base}/{parsed.path}" in by_url:
        return by_url[f"{base}/{parsed.path}"]
    same = by_path.get(parsed.path, ())
    return same[0] if len(same) == 1 else None


Entries = tuple[dict[str, Item], dict[str, list[Item]], dict[int, str]]


def entries_of(bundle: Json, run: Run) -> Entries:
    """The resources of a Bundle by fullUrl and by `Type/id`, and the fullUrl of each by its identity."""
    key = "entries", id(bundle)
    if key not in run.memo:
        run.memo[key] = list_entries(bundle)
    return run.memo[key]  # type: ignore[no-any-return]


def list_entries(bundle: Json) -> Entries:
    """Walk the entries of a Bundle once."""
    by_url: dict[str, Item] = {}
    by_path: dict[str, list[Item]] = {}
    urls: dict[int, str] = {}
    entries: Any = bundle.get("entry")
    for entry in entries if entries.__class__ is list else ():
        resource = entry.get("resource") if entry.__class__ is dict else None
        if resource.__class__ is not dict:
            continue
        kind, url = str(resource.get("resourceType")), entry.get("fullUrl")
        item = Item(entry, "resource", None, resource, kind)
        if url.__class__ is str:
            by_url.setdefault(url, item)
            urls[id(resource)] = url
        by_path.setdefault(f"{kind}/{resource.get('id')}", []).append(item)
    return by_url, by_path, urls
