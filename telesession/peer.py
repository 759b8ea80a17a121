"""Consultations with the hub at another node: what is sent there, and what comes back, as values.

The node of the hub decides from the time when it has the request. Ids are the same at both nodes, so that whatever is
sent twice is there once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from telesession import vocabulary as words
from telesession.vocabulary import Body, Json, objects, path_of

MIRROR = "another node"
"""The subject of the caller who writes what came from there."""
RETURNED = ("Task", "Appointment", "Encounter", "ServiceRequest")
MASTER = frozenset({"Organization", "Location", "Practitioner", "PractitionerRole", "HealthcareService"})
"""What both nodes keep by themselves: it is made where it is missing, and never overwritten."""
ORDER = ("Location", "Practitioner", "PractitionerRole")
"""What of it comes along with a consultation; an Organization has to be known at both nodes."""
LEFT_OUT = frozenset({"endpoint", "healthcareService", "partOf"})
AT_ONCE = 40
SEARCH = (
    "_revinclude=Task:focus&_revinclude=Appointment:based-on&_revinclude=Encounter:based-on"
    "&_include:iterate=Appointment:actor&_include:iterate=Encounter:participant&_include:iterate=Encounter:location"
    "&_include:iterate=PractitionerRole:practitioner&_count=200"
)


def references_in(value: Any) -> Iterator[str]:
    """Yield the references to resources of a node anywhere in a value."""
    if isinstance(value, Mapping):
        path = path_of(value)
        if path.count("/") == 1 and not path.startswith(("#", "urn:")):
            yield path
        for each in value.values():
            yield from references_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from references_in(each)


def bundle_of(resources: Iterable[Body]) -> Json:
    """The transaction that lets another node have resources under their ids; master data only where it has none."""
    entries = []
    for body in resources:
        kind, name = body["resourceType"], body["id"]
        request = {"method": "PUT", "url": f"{kind}/{name}"}
        entries.append({"fullUrl": f"urn:nhipcau:{kind}:{name}", "resource": bare(body), "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def bare(body: Body) -> Json:
    """A resource without what its node has put in: version and time."""
    kept = {name: value for name, value in body.items() if name != "meta"}
    meta = {
        name: value
        for name, value in (body.get("meta") or {}).items()
        if name not in ("versionId", "lastUpdated", "source")
    }
    return {**kept, "meta": meta} if meta else kept


def searches(requests: Sequence[str]) -> Iterator[str]:
    """Yield the searches that ask for the state of some ServiceRequests."""
    for start in range(0, len(requests), AT_ONCE):
        yield f"ServiceRequest?_id={','.join(requests[start : start + AT_ONCE])}&{SEARCH}"


def returned(bundle: Body, request: str) -> list[Json]:
    """What a node told of one consultation, and of nothing else."""
    path = f"ServiceRequest/{request}"
    bodies = (each["resource"] for each in objects(bundle, "entry") if isinstance(each.get("resource"), dict))
    return [unplaced(each) for each in bodies if each.get("resourceType") in RETURNED and path in _about(each)]


def masters_in(bundle: Body, requests: Iterable[str]) -> list[Json]:
    """The people and places that what was told of consultations refers to, in an order that they can be made in."""
    named = {path for each in requests for body in returned(bundle, each) for path in references_in(body)}
    bodies = [each["resource"] for each in objects(bundle, "entry") if isinstance(each.get("resource"), dict)]
    masters = [each for each in bodies if each.get("resourceType") in ORDER]
    named |= {path for each in masters if _path(each) in named for path in references_in(each)}
    plain = [{name: value for name, value in each.items() if name not in LEFT_OUT} for each in masters]
    return sorted((each for each in plain if _path(each) in named), key=_rank)


def unplaced(body: Json) -> Json:
    """A resource as another node keeps it: the Slots of an Appointment stay where they are."""
    return {name: value for name, value in body.items() if name != "slot"}


def _rank(body: Body) -> tuple[int, str]:
    return ORDER.index(body["resourceType"]), str(body.get("id"))


def _path(body: Body) -> str:
    return f"{body.get('resourceType')}/{body.get('id')}"


def _about(body: Body) -> set[str]:
    if body.get("resourceType") == "ServiceRequest":
        return {_path(body)}
    return {path_of(body.get("focus")), *map(path_of, objects(body, "basedOn"))}


def is_sent(task: Body) -> bool:
    """Whether the node of the hub has a Task."""
    return any(words.extensions(task, words.SENT))
