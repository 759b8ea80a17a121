"""Parts of a resource: `_summary` and `_elements`, marked as such (FHIR R4, 3.1.1.5.8 summary, 3.1.1.5.9 elements)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from fhir_server.definitions.datatype import Member
from fhir_server.definitions.registry import Definitions
from fhir_server.resource.exact import dump_exact, may_lose, parse_exact
from fhir_server.resource.parsing import Limits, parse
from fhir_server.rest.representation import Representation

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
ALWAYS = frozenset({"resourceType", "id", "meta"})
NO_LIMITS = Limits(depth=1000, keys=2**40, string=2**40)
Keep = Callable[[str, Member], bool]


def read_stored(raw: bytes) -> dict[str, Any]:
    """Return a stored resource so that `dump_exact` writes its values as they were sent."""
    return parse_exact(raw, NO_LIMITS) if may_lose(raw) else parse(raw, NO_LIMITS)


def part(raw: bytes, form: Representation, definitions: Definitions) -> bytes:
    """Return the JSON of the part of a resource that a representation asks for."""
    body = read_stored(raw)
    if not definitions.has_type(body["resourceType"]):
        return raw
    kept = subset(body, form.summary, form.elements, definitions)
    tags = [*(body.get("meta") or {}).get("tag", ()), SUBSETTED]
    return dump_exact({"resourceType": body["resourceType"], **_with_meta(kept, body, tags)})


def subset(body: dict[str, Any], summary: str, elements: Collection[str], definitions: Definitions) -> dict[str, Any]:
    """Return the members of a resource that belong to a summary, or to the elements named."""
    kind = body["resourceType"]
    if summary == "true":
        return _summarised(body, kind, definitions)
    if summary == "text":
        return _kept(body, kind, definitions, lambda name, member: name == "text" or is_mandatory(member))
    if summary == "data":
        return {key: value for key, value in body.items() if key not in ("text", "_text")}
    named = {name.removeprefix(f"{kind}.").partition(".")[0] for name in elements}
    return _kept(
        body,
        kind,
        definitions,
        lambda name, member: name in named or is_mandatory(member) or member.element.is_modifier,
    )


def is_mandatory(member: Member) -> bool:
    """Whether a resource cannot be without the member."""
    return bool(member.min)


def is_modifier(member: Member) -> bool:
    """Whether the member can change what the rest of the resource means."""
    return member.element.is_modifier


def _with_meta(kept: dict[str, Any], body: dict[str, Any], tags: list[Any]) -> dict[str, Any]:
    meta = {**(body.get("meta") or {}), "tag": tags}
    identity = {"id": body["id"]} if "id" in body else {}
    return {**identity, "meta": meta, **{k: v for k, v in kept.items() if k not in ALWAYS}}


def _kept(body: dict[str, Any], kind: str, definitions: Definitions, keep: Keep) -> dict[str, Any]:
    members = definitions.type(kind).members
    found = {}
    for key, value in body.items():
        member = members.get(key.removeprefix("_"))
        if key in ALWAYS or (member is not None and keep(member.name, member)):
            found[key] = value
    return found


def _summarised(body: dict[str, Any], kind: str, definitions: Definitions) -> dict[str, Any]:
    members = definitions.type(kind).members
    found = {}
    for key, value in body.items():
        member = members.get(key.removeprefix("_"))
        if key in ALWAYS:
            found[key] = value
        elif member is not None and (member.element.is_summary or is_mandatory(member)):
            found[key] = _inner(value, member.type, definitions)
    return found


def _inner(value: Any, kind: str, definitions: Definitions) -> Any:
    """The value with the same rule applied to its members; those of data types are all there is of them."""
    if "." not in kind:
        return value
    if isinstance(value, list):
        return [_inner(item, kind, definitions) for item in value]
    return _summarised(value, kind, definitions) if isinstance(value, dict) else value
