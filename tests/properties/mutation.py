"""Damage done to resources, by a seed: to their bytes, and to the tree that the bytes mean."""

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any


def nested(levels: int) -> Any:
    """Extensions in extensions, legal but for what the innermost lacks."""
    return {"url": "http://a", "extension": [nested(levels - 1)]} if levels else {"url": "http://a"}


DEEP = [nested(25)]
TOO_DEEP = [nested(40)]

LONG = "x" * 70_000

PIECES = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u0000", b"\\ud800", b"\\u0065", b"\0", b"\xff", b"\xc3",
    b"\xef\xbb\xbf", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0", b"1.10", b"1E-400", b"0x1", b"9" * 400,
    b"//", b"/**/", b"'", b'"id":"x",', b'"meta":{},', b'"resourceType":"Patient",', b'"extension":[{"url":"a"}],',
    b'"":"",', b"\n", b"\r", b"\xc2\xa0", b"<", b"&nbsp;", b"<div>", b"<script>", b"[" * 300, b'{"a":' * 100,
]  # fmt: skip

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e-9, 1e308, 2**31, 2**63, 10**30, "", " ", "a", "\t", "é", "\U0001f600",
    "\x7f\x85", "\ufffe", "\u202e", "1", "true", "2020-02-30", "2020-13", "9999-12-31T24:00:00Z", "0000",
    "10000-01-01", "25:61:61", "T", "2015-02-07T13:28:17.239999999999999999+14:01", "urn:oid:9.9", "urn:uuid:", "#",
    "#a", "Patient/", "Patient/1/_history/", "http://", "http://[::1", "http://a b", "%", "Patient?x=%zz", "|",
    "http://hl7.org/fhir/StructureDefinition/Patient|9", "====", "AAA", "AA==AA==", "<div>",
    '<div xmlns="http://www.w3.org/1999/xhtml"><p></div>', "<!DOCTYPE x><div/>", "&&&;", "a" * 65, LONG,
    "$this.where(", "(a+)+$", "{}", "[]", [], {}, [None], [[]], [{}], {"": ""}, {"a": None}, DEEP, TOO_DEEP,
    {"resourceType": "Patient"}, {"resourceType": 1}, {"resourceType": "Patent"}, {"reference": "#x"},
    {"reference": 1}, {"extension": []},
    {"extension": [{"url": "a", "valueString": "b", "extension": [{"url": "c"}]}]}, {"id": ["a"]},
    {"value": "1.0", "code": "m", "system": "http://unitsofmeasure.org"}, {"coding": [{"system": 1, "code": {}}]},
    {"system": "http://unitsofmeasure.org", "code": "((((m", "value": 1}, {"start": "2020", "end": "2019"},
    {"div": "<div/>"},
]  # fmt: skip

NAMES = [
    "", "id", "_id", "meta", "text", "div", "extension", "modifierExtension", "contained", "resourceType",
    "_resourceType", "url", "reference", "value", "valueString", "_valueString", "valueQuantity", "value[x]",
    "identifier", "code", "entry", "resource", "fullUrl", "fhir_comments", "__proto__", "__class__", "constructor",
    "$ref", "a.b", "a[0]", "é", "\x7f",
]  # fmt: skip

Place = tuple[Any, Any]
"""An object or array, and the key or index of one value in it."""


def places(body: Any) -> list[Place]:
    """Every place in the tree that holds a value."""
    found: list[Place] = []
    waiting = [body]
    while waiting:
        holder = waiting.pop()
        for step in list(holder) if isinstance(holder, dict) else range(len(holder)):
            found.append((holder, step))
            if isinstance(holder[step], dict | list):
                waiting.append(holder[step])
    return found


def _replace(rng: random.Random, all_places: list[Place], _donor: Any) -> None:
    holder, step = rng.choice(all_places)
    holder[step] = copy.deepcopy(rng.choice(VALUES))


def _delete(rng: random.Random, all_places: list[Place], _donor: Any) -> None:
    holder, step = rng.choice(all_places)
    del holder[step]


def _rename(rng: random.Random, all_places: list[Place], donor: Any) -> None:
    holder, step = rng.choice(all_places)
    if not isinstance(holder, dict):
        return _replace(rng, all_places, donor)
    spellings = [
        rng.choice(NAMES),
        f"_{step}",
        step.removeprefix("_"),
        f"{step}x",
        step[:-1],
        step.swapcase(),
        f"{step}String",
    ]
    holder[rng.choice(spellings)] = holder.pop(step)
    return None


def _insert(rng: random.Random, all_places: list[Place], _donor: Any) -> None:
    holder, step = rng.choice(all_places)
    value = copy.deepcopy(rng.choice(VALUES))
    if isinstance(holder, list):
        holder.insert(step, value)
    else:
        holder[rng.choice([*NAMES, f"_{step}"])] = value


def _swap(rng: random.Random, all_places: list[Place], _donor: Any) -> None:
    (holder, step), (other, place) = rng.choice(all_places), rng.choice(all_places)
    holder[step], other[place] = copy.deepcopy(other[place]), copy.deepcopy(holder[step])


def _wrap(rng: random.Random, all_places: list[Place], _donor: Any) -> None:
    holder, step = rng.choice(all_places)
    value = holder[step]
    if isinstance(value, list) and len(value) == 1 and rng.random() < 0.5:
        holder[step] = value[0]
    else:
        holder[step] = rng.choice([[value], [value, value], [value] * 50, {"value": value}, str(value)[:1000]])


def _graft(rng: random.Random, all_places: list[Place], donor: Any) -> None:
    holder, step = rng.choice(all_places)
    source, place = rng.choice(places(donor))
    holder[step] = copy.deepcopy(rng.choice([donor, source, source[place]]))


TREE_DAMAGE: Sequence[Callable[[random.Random, list[Place], Any], None]] = (
    _replace, _replace, _delete, _rename, _insert, _insert, _swap, _wrap, _graft,
)  # fmt: skip


def damaged_tree(rng: random.Random, raw: bytes, donor: bytes) -> bytes:
    """The text of a resource with one to four changes to what it holds, some of them taken from another resource."""
    body, other = json.loads(raw), json.loads(donor)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if found := places(body):
            rng.choice(TREE_DAMAGE)(rng, found, other)
    return json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def damaged_bytes(rng: random.Random, raw: bytes, donor: bytes) -> bytes:
    """The bytes of a resource with one to four changes, blind to what they mean."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(raw) + 1)
        end = min(len(raw), start + rng.choice((0, 1, 1, 2, 5, 40, 400)))
        from_donor = donor[(at := rng.randrange(len(donor))) : at + rng.choice((1, 5, 50))]
        middle = rng.choice((b"", rng.choice(PIECES), bytes([rng.randrange(256)]), raw[start:end] * 2, from_donor))
        raw = raw[:start] if rng.random() < 0.03 else raw[:start] + middle + raw[end:]
    return raw


def damaged(rng: random.Random, raw: bytes, donor: bytes) -> bytes:
    """The resource, damaged in one of the two ways."""
    return (damaged_tree if rng.random() < 0.6 else damaged_bytes)(rng, raw, donor)
