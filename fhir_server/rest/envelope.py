"""Whether a Bundle can be worked through at all: its own members, before what its entries hold (FHIR R4, 2.36.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fhir_server.errors import Invalid, Issue
from fhir_server.rest.failure import nearest

Json = Mapping[str, Any]

WORKED_THROUGH = ("batch", "transaction")
OF_ALL = ("id", "extension", "modifierExtension")
OF_BUNDLE = (
    "resourceType", "meta", "implicitRules", "language", "identifier", "type", "timestamp", "total", "link", "entry",
    "signature", *OF_ALL,
)  # fmt: skip
OF_ENTRY = ("link", "fullUrl", "resource", "search", "request", "response", *OF_ALL)
OF_REQUEST = ("method", "url", "ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist", *OF_ALL)
FOREIGN = {
    "search": "Only what a search answers has entry.search (bdl-2): leave it out of a {kind}.",
    "response": "Only an answer has entry.response (bdl-4): leave it out of a {kind}.",
}
CARRYING = frozenset({"POST", "PUT", "PATCH"})
READING = frozenset({"GET", "HEAD"})
MOST_NAMED = 20


def refuse_unfit(body: Json) -> None:
    """Raise Invalid for a Bundle that is none to be worked through, with an issue for each fault (the first 20)."""
    kind = body.get("type")
    if kind not in WORKED_THROUGH:
        raise Invalid(_wrong_type(kind))
    found = [*_faults(body, str(kind))]
    if found:
        raise Invalid(*found[:MOST_NAMED])


def _wrong_type(kind: Any) -> Issue:
    what = "has no type" if kind is None else f"is of type {str(kind)[:40]!r}"
    text = f"The Bundle {what}; a batch or a transaction is worked through here.{nearest(str(kind), WORKED_THROUGH)}"
    fix = "To store a Bundle as it is, send it to /Bundle."
    return Issue("error", "required" if kind is None else "value", text, ("Bundle.type",), fix=fix)


def _faults(body: Json, kind: str) -> Iterator[Issue]:
    yield from _unknown(body, OF_BUNDLE, "Bundle")
    if "total" in body:
        text = f"Only what a search or a history answers has a total (bdl-1): leave it out of a {kind}."
        yield Issue("error", "invariant", text, ("Bundle.total",))
    listed = body.get("entry", ())
    entries = [each if isinstance(each, dict) else {} for each in (listed if isinstance(listed, list) else ())]
    for place, entry in enumerate(entries):
        yield from _of_entry(entry, f"Bundle.entry[{place}]", kind)
    yield from _twins(entries)


def _of_entry(entry: Json, where: str, kind: str) -> Iterator[Issue]:
    yield from _unknown(entry, OF_ENTRY, where)
    for name, text in FOREIGN.items():
        if name in entry:
            yield Issue("error", "invariant", text.format(kind=kind), (f"{where}.{name}",))
    url = entry.get("fullUrl")
    if url is not None and not isinstance(url, str):
        yield Issue("error", "structure", "A fullUrl is a string.", (f"{where}.fullUrl",))
    elif url is not None and "/_history/" in url:
        text = "A fullUrl names a resource, not one of its versions (bdl-8): leave /_history/ out."
        yield Issue("error", "invariant", text, (f"{where}.fullUrl",))
    request = entry.get("request")
    if isinstance(request, dict):
        yield from _unknown(request, OF_REQUEST, f"{where}.request")
        path = str(request.get("url")).partition("?")[0]
        is_plain = "$" not in path and not path.endswith("_search")
        if request.get("method") in CARRYING and is_plain and "resource" not in entry:
            text = f"A {request['method']} needs the resource that it sends."
            yield Issue("error", "required", text, (f"{where}.resource",))


def _unknown(holder: Json, known: Sequence[str], where: str) -> Iterator[Issue]:
    for name in holder:
        if name.removeprefix("_") not in known:
            yield Issue("error", "structure", f"{where} has no member {name[:80]!r}.{nearest(name, known)}", (where,))


def _twins(entries: Iterable[Json]) -> Iterator[Issue]:
    """Two entries of one fullUrl, unless they are of different versions (invariant bdl-7); a read has none to give."""
    seen: dict[tuple[str, Any], int] = {}
    for place, entry in enumerate(entries):
        url, resource, request = entry.get("fullUrl"), entry.get("resource"), entry.get("request")
        if not isinstance(url, str) or (isinstance(request, dict) and request.get("method") in READING):
            continue
        meta = resource.get("meta") if isinstance(resource, dict) else None
        version = meta.get("versionId") if isinstance(meta, dict) else None
        first = seen.setdefault((url, str(version)), place)
        if first != place:
            text = f"The entries {first} and {place} have the same fullUrl {url[:100]} (bdl-7)."
            yield Issue("error", "invariant", text, (f"Bundle.entry[{place}].fullUrl",))
