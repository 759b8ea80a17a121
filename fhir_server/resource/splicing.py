"""Stored bytes: those received, with the server's id and meta in them (FHIR R4, 2.26.3.3 id; 2.26.3.7 meta)."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from fhir_server.errors import Invalid, Issue

_Span = tuple[int, int]

_FRONT = re.compile(
    r'[ \t\r\n]*\{[ \t\r\n]*"resourceType"[ \t\r\n]*:[ \t\r\n]*"[A-Za-z]+"()'
    r'(?:[ \t\r\n]*,[ \t\r\n]*"id"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*"))?'
    r'(?:[ \t\r\n]*,[ \t\r\n]*"meta"[ \t\r\n]*:[ \t\r\n]*())?'
).match
_NAME = re.compile(r'[ \t\r\n,{]*("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\r\n]*:[ \t\r\n]*').match
_read_value = json.JSONDecoder().raw_decode


class _Places(NamedTuple):
    """Where in a resource's text its type ends, and where the values of id and meta are, if it has them."""

    type_end: int
    id: _Span | None
    meta: _Span | None


def splice(raw: bytes, body: dict[str, Any], resource_id: str, meta: bytes) -> bytes:
    """Return `raw` with id and meta set: their values replaced where they stand, or else put behind resourceType.

    `raw` is JSON that `parse` has read as `body`, without repeated members. Everything else stays as sent.
    """
    text = raw.decode()
    return _joined(text, _places(text, body), resource_id, meta.decode())


def stamp(raw: bytes, body: dict[str, Any], resource_id: str, version_id: str, last_updated: str) -> bytes:
    """Return `raw` with id, meta.versionId and meta.lastUpdated set; what else the client's meta has stays as sent."""
    text = raw.decode()
    places = _places(text, body)
    version, updated = orjson.dumps(version_id).decode(), orjson.dumps(last_updated).decode()
    meta = f'{{"versionId":{version},"lastUpdated":{updated}}}'
    if places.meta is not None:
        meta = _stamped(text[slice(*places.meta)], body["meta"], version, updated)
    return _joined(text, places, resource_id, meta)


def _stamped(text: str, meta: Any, version: str, updated: str) -> str:
    refuse_no_object(meta)
    if "versionId" not in meta and "lastUpdated" not in meta:
        return f'{{"versionId":{version},"lastUpdated":{updated}{"," if meta else ""}{text[1:]}'
    members = [f'"versionId":{version}', f'"lastUpdated":{updated}']
    members += [text[start:end] for name, start, _, end in _members(text) if name not in ("versionId", "lastUpdated")]
    return f"{{{','.join(members)}}}"


def refuse_no_object(meta: Any) -> None:
    """Raise Invalid for a meta that is no JSON object."""
    if type(meta) is not dict:
        raise Invalid(Issue("error", "structure", "meta must be a JSON object.", ("meta",)))


def _joined(text: str, places: _Places, resource_id: str, meta: str) -> bytes:
    identity = orjson.dumps(resource_id).decode()
    after_id = places.id[1] if places.id else places.type_end
    edits = [
        (*places.id, identity) if places.id else (after_id, after_id, f',"id":{identity}'),
        (*places.meta, meta) if places.meta else (after_id, after_id, f',"meta":{meta}'),
    ]
    (start, end, first), (next_start, next_end, second) = edits if edits[0][0] <= edits[1][0] else reversed(edits)
    return f"{text[:start]}{first}{text[end:next_start]}{second}{text[next_end:]}".encode()


def _places(text: str, body: dict[str, Any]) -> _Places:
    return _places_in_front(text, body) or _places_by_walk(text)


def _places_in_front(text: str, body: dict[str, Any]) -> _Places | None:
    """Where id follows resourceType, as nearly always, and meta is at once found: None where it needs a walk."""
    front = _FRONT(text)
    if front is None or (front[2] is None) == ("id" in body):
        return None
    meta = None
    if "meta" in body:
        start = front.end() if front[3] is not None else _only_meta(text)
        if start is None:
            return None
        meta = start, _read_value(text, start)[1]
    return _Places(front.end(1), front.span(2) if front[2] else None, meta)


def _only_meta(text: str) -> int | None:
    # If meta is not spelled with an escape and its name in quotes appears once, that once is the member: within a
    # string the quote behind it would be escaped, and an element's own "meta" would be a second one.
    if text.count('"meta"') != 1 or "\\u" in text:
        return None
    name = _NAME(text, text.index('"meta"'))
    return name.end() if name else None


def _places_by_walk(text: str) -> _Places:
    spans = {name: (start, end) for name, _, start, end in _members(text)}
    return _Places(spans["resourceType"][1], spans.get("id"), spans.get("meta"))


def _members(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield each member of the object: its name, where the member starts, and where its value starts and ends."""
    end = 0
    while name := _NAME(text, end):
        end = _read_value(text, name.end())[1]
        yield json.loads(name[1]), name.start(1), name.end(), end
