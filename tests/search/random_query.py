"""Random searches about the resources of a world: how each is written in a URL, and how it is done slowly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from fhir_server.search.escape import escaped
from fhir_server.search.parameters import Parameter
from tests.conformance.naive_rows import UNIT_SYSTEM
from tests.search import naive
from tests.search.naive import Item, Json, Match, World

PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
NOT_COMPARED = frozenset({"DocumentReference.relationship"})
"""Its components have each other's definitions in R4."""

Judge = Callable[[Json], bool]
Value = tuple[str, Match]


@dataclass(frozen=True)
class Condition:
    """A parameter's name and value, and whether a resource meets it."""

    name: str
    value: str
    judge: Judge


class Author:
    """Writes searches."""

    def __init__(self, world: World, random: Random, now: int) -> None:
        self.world = world
        self.random = random
        self.now = now
        self.makers: dict[str, Callable[[Parameter, str | None, Item], Value | None]] = {
            "token": self.token,
            "string": self.string,
            "date": self.date,
            "number": self.number,
            "quantity": self.quantity,
            "reference": self.reference,
            "uri": self.uri,
        }
        self.modifiers: dict[str, tuple[str | None, ...]] = {
            "token": (None, None, None, "not", "text", "of-type"),
            "string": (None, None, "exact", "contains"),
            "reference": (None, None, "Type", "identifier"),
            "uri": (None, "below", "above"),
        }

    def condition(self, kind: str, depth: int = 2) -> Condition:
        """A condition on resources of a type."""
        while True:
            roll = self.random.random()
            found = None
            if depth and roll < 0.15:
                found = self.chained(kind, depth)
            elif depth and roll < 0.25:
                found = self.reverse(kind, depth)
            elif roll < 0.3:
                found = self.missing(kind)
            else:
                found = self.plain(kind)
            if found is not None:
                return found

    def parameter(self, kind: str, of: str | None = None) -> Parameter | None:
        """A parameter of a type, perhaps of one type of parameter; None where there is none."""
        known = [
            p
            for p in self.world.parameters.of(kind).values()
            if p.expression is not None and p.code not in ("_id", "_lastUpdated") and p.type != "special"
            if of in (None, p.type) and f"{kind}.{p.code}" not in NOT_COMPARED
        ]
        return self.random.choice(sorted(known, key=lambda p: p.code)) if known else None

    def sampled(self, parameter: Parameter) -> tuple[Item, Json] | None:
        """A value that some resource has."""
        resources = self.world.of_type(parameter.resource_type)
        for resource in self.random.sample(resources, min(12, len(resources))):
            if items := self.world.items(resource, parameter):
                return self.random.choice(items), resource
        return None

    def window(self, kind: str) -> list[Condition]:
        """Two conditions on one date."""
        parameter = self.parameter(kind, "date")
        found = [self.plain(kind, parameter) for _ in range(2)] if parameter else []
        return [condition for condition in found if condition]

    def plain(self, kind: str, parameter: Parameter | None = None) -> Condition | None:
        parameter = parameter or self.parameter(kind)
        if parameter is None:
            return None
        if parameter.type == "composite":
            return self.composite(parameter)
        modifier = self.random.choice(self.modifiers.get(parameter.type, (None,)))
        values = [v for _ in range(self.random.choice((1, 1, 1, 2, 3))) if (v := self.value(parameter, modifier))]
        if not values:
            return None
        matches = [match for _, match in values]

        def meets(resource: Json) -> bool:
            items = self.world.items(resource, parameter)
            return any(match(name, value, resource) for match in matches for name, value in items)

        judge = (lambda resource: not meets(resource)) if modifier == "not" else meets
        said = modifier
        if modifier == "Type":
            said = values[0][0].partition("\0")[0]
            values = values[:1]
            matches = [values[0][1]]
        name = parameter.code if said is None else f"{parameter.code}:{said}"
        return Condition(name, ",".join(text.rpartition("\0")[2] for text, _ in values), judge)

    def value(self, parameter: Parameter, modifier: str | None) -> Value | None:
        sample = self.sampled(parameter)
        return self.makers[parameter.type](parameter, modifier, sample[0]) if sample else None

    def token(self, parameter: Parameter, modifier: str | None, item: Item) -> Value | None:
        name, value = item
        if modifier == "text":
            texts = (
                [value.get("text"), *(c.get("display") for c in value.get("coding", ()))]
                if isinstance(value, dict)
                else []
            )
            texts = [one for one in texts if one]
            if not texts:
                return None
            prefix = self.cut(self.random.choice(texts))
            return escaped(prefix), naive.displayed(prefix)
        if modifier == "of-type":
            kinds = value.get("type", {}).get("coding", ()) if name == "Identifier" else ()
            if not kinds or "value" not in value or "code" not in kinds[0]:
                return None
            parts = kinds[0].get("system", ""), kinds[0]["code"], value["value"]
            return "|".join(map(escaped, parts)), naive.of_type(*parts)
        choices = [(system, code) for system, code in naive.codes(name, value) if code]
        if not choices:
            return None
        system, code = self.random.choice(choices)
        form = self.random.choice(("code", "both", "none", "system"))
        if name == "code" or form == "code" or (form == "none" and name == "boolean"):
            return escaped(code), naive.token(self.world, None, code)
        if name in ("CodeableConcept", "Coding") and self.random.random() < 0.2:
            code = code.swapcase()
        if form == "system" and system:
            return f"{escaped(system)}|", naive.token(self.world, system, "")
        if form == "none":
            return f"|{escaped(code)}", naive.token(self.world, "", code)
        return f"{escaped(system)}|{escaped(code)}", naive.token(self.world, system, code)

    def string(self, parameter: Parameter, modifier: str | None, item: Item) -> Value | None:
        texts = [one for one, _ in naive.strings(*item) if one]
        if not texts:
            return None
        whole = self.random.choice(texts)
        if modifier == "exact":
            return escaped(whole), naive.exactly(whole)
        part = self.cut(whole)
        if modifier == "contains":
            start = self.random.randrange(len(whole))
            part = whole[start : start + self.random.randint(1, 6)].strip() or whole
            return escaped(part), naive.containing(part)
        if self.random.random() < 0.3:
            part = part.upper()
        return escaped(part), naive.starting(part, by_word=parameter.code == "family")

    def cut(self, whole: str) -> str:
        """The start of a text."""
        return whole[: self.random.randint(1, len(whole))].strip() or whole

    def date(self, parameter: Parameter, modifier: str | None, item: Item) -> Value | None:
        name, value = item
        if name == "Timing":
            value = value.get("repeat", {}).get("boundsPeriod", {})
        if isinstance(value, dict):
            value = self.random.choice([value.get("start"), value.get("end")])
        if not isinstance(value, str):
            return None
        text = value[: self.random.choice((4, 7, 10, len(value)))]
        prefix = self.random.choice(PREFIXES)
        return escaped(prefix + text), naive.dated(prefix or "eq", text, self.now)

    def number(self, parameter: Parameter, modifier: str | None, item: Item) -> Value | None:
        if not isinstance(item[1], int | float) or isinstance(item[1], bool):
            return None
        prefix, text = self.random.choice(PREFIXES), self.digits(item[1])
        return prefix + text, naive.numbered(prefix or "eq", text)

    def digits(self, value: float) -> str:
        """The number, sometimes with another precision."""
        return self.random.choice((repr(value), f"{value:.1f}", f"{value:.0f}", f"{value:.3g}"))

    def quantity(self, parameter: Parameter, modifier: str | None, item: Item) -> Value | None:
        name, value = item
        if name not in ("Quantity", "Age", "Money", "SimpleQuantity") or "value" not in value or "comparator" in value:
            return None
        prefix, text = self.random.choice(PREFIXES), self.digits(value["value"])
        form = self.random.choice(("number", "unit", "both"))
        system = value.get("system", "urn:iso:std:iso:4217" if name == "Money" else "")
        code = value.get("code") or value.get("currency") or value.get("unit")
        if form == "number" or not code:
            return prefix + text, naive.measured(prefix or "eq", text, None, "")
        if form == "unit" or not system or ("code" not in value and name != "Money"):
            return f"{prefix}{text}||{escaped(code)}", naive.measured(prefix or "eq", text, "", code)
        if system == UNIT_SYSTEM and code == "mg" and self.random.random() < 0.5:
            code = "g"
        return f"{prefix}{text}|{escaped(system)}|{escaped(code)}", naive.measured(prefix or "eq", text, system, code)

    def reference(self, parameter: Parameter, modifier: str | None, item: Item) -> Value | None:
        name, value = item
        if name in ("canonical", "uri"):
            return (escaped(value), naive.pointing(value)) if modifier is None and "#" not in value else None
        if name != "Reference":
            return None
        if modifier == "identifier":
            held = value.get("identifier", {})
            if "value" not in held:
                return None
            system = held.get("system", "")
            return f"{escaped(system)}|{escaped(held['value'])}", naive.identified(system, held["value"])
        whole = value.get("reference", "").partition("/_history/")[0]
        kind, _, identity = whole.partition("/")
        if kind not in self.world.definitions.resource_types or kind not in parameter.target:
            return None
        if modifier == "Type":
            return f"{kind}\0{identity}", naive.pointing(identity, kind)
        written = self.random.choice((whole, identity, f"{naive.OWN}/{whole}"))
        return escaped(written), naive.pointing(written)

    def uri(self, parameter: Parameter, modifier: str | None, item: Item) -> Value | None:
        if not isinstance(item[1], str):
            return None
        held = item[1].partition("#")[0].partition("|")[0] if item[0] == "canonical" else item[1]
        if modifier is not None:
            if "://" not in held:
                return None
            held = held.rpartition("/")[0] if modifier == "below" and held.count("/") > 2 else f"{held}/a/b"
        return escaped(held), naive.located(held, modifier)

    def composite(self, parameter: Parameter) -> Condition | None:
        sample = self.sampled(parameter)
        if sample is None:
            return None
        base, resource = sample
        values: list[Value] = []
        for component, items in zip(parameter.components, self.world.parts(base, parameter, resource), strict=True):
            value = self.makers[component.type](parameter, None, self.random.choice(items)) if items else None
            if value is None:
                return None
            values.append(value)

        def judge(candidate: Json) -> bool:
            return any(
                all(
                    any(match(name, held, candidate) for name, held in items)
                    for (_, match), items in zip(values, self.world.parts(one, parameter, candidate), strict=True)
                )
                for one in self.world.items(candidate, parameter)
            )

        return Condition(parameter.code, "$".join(text for text, _ in values), judge)

    def missing(self, kind: str) -> Condition | None:
        parameter = self.parameter(kind, "reference" if self.random.random() < 0.5 else "token")
        if parameter is None:
            return None
        is_missing = self.random.random() < 0.5

        def judge(resource: Json) -> bool:
            return self.has_value(resource, parameter) != is_missing

        return Condition(f"{parameter.code}:missing", str(is_missing).lower(), judge)

    def has_value(self, resource: Json, parameter: Parameter) -> bool:
        """Whether there is anything to compare with."""
        for name, value in self.world.items(resource, parameter):
            if name == "Reference":
                if (
                    value.get("reference")
                    or value.get("identifier", {}).get("value")
                    or value.get("identifier", {}).get("system")
                ):
                    return True
            elif name in ("CodeableConcept", "Coding", "Identifier", "ContactPoint"):
                if has_token(name, value):
                    return True
            elif name == "Attachment":
                continue
            elif name not in self.world.definitions.resource_types or name in parameter.target:
                return True
        return False

    def chained(self, kind: str, depth: int) -> Condition | None:
        parameter = self.parameter(kind, "reference")
        sample = self.sampled(parameter) if parameter else None
        if parameter is None or sample is None or sample[0][0] != "Reference":
            return None
        (_, value), holder = sample
        there = value.get("reference", "").partition("/")[0]
        if there.startswith("#"):
            there = next((c["resourceType"] for c in holder.get("contained", ()) if c.get("id") == there[1:]), "")
        if there not in parameter.target or not self.world.of_type(there):
            return None
        inner = self.condition(there, depth - 1)

        def judge(resource: Json) -> bool:
            for name, value in self.world.items(resource, parameter):
                held = self.world.pointed(resource, value, there) if name == "Reference" else None
                if held is not None and inner.judge(held):
                    return True
            return False

        return Condition(f"{parameter.code}:{there}.{inner.name}", inner.value, judge)

    def reverse(self, kind: str, depth: int) -> Condition | None:
        source = self.random.choice(sorted({name for name, _ in self.world.resources}))
        parameter = self.parameter(source, "reference")
        if parameter is None or kind not in parameter.target or not self.sampled(parameter):
            return None
        if all(name != "Reference" for r in self.world.of_type(source) for name, _ in self.world.items(r, parameter)):
            return None
        inner = self.condition(source, depth - 1)

        def judge(resource: Json) -> bool:
            own = f"{kind}/{resource['id']}"
            return any(
                any(n == "Reference" and naive.target(other, v) == own for n, v in self.world.items(other, parameter))
                and inner.judge(other)
                for other in self.world.of_type(source)
            )

        return Condition(f"_has:{source}:{parameter.code}:{inner.name}", inner.value, judge)


def has_token(name: str, value: Any) -> bool:
    """Whether a token has a code, a system or a text."""
    if name == "ContactPoint":
        return bool(value.get("value"))
    if any(system or code for system, code in naive.codes(name, value)):
        return True
    texts = {
        "CodeableConcept": [value.get("text"), *(c.get("display") for c in value.get("coding", ()))],
        "Coding": [value.get("display")],
        "Identifier": [value.get("type", {}).get("text") if isinstance(value.get("type"), dict) else None],
    }
    return any(texts[name])
