"""Finding the resources of a consultation, and storing what became of them: all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from fhir_server.access.caller import LOCAL
from fhir_server.access.label import label_from
from fhir_server.errors import NotFound
from fhir_server.repository.repository import Repository
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Saved, Write
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.parsing import Limits, parse
from fhir_server.rest.node import Node
from telesession.case import Case
from telesession.vocabulary import Json, objects, path_of

NO_LIMITS = Limits(depth=1000, keys=2**40, string=2**40)
MOST = 200
"""Of each type; a conference has 30 sites at most."""
MOST_FOUND = 500
SEARCHED = (("Task", "focus"), ("Appointment", "based-on"), ("Encounter", "based-on"))


def of_server(node: Node, facilities: Sequence[str] = ()) -> Repository:
    """All resources, as the server itself reads and writes them for these facilities."""
    return node.repository.as_(replace(LOCAL, organizations=tuple(facilities)))


async def gathered(node: Node, request: str, slots: Iterable[str] = ()) -> Case:
    """The case of a ServiceRequest with the Slots of its Appointments and these; raise NotFound."""
    repository = of_server(node)
    version = await repository.read("ServiceRequest", request)
    case = Case(request, facilities=label_from(version.label).owners if version.label else ())
    case.take(parse_exact(version.body or b"", NO_LIMITS))
    for kind, parameter in SEARCHED:
        query = repository.query((kind,), [(parameter, f"ServiceRequest/{request}")])
        page = await repository.page(query.plan, MOST)
        for found in sorted(page.matches, key=lambda each: each.place):
            case.take(parse_exact(found.body or b"", NO_LIMITS))
    taken = [path_of(slot) for each in case.of("Appointment") for slot in objects(each, "slot")]
    for path in dict.fromkeys((*taken, *slots)):
        kind, _, resource_id = path.partition("/")
        with suppress(NotFound):
            if kind == "Slot":
                found = await repository.read(kind, resource_id)
                case.take(parse_exact(found.body or b"", NO_LIMITS))
    return case


async def stored(node: Node, case: Case, others: Sequence[Write] = ()) -> list[Saved]:
    """Store what changed of a case, and other writes; raise PreconditionFailed where somebody else was first."""
    writes = [write_of(case, body) for body in case.changed()]
    return await of_server(node, case.owners()).write([*writes, *others]) if writes or others else []


def write_of(case: Case, body: Json) -> Write:
    """The write of a resource of a case: on what was found, or as a new one."""
    key = body["resourceType"], body["id"]
    former = case.found.get(key)
    if former is None:
        return Write("PUT", *key, sent=sent_of(body), unless_exists=True)
    meta = former.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return Write("PUT", *key, sent=sent_of(body), match=(int(str(version)),))


def sent_of(body: Json) -> Sent:
    """A resource as what is to be stored."""
    raw = dump_exact(body)
    return Sent(parse(raw, NO_LIMITS), raw, members_counted=True)


class Unwatched:
    """What is stored, for who writes nothing."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    async def read(self, kind: str, resource_id: str) -> Json | None:
        """A resource; None where there is none."""
        try:
            found = await self._repository.read(kind, resource_id)
        except NotFound:
            return None
        return parse(found.body or b"", NO_LIMITS)

    async def owners(self, _kind: str, _resource_id: str) -> tuple[str, ...]:
        """Whose it is, which nobody asks who writes nothing."""
        return ()

    async def found(self, kind: str, pairs: Sequence[tuple[str, str]], most: int = MOST_FOUND) -> list[Json]:
        """What a search finds."""
        return await found_by(self._repository, kind, pairs, most)

    async def identities(self) -> frozenset[str]:
        """Who asks, which is the server."""
        return frozenset()


async def found_by(
    repository: Repository, kind: str, pairs: Sequence[tuple[str, str]], most: int = MOST_FOUND
) -> list[Json]:
    """What a search finds, up to a number."""
    page = await repository.page(repository.query((kind,), pairs).plan, most)
    return [parse(version.body or b"", NO_LIMITS) for version in page.matches]
