"""Search done slowly: FHIRPath selects the values of every resource, and each is compared as the standard's words say.

Nothing here knows of index rows. Folding and dates are those of the naive conversion that extraction is held against.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from fhir_server import ucum
from fhir_server.definitions.registry import Definitions
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.environment import ReferencedTypes
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.syntax import text
from fhir_server.search.parameters import Parameter, Parameters
from tests.conformance.naive_rows import EVER, UNIT_SYSTEM, covered, folded

Json = Any
Item = tuple[str, Json]
Match = Callable[[str, Json, Json], bool]
"""Whether a value matches: its type, the value, and the resource that it is in."""

OWN = "http://own/fhir"
PHONE_SYSTEMS = ("phone", "fax", "sms", "pager")


class World:
    """All resources by type and id, and the values that their parameters select."""

    def __init__(self, definitions: Definitions, parameters: Parameters, resources: list[Json]) -> None:
        self.definitions = definitions
        self.parameters = parameters
        self.resources = {(r["resourceType"], r["id"]): r for r in resources}
        self.engine = Engine(definitions)
        self.environment = ReferencedTypes(definitions.resource_types)
        self._items: dict[tuple[int, str], list[Item]] = {}
        self._containers: dict[str, Json] = {}

    def of_type(self, kind: str) -> list[Json]:
        return [r for (name, _), r in self.resources.items() if name == kind]

    def select(self, expression: str, start: str | None, value: Any, resource: Json) -> list[Any]:
        compiled = self.engine.compile(expression, start, strict=False)
        return list(compiled.evaluate(value, resource=resource, environment=self.environment))

    def items(self, resource: Json, parameter: Parameter) -> list[Item]:
        """Type and value of everything that a parameter selects; of a composite, its bases."""
        key = (parameter.number, resource["id"])
        if key not in self._items:
            assert parameter.expression is not None
            whole = self._containers.get(resource["id"], resource)
            found = self.select(text(parameter.expression), parameter.resource_type, resource, whole)
            self._items[key] = [self.item(one) for one in found]
        return self._items[key]

    def pointed(self, resource: Json, value: Json, kind: str) -> Json | None:
        """The resource of a type that a reference leads to, here or in the same container."""
        there = target(resource, value)
        if not there.startswith("#"):
            return self.resources.get((kind, there.removeprefix(f"{kind}/"))) if there.startswith(f"{kind}/") else None
        whole: Json = self._containers.get(resource["id"], resource)
        for inner in whole.get("contained", ()):
            if inner.get("id") == there[1:] and inner["resourceType"] == kind:
                name = f"{whole['resourceType']}/{whole['id']}{there}"
                self._containers[name] = whole
                return {**inner, "id": name}
        return None

    def item(self, one: Any) -> Item:
        if not isinstance(one, Node):
            return {bool: "boolean", str: "string", int: "integer"}.get(type(one), "decimal"), one
        if one.type == "Extension":
            key = next(key for key in one.value if key.startswith("value"))
            return key[5:], one.value[key]
        return one.type, one.value

    def parts(self, base: Item, parameter: Parameter, resource: Json) -> list[list[Item]]:
        """For each component of a composite what it selects below one base."""
        found = []
        for component in parameter.components:
            node = Node(base[1], base[0])
            selected = self.select(text(component.expression), None, node, resource)
            found.append([self.item(one) for one in selected])
        return found

    def heeds_case(self, system: str) -> bool:
        known = self.definitions.code_system(system)
        return system == UNIT_SYSTEM or (known is not None and known.case_sensitive)


# ---- tokens


def token(world: World, system: str | None, code: str) -> Match:
    def match(name: str, value: Json, resource: Json) -> bool:
        return any(
            same_code(world, code, held, held_system, as_sent=name in ("Identifier", "ContactPoint", "id", "uri"))
            and system in (None, held_system)
            for held_system, held in codes(name, value)
        )

    return match


def same_code(world: World, asked: str, held: str | None, system: str, *, as_sent: bool) -> bool:
    if not asked:
        return True
    if held is None:
        return False
    return held == asked or (not as_sent and not world.heeds_case(system) and held.casefold() == asked.casefold())


def codes(name: str, value: Json) -> Iterator[tuple[str, str | None]]:
    """System and code of what a token parameter can select; several forms of a contact."""
    if name == "CodeableConcept":
        yield from ((c.get("system", ""), c.get("code")) for c in value.get("coding", ()))
    elif name == "Coding":
        yield value.get("system", ""), value.get("code")
    elif name == "Identifier":
        yield value.get("system", ""), value.get("value")
    elif name == "ContactPoint":
        sent = value.get("value")
        yield "", sent
        if sent and value.get("system") in PHONE_SYSTEMS:
            yield "", re.sub(r"[\s().\-/]+", "", sent)
        elif sent and value.get("system") == "email":
            yield "", sent.casefold()
    elif isinstance(value, bool):
        yield "", str(value).lower()
    elif isinstance(value, str):
        yield "", value


def displayed(prefix: str) -> Match:
    def match(name: str, value: Json, resource: Json) -> bool:
        texts = []
        if name == "CodeableConcept":
            texts = [value.get("text"), *(c.get("display") for c in value.get("coding", ()))]
        elif name == "Coding":
            texts = [value.get("display")]
        elif name == "Identifier":
            texts = [value.get("type", {}).get("text")]
        return any(folded(one).startswith(folded(prefix)) for one in texts if one)

    return match


def of_type(system: str, code: str, number: str) -> Match:
    def match(name: str, value: Json, resource: Json) -> bool:
        kinds = value.get("type", {}).get("coding", ()) if name == "Identifier" else ()
        return (
            name == "Identifier"
            and value.get("value") == number
            and any((c.get("system", ""), c.get("code")) == (system, code) for c in kinds)
        )

    return match


# ---- strings


def strings(name: str, value: Json) -> Iterator[tuple[str, bool]]:
    """Each text, and whether its later words count on their own."""
    if name == "HumanName":
        yield from ((value[key], True) for key in ("text", "family") if key in value)
        yield from ((one, False) for key in ("given", "prefix", "suffix") for one in value.get(key, ()) if one)
    elif name == "Address":
        keys = ("text", "city", "district", "state", "postalCode", "country")
        yield from ((value[key], False) for key in keys if key in value)
        yield from ((one, False) for one in value.get("line", ()) if one)
    elif isinstance(value, str):
        yield value, False


def starting(prefix: str, *, by_word: bool) -> Match:
    asked = folded(prefix)

    def match(name: str, value: Json, resource: Json) -> bool:
        for one, has_words in strings(name, value):
            words = folded(one).split(" ") if one else []
            starts = range(len(words)) if has_words or by_word else range(min(1, len(words)))
            if any(" ".join(words[start:]).startswith(asked) for start in starts):
                return True
        return False

    return match


def containing(part: str) -> Match:
    return lambda name, value, resource: any(folded(part) in folded(one) for one, _ in strings(name, value))


def exactly(whole: str) -> Match:
    return lambda name, value, resource: any(one == whole for one, _ in strings(name, value))


# ---- dates, numbers, quantities


def covers(name: str, value: Json) -> tuple[int, int] | None:
    """The range [start, end) of a value."""
    if name in ("Period", "Timing"):
        spans = [covered(event) for event in value.get("event", ())]
        bounds = value if name == "Period" else value.get("repeat", {}).get("boundsPeriod", {})
        if "start" in bounds or "end" in bounds:
            start = covered(bounds["start"])[0] if "start" in bounds else -EVER
            spans.append((start, covered(bounds["end"])[1] if "end" in bounds else EVER))
        return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None
    if not isinstance(value, str):
        return None
    start, end = covered(value)
    return start, start + 1 if name == "instant" else end


def dated(prefix: str, asked: str, now: int) -> Match:
    start, end = covered(asked)
    gap = max(start - now, now - end, 0) // 10
    tests: Mapping[str, Callable[[int, int], bool]] = {
        "eq": lambda low, high: start <= low and high <= end,
        "ne": lambda low, high: not (start <= low and high <= end),
        "gt": lambda low, high: high > end,
        "lt": lambda low, high: low < start,
        "ge": lambda low, high: high > start,
        "le": lambda low, high: low < end,
        "sa": lambda low, high: low >= end,
        "eb": lambda low, high: high <= start,
        "ap": lambda low, high: low < end + gap and high > start - gap,
    }

    def match(name: str, value: Json, resource: Json) -> bool:
        found = covers(name, value)
        return found is not None and tests[prefix](*found)

    return match


def within(prefix: str, asked: str, low: Decimal, high: Decimal) -> bool:
    """Whether a range stands to a number as the prefix says."""
    value = Decimal(asked)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    half = Decimal(5).scaleb(exponent - 1)
    near = max(half, abs(value) / 10)
    answers = {
        "eq": value - half <= low and high < value + half,
        "ne": not (value - half <= low and high < value + half),
        "gt": high > value,
        "lt": low < value,
        "ge": high >= value,
        "le": low <= value,
        "sa": low > value,
        "eb": high < value,
        "ap": low <= value + near and high >= value - near,
    }
    return answers[prefix]


def numbered(prefix: str, asked: str) -> Match:
    def match(name: str, value: Json, resource: Json) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        held = Decimal(repr(value))
        return within(prefix, asked, held, held)

    return match


def measured(prefix: str, asked: str, system: str | None, code: str) -> Match:
    """A quantity or money; the others (ranges, sampled data) have tests of their own."""

    def match(name: str, value: Json, resource: Json) -> bool:
        if name == "Money":
            value = {**value, "code": value.get("currency", ""), "system": "urn:iso:std:iso:4217"}
        if not isinstance(value, dict) or "value" not in value or "comparator" in value:
            return False
        held, number = Decimal(repr(value["value"])), asked
        if system == UNIT_SYSTEM and (base := ucum.canonical(Decimal(1), code)):
            if value.get("system") != UNIT_SYSTEM:
                return False
            theirs = ucum.canonical(held, value.get("code", ""))
            back = ucum.convert(held, value["code"], code) if theirs and theirs[1] == base[1] else None
            return back is not None and within(prefix, number, back, back)
        if system and (value.get("system"), value.get("code")) != (system, code):
            return False
        if system == "" and code not in (value.get("code"), value.get("unit")):
            return False
        return within(prefix, number, held, held)

    return match


# ---- references and uris


def target(resource: Json, value: Json) -> str:
    """A reference as `Type/id` where it is to a resource here, else as sent; without a version."""
    return str(value.get("reference", "")).removeprefix(OWN + "/").partition("/_history/")[0]


def pointing(asked: str, only: str | None = None) -> Match:
    """To `Type/id`, to an id of any type, or to a URL."""

    def match(name: str, value: Json, resource: Json) -> bool:
        if name == "Reference":
            found = target(resource, value)
        elif name in ("canonical", "uri"):
            url, _, version = value.partition("#")[0].partition("|")
            asked_url, _, asked_version = asked.partition("|")
            return bool(url == asked_url and asked_version in ("", version))
        else:
            return False
        if only is not None:
            return found == f"{only}/{asked.rpartition('/')[2]}"
        if re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", asked):
            return bool(re.fullmatch(rf"[A-Z][A-Za-z]+/{re.escape(asked)}", found))
        return found == asked.removeprefix(OWN + "/")

    return match


def identified(system: str | None, number: str) -> Match:
    def match(name: str, value: Json, resource: Json) -> bool:
        held = value.get("identifier", {}) if name == "Reference" else {}
        return held.get("value") == number and system in (None, held.get("system", ""))

    return match


def located(asked: str, modifier: str | None) -> Match:
    def match(name: str, value: Json, resource: Json) -> bool:
        if not isinstance(value, str):
            return False
        held = value.partition("#")[0].partition("|")[0] if name == "canonical" else value
        if modifier is None:
            return asked in (held, value)
        longer, shorter = (held, asked) if modifier == "below" else (asked, held)
        return longer == shorter or longer.startswith(shorter.rstrip("/") + "/")

    return match
