"""The operation $bulk-publish: facilities and code lists as files that stay (Bulk Data 4.0, ballot).

A publication is a bulk export of these types under a name made of their last change and of who asks: it is made once,
and its files, which never get other content, are those of the export.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from fhir_server.bulk.wish import Wish, check_granted, moment_of, visible_types
from fhir_server.errors import FhirError, Unavailable
from fhir_server.jobs.folder import Job, Jobs
from fhir_server.repository.history import Window
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.failure import ScopeMissing
from fhir_server.rest.node import Node
from fhir_server.store.protocol import PLACES, Scope

TYPES = ("Organization", "Location", "HealthcareService", "CodeSystem", "ValueSet", "ConceptMap")
SECONDS_TO_WAIT = 10.0
SECONDS_BETWEEN = 0.02
JSON = b"application/json"

ManifestOf = Callable[[Job, Wish, Mapping[str, Any]], dict[str, Any]]


async def published(
    node: Node, exchange: Exchange, jobs: Jobs, wake: Callable[[], object], manifest_of: ManifestOf
) -> Reply:
    """Return the manifest of what is published to a caller, 304 where they have it.

    Raise ScopeMissing where none of it may be exported, Unavailable where it is still being made.
    """
    wish = await wish_of(node, exchange)
    job_id = _id(wish)
    etag = f'W/"{job_id}"'
    headers = [(b"etag", etag.encode()), (b"cache-control", b"private, no-cache")]
    if etag in (exchange.header(b"if-none-match") or ""):
        return Reply(304, headers=headers)
    with suppress(FileExistsError):  # there, or just being made by another request
        await asyncio.to_thread(jobs.begin, job_id, wish.as_json())
    wake()
    until = time.monotonic() + SECONDS_TO_WAIT
    while time.monotonic() < until:
        with suppress(FhirError):
            job = jobs.job(job_id)
            done = job.done()
            if done is not None and done["status"] == 200:
                return Reply(200, orjson.dumps(manifest_of(job, wish, done)), headers=headers, media_type=JSON)
            if done is not None:
                await asyncio.to_thread(job.remove)  # so that it is tried again for who asks again
                return Reply(done["status"], orjson.dumps(done["outcome"]))
        await asyncio.sleep(SECONDS_BETWEEN)
    raise Unavailable("The files are still being made: ask again in a moment.")


async def wish_of(node: Node, exchange: Exchange) -> Wish:
    """Return the export that a publication is: the types that the caller may export, as of their last change."""
    types = await visible_types(node, _granted(exchange), named=False)
    last = await node.repository.versions(Scope(types), Window(), 1)
    place = last[0].place if last else 0
    moment = moment_of(last[0].at if last else 0, place // PLACES)
    asked = f"{exchange.base}/$bulk-publish"
    return Wish(asked=asked, moment=moment, types=types, before=place + 1, caller=exchange.caller)


def _granted(exchange: Exchange) -> tuple[str, ...]:
    found = []
    for kind in TYPES:
        with suppress(ScopeMissing):
            check_granted(exchange.caller, (kind,))
            found.append(kind)
    if not found:
        check_granted(exchange.caller, TYPES[:1])
    return tuple(found)


def _id(wish: Wish) -> str:
    caller = wish.caller
    who = [caller.kind, caller.subject, sorted(caller.organizations), sorted(caller.roles), caller.scopes.text]
    return str(uuid5(NAMESPACE_URL, orjson.dumps([who, wish.types, wish.before]).decode()))
