"""Which code system, value set or concept map an operation is about (FHIR R4, 4.7.3 to 4.10 terminology operations)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Invalid, Issue, NotFound
from fhir_server.resource.parsing import parse
from fhir_server.rest.argument import Arguments
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.failure import nearest
from fhir_server.rest.node import Node
from fhir_server.terminology.knowledge import Knowledge

About = tuple[Knowledge, str | None]
"""What to answer from, and the canonical that is asked about, None where none is named."""


async def about(node: Node, exchange: Exchange, arguments: Arguments, sent_as: str, version_as: str) -> About:
    """Return what is asked about: the instance of the URL, a resource sent along, or a canonical.

    `sent_as` and `version_as` are the parameters that hold a resource and a version. Raise Invalid where several are
    named at once, NotFound for an instance that is neither stored nor one of the core.
    """
    knowledge = node.knowledge
    sent, url, context = arguments.resource(sent_as), arguments.text("url"), arguments.text("context")
    if sum((bool(exchange.id), sent is not None, url is not None, context is not None)) > 1:
        text = f"Name one thing only: by the URL of an instance, by the parameter url, by context or by {sent_as}."
        raise Invalid(Issue("error", "invalid", text))
    if context is not None:
        return knowledge, bound_to(knowledge.definitions, context)
    if exchange.id:
        return await _of_instance(node, exchange)
    if sent is not None:
        return knowledge.with_resource(sent)
    version = arguments.text(version_as)
    return knowledge, f"{url}|{version}" if url and version and "|" not in url else url


def bound_to(definitions: Definitions, context: str) -> str:
    """Return the value set that an element is bound to; raise NotFound, or Invalid for an element without a binding.

    `context` is written `[StructureDefinition]#[path, id or name of a slice]` (OperationDefinition/ValueSet-expand).
    """
    url, _, wanted = context.partition("#")
    structure = definitions.structure(url)
    if structure is None:
        raise NotFound(f"The context {context[:200]!r} begins with no profile or type that is known here.")
    wanted = wanted or f"{structure.type}.value[x]"
    found = [each for each in structure.elements if wanted in (each.id, each.path, each.slice_name)]
    if not found:
        known = (each.path for each in structure.elements)
        raise NotFound(f"{structure.url} has no element {wanted[:100]!r}.{nearest(wanted, known)}")
    for element in found:
        if element.binding is not None:
            return element.binding.value_set
    raise Invalid(Issue("error", "invalid", f"The context {context[:200]!r} is an element without a value set."))


async def _of_instance(node: Node, exchange: Exchange) -> About:
    knowledge = node.knowledge
    try:
        version = await node.repository.read(exchange.type, exchange.id)
    except NotFound:
        core = knowledge.core_canonical(exchange.type, exchange.id)
        if core is None:
            raise
        return knowledge, core
    return known(knowledge, parse(version.body or b""))


def known(knowledge: Knowledge, resource: Mapping[str, Any]) -> About:
    """Return the canonical of a stored resource where the definitions have it, else the definitions with it."""
    url, version = resource.get("url"), resource.get("version")
    if url:
        found = knowledge.definitions.shelves[resource["resourceType"]].find(f"{url}|{version}" if version else url)
        if found is not None and found.version == version:
            return knowledge, f"{url}|{version}" if version else url
    return knowledge.with_resource(resource)


def languages_in(arguments: Arguments, exchange: Exchange) -> Sequence[str]:
    """Return the languages that displays are wanted in, the best first: by displayLanguage, or by Accept-Language."""
    stated = arguments.text("displayLanguage") or exchange.header(b"accept-language") or ""
    ranked = sorted(map(_ranked, stated[:200].split(",")), key=lambda each: -each[0])
    return tuple(tag for quality, tag in ranked if tag and tag != "*" and quality > 0)


def _ranked(text: str) -> tuple[float, str]:
    tag, _, rest = text.partition(";")
    try:
        return float(rest.partition("q=")[2] or 1), tag.strip()
    except ValueError:
        return 1.0, tag.strip()
