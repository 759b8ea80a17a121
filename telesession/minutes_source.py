"""Where minutes to be verified are read from: a data folder, a FHIR server, a Bundle in a file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from fhir_server.errors import FhirError, Unavailable, Unprocessable
from fhir_server.resource.exact import parse_exact
from fhir_server.store.opening import Place, opened
from fhir_server.store.protocol import Scope
from telesession.gathering import NO_LIMITS
from telesession.minutes import DOCUMENT, MINUTES, is_minutes
from telesession.vocabulary import Json, objects, path_of

AT_ONCE = 1000
MOST_PAGES = 100_000
SECONDS = 60.0
SEARCH = f"Composition?type={DOCUMENT}|{MINUTES}&_revinclude=Provenance:target&_count=100"


@dataclass(slots=True)
class Found:
    """Minutes as they are now and their Provenances, by the ids of the minutes; former versions by id and number."""

    minutes: dict[str, Json] = field(default_factory=dict)
    trails: dict[str, dict[str, Json]] = field(default_factory=dict)
    former: dict[tuple[str, str], Json] = field(default_factory=dict)

    def take(self, body: Json) -> None:
        """Take in a resource; what is neither minutes nor about some is left out."""
        kind, identity = body.get("resourceType"), str(body.get("id", ""))
        if kind == "Composition" and is_minutes(body):
            self.minutes[identity] = body
        elif kind == "Provenance":
            for path in map(path_of, objects(body, "target")):
                named, _, version = path.partition("/_history/")
                if "Composition/" in named:
                    self.trails.setdefault(named.rpartition("/")[2], {})[identity or version] = body

    def trails_of(self, identity: str) -> Sequence[Json]:
        """The Provenances about minutes."""
        return list(self.trails.get(identity, {}).values())


class Source(Protocol):
    """Where minutes are."""

    async def found(self) -> Found:
        """All minutes there, with their Provenances."""
        ...

    async def version(self, identity: str, number: str) -> Json | None:
        """A former version; None where there is none."""
        ...


class Bundled:
    """The resources of a Bundle, or one Composition, in a file of JSON; no former versions."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def found(self) -> Found:
        """All minutes there, with their Provenances."""
        body: Json = parse_exact(self._path.read_bytes(), NO_LIMITS)
        return _taken(entries_of(body) if body.get("resourceType") == "Bundle" else [body])

    async def version(self, _identity: str, _number: str) -> Json | None:
        """None: a Bundle has no history."""
        return None


class Stored:
    """A store, read in the order of its commits."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def found(self) -> Found:
        """All minutes there, with their Provenances."""
        found = Found()
        store = await opened(self._place, time.time)
        try:
            for kind in ("Composition", "Provenance"):
                after = 0
                while versions := await store.history(Scope((kind,)), AT_ONCE, after=after):
                    after = versions[-1].place
                    for each in versions:
                        body: Json | None = None if each.body is None else parse_exact(each.body, NO_LIMITS)
                        if body is None:
                            found.minutes.pop(each.id, None)
                            continue
                        if kind == "Composition" and is_minutes(body):
                            found.former[each.id, str(each.version)] = body
                        found.take(body)
        finally:
            await store.close()
        self._former: Mapping[tuple[str, str], Json] = found.former
        return found

    async def version(self, identity: str, number: str) -> Json | None:
        """A former version; None where there is none."""
        return self._former.get((identity, number))


class Served:
    """A FHIR server; what its token may not see is not there."""

    def __init__(self, base: str, token: str = "") -> None:
        self._base = base.rstrip("/")
        self._headers = {"accept": "application/fhir+json"} | ({"authorization": f"Bearer {token}"} if token else {})

    async def found(self) -> Found:
        """All minutes there, with their Provenances; raise Unavailable where the server answers otherwise."""
        found, url = Found(), f"{self._base}/{SEARCH}"
        for _ in range(MOST_PAGES):
            page = await self._json(url)
            for body in entries_of(page):
                found.take(body)
            links = [each.get("url") for each in objects(page, "link") if each.get("relation") == "next"]
            if not links:
                break
            url = str(links[0])
            if urlsplit(url)[:2] != urlsplit(self._base)[:2]:
                # The token is for this server alone.
                raise Unavailable(f"{self._base} goes on at another server: {url[:200]}")
        return found

    async def version(self, identity: str, number: str) -> Json | None:
        """A former version; None where there is none."""
        try:
            return await self._json(f"{self._base}/Composition/{identity}/_history/{number}")
        except FhirError:
            return None

    async def _json(self, url: str) -> Json:
        try:
            async with httpx.AsyncClient(timeout=SECONDS, headers=self._headers) as client:
                answer = await client.get(url)
        except httpx.HTTPError as failure:
            raise Unavailable(f"{self._base} does not answer: {type(failure).__name__}.") from failure
        if answer.status_code != httpx.codes.OK:
            raise Unavailable(f"{self._base} answers {answer.status_code}.")
        body = parse_exact(answer.content, NO_LIMITS)
        if not isinstance(body, dict):
            raise Unprocessable(f"{self._base} does not answer with a resource.")
        return body


def entries_of(bundle: Json) -> Iterable[Json]:
    """The resources of a Bundle."""
    for each in objects(bundle, "entry"):
        body: Any = each.get("resource")
        if isinstance(body, dict):
            yield body


def _taken(bodies: Iterable[Json]) -> Found:
    found = Found()
    for body in bodies:
        found.take(body)
    return found
