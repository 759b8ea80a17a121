"""The versions of a resource, a type or everything, the latest first (FHIR R4, 3.1.0.10 history)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.errors import Gone, Invalid, Issue, NotFound, Unsupported
from fhir_server.repository.history import Window
from fhir_server.resource.reference import Reference, parse_reference
from fhir_server.rest.bundle import bundle, link, version_entry
from fhir_server.rest.condition import GENERAL
from fhir_server.rest.cursor import PARAMETER as CURSOR
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.failure import nearest
from fhir_server.rest.linked import REFERENCES
from fhir_server.rest.node import Node
from fhir_server.rest.subset import part
from fhir_server.store.protocol import Scope, Version

PARAMETERS = ("_count", "_since", "_at", "_list", CURSOR)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which versions are asked for: how many on a page, and since or at which time."""

    applied: tuple[tuple[str, str], ...]
    count: int
    since: str | None = None
    at: str | None = None
    cursor: str | None = None
    listed: str | None = None


async def history(node: Node, exchange: Exchange) -> Reply:
    """Answer with a page of versions."""
    asked = asked_of(node, exchange)
    path = "/".join(exchange.path)
    about = link("", path, asked.applied)
    before = None if asked.cursor is None else int(node.cursors.read(asked.cursor, about))
    scope = Scope((exchange.type,) if exchange.type else (), exchange.id or None)
    if exchange.id and not await node.repository.versions(scope, Window(), 1):
        raise NotFound(f"There is no {exchange.type}/{exchange.id}.")
    window = await node.repository.window(asked.since, asked.at, before)
    if asked.listed is None:
        found = await node.repository.versions(scope, window, asked.count + 1)
    else:
        found = await versions_listed(node, exchange.base, asked.listed, scope, window)
    shown = found[: asked.count]
    links = [("self", link(exchange.base, path, asked.applied))]
    if len(found) > asked.count:
        cursor = node.cursors.sign(str(shown[-1].place if shown else found[0].place + 1), about)
        links.append(("next", link(exchange.base, path, [*asked.applied, (CURSOR, cursor)])))
    entries = (entry(node, exchange, version) for version in shown)
    return Reply(200, bundle("history", entries, links=links, total=total(asked, exchange, found), at=window.at))


async def versions_listed(node: Node, base: str, listed: str, scope: Scope, window: Window) -> Sequence[Version]:
    """Return the versions in a window that a List refers to, the latest first (FHIR R4, 3.1.0.10 _list).

    A reference without a version is to the current one. Raise NotFound or Gone for the List itself.
    """
    if listed.startswith("$"):
        raise Unsupported(f"The functional list {listed[:100]} is not kept here; name the id of a List.")
    stored = await node.repository.read("List", listed.removeprefix("List/"))
    found: dict[int, Version] = {}
    for text in REFERENCES(stored.body or b""):
        reference = parse_reference(text.decode())
        is_own = reference.base in (None, base) and reference.type in node.definitions.resource_types
        if not is_own or reference.type is None or reference.id is None:
            continue
        if (scope.types and reference.type not in scope.types) or scope.id not in (None, reference.id):
            continue
        version = await _version_named(node, reference)
        if version is not None and window.after < version.place < (window.before or version.place + 1):
            found[version.place] = version
    return [found[place] for place in sorted(found, reverse=True)]


async def _version_named(node: Node, reference: Reference) -> Version | None:
    kind, resource_id, number = str(reference.type), str(reference.id), reference.version
    try:
        if number is None:
            return await node.repository.read(kind, resource_id)
        return await node.repository.version(kind, resource_id, int(number)) if number.isdecimal() else None
    except (NotFound, Gone):
        return None


def entry(node: Node, exchange: Exchange, version: Version) -> bytes:
    """Return a version as an entry, in part where that is asked for."""
    body = version.body
    if body is not None and exchange.representation.is_part:
        body = part(body, exchange.representation, node.definitions)
    return version_entry(exchange.base, version, body)


def total(asked: Asked, exchange: Exchange, found: Sequence[Version]) -> int | None:
    """How many versions there are, where that is known without counting: versions of one resource are numbered."""
    if asked.listed is not None:
        return None if asked.cursor else len(found)
    whole = exchange.id and found and asked.since is None and asked.at is None and asked.cursor is None
    return found[0].version if whole else None


def asked_of(node: Node, exchange: Exchange) -> Asked:
    """Return what the parameters ask for; raise Invalid for one that is unknown or wrong."""
    values: dict[str, str] = {}
    for name, value in exchange.pairs:
        if name in PARAMETERS:
            values[name] = value
        elif name not in GENERAL and not exchange.preference.lenient:
            raise Invalid(f"History has no parameter {name[:80]!r}.{nearest(name, PARAMETERS)}")
    count = values.get("_count", str(node.settings.page_entries))
    if not (count.isascii() and count.isdigit() and len(count) < 10):
        raise Invalid(Issue("error", "value", f"_count is a number of versions, not {count[:40]!r}."))
    if "_list" in values and "_at" in values:
        raise Unsupported("History takes _list or _at, not both: a List says itself which versions are meant.")
    applied = tuple(pair for pair in exchange.pairs if pair[0] in values and pair[0] != CURSOR)
    most = min(int(count), node.settings.largest_page_entries)
    return Asked(applied, most, values.get("_since"), values.get("_at"), values.get(CURSOR), values.get("_list"))
