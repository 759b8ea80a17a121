"""Bundles at full depth: links, entries, search sets (FHIR R4, 2.36 Bundle)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.validation.bundle_document import Interlinks
from fhir_server.validation.bundle_entry import RESTFUL, entries_of, resource_of
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Fault, Json, Rule, Run
from fhir_server.validation.uri import is_absolute

PAGING = frozenset({"first", "previous", "next", "last"})
ONCE = PAGING | {"self"}
PAGED = frozenset({"searchset", "history"})
WITHOUT_URLS = frozenset({"transaction", "transaction-response", "batch", "batch-response"})
OPERATION_OUTCOME = "OperationOutcome"
OLD_TABLES = ("http://hl7.org/fhir/v3/", "http://hl7.org/fhir/v2/")


def bundle_rule(definitions: Definitions) -> Rule:
    """The rule of Bundles as a whole."""
    resource_types = definitions.resource_types
    interlinks = Interlinks(definitions)
    special: Mapping[Any, Callable[[Json, Sequence[Json], Run], None]] = {
        "searchset": partial(search_rule, resource_types),
        "document": interlinks.document_rule,
        "message": interlinks.message_rule,
    }

    def rule(bundle: Json, run: Run) -> None:
        kind = str(bundle.get("type"))
        entries = entries_of(bundle)
        link_rule(bundle, kind, run)
        for entry in entries:
            entry_rule(entry, kind, resource_types, run)
        if kind.__class__ is str and kind in special:
            special[kind](bundle, entries, run)

    return rule


def complain(holder: Json, key: str | None, text: str, run: Run) -> None:
    """Report an error of a Bundle."""
    run.report(Fault(holder, key, None, "error", "invalid", text, None, None, "full"))


# --- links ---------------------------------------------------------------------------------------------------------


def link_rule(bundle: Json, kind: Any, run: Run) -> None:
    """Report a link that its kind of Bundle does not have, and one that is there twice."""
    links: Any = bundle.get("link")
    seen: set[str] = set()
    for link in links if links.__class__ is list else ():
        relation = link.get("relation") if link.__class__ is dict else None
        if relation.__class__ is not str:
            continue
        if kind not in PAGED and relation in PAGING:
            complain(link, "relation", f"A {kind} has no link {shown(relation)}.", run)
        elif relation in (ONCE if kind in PAGED else ("self",)) and relation in seen:
            complain(link, "relation", f"The link {shown(relation)} is there more than once.", run)
        seen.add(relation)


# --- entries -------------------------------------------------------------------------------------------------------


def entry_rule(entry: Json, kind: Any, resource_types: frozenset[str], run: Run) -> None:
    """Report an entry whose fullUrl is missing, relative, or of another resource than the one it holds."""
    url, resource = entry.get("fullUrl"), resource_of(entry)
    if url is None:
        if kind not in WITHOUT_URLS:
            complain(entry, None, "An entry must have a fullUrl, save in transactions and batches.", run)
        return
    if url.__class__ is not str:
        return
    if not is_absolute(url):
        complain(entry, "fullUrl", f"A fullUrl must be absolute, found {shown(url)}.", run)
        return
    if resource is None:
        return
    name, identity = resource.get("resourceType"), resource.get("id")
    found = RESTFUL(url)
    if found is not None and found[1] in resource_types:
        if identity is None:
            complain(entry, "fullUrl", f"{shown(url)} looks like a server's URL, and the resource has no id.", run)
        elif not url.endswith(f"/{name}/{identity}"):
            text = f"{shown(url)} looks like a server's URL, so it must end with /{name}/{identity}."
            complain(entry, "fullUrl", text, run)
    elif resource.get("url") == url and not url.startswith(OLD_TABLES):
        complain(entry, "fullUrl", "The fullUrl is the canonical of the resource, not where it can be read.", run)


# --- search sets ---------------------------------------------------------------------------------------------------


def search_rule(resource_types: frozenset[str], bundle: Json, entries: Sequence[Json], run: Run) -> None:
    """Report entries of a search set that are not what they are said to be."""
    types = [name for name in searched_types(bundle) if name in resource_types]
    modes = [mode_of(entry) for entry in entries]
    for entry, mode in zip(entries, modes, strict=True):
        resource = resource_of(entry)
        if resource is None:
            complain(entry, None, "An entry of a search set must hold a resource.", run)
        elif mode is not None:
            for text in match_problems(resource, mode, types):
                complain(resource, None, text, run)


def mode_of(entry: Json) -> str | None:
    """Why an entry is in a search set."""
    search: Any = entry.get("search")
    mode = search.get("mode") if search.__class__ is dict else None
    return mode if mode.__class__ is str else None


def match_problems(resource: Json, mode: str, types: Sequence[str]) -> Iterator[str]:
    """What is wrong with an entry of a search mode."""
    kind = resource.get("resourceType")
    if mode in ("match", "include"):
        if resource.get("id") is None:
            yield "A resource in a search set must have an id."
        if mode == "match" and types and kind not in types:
            yield f"The search was for {' or '.join(types)}, found {kind} as a match."
    elif kind != OPERATION_OUTCOME:
        yield f"An outcome of a search is an OperationOutcome, found {kind}."


def searched_types(bundle: Json) -> Sequence[str]:
    """The types that the self link says were searched for; none when it does not tell."""
    sent: Any = bundle.get("link")
    links = sent if sent.__class__ is list else ()
    found = (x.get("url") for x in links if x.__class__ is dict and x.get("relation") == "self")
    url = next((u for u in found if u.__class__ is str), None)
    if url is None:
        return ()
    path, _, query = url.partition("?")
    last = path.rpartition("/")[2]
    if last[:1].isupper():
        return (last,)
    wanted = (part.removeprefix("_type=") for part in query.split("&") if part.startswith("_type="))
    return [name for part in wanted for name in part.split(",")]
