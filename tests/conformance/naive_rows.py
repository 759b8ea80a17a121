"""Index rows written a second time: slowly, straight from the raw R4 package, and without the code under test.

Only units of measure are converted by the server's own UCUM door, which has tests of its own.
"""

from __future__ import annotations

import json
import re
import tarfile
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server import ucum

Json = Any
Cells = set[tuple[Any, ...]]

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVER = 2**53
EXTREME = 1.7976931348623157e308
UNIT_SYSTEM = "http://unitsofmeasure.org"
URIS = ("uri", "url", "canonical", "oid", "uuid")
MARK = "\x1f"
LETTERS = dict(zip("đðøłħŧ", "ddolht", strict=True)) | {"\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"}


class Package:
    """The raw R4 package: what it says of elements, value sets and code systems."""

    def __init__(self, archive: Path) -> None:
        self.structures: dict[str, dict[str, Json]] = {}
        self.value_sets: dict[str, Json] = {}
        self.code_systems: dict[str, Json] = {}
        self.search_parameters: dict[str, Json] = {}
        with tarfile.open(archive) as opened:
            for member in opened:
                stream = opened.extractfile(member)
                if stream is not None and member.name.endswith(".json"):
                    self.take(json.loads(stream.read()))

    def take(self, body: Json) -> None:
        kind = body.get("resourceType")
        if kind == "StructureDefinition" and body.get("derivation") != "constraint" and "snapshot" in body:
            self.structures[body["type"]] = {e["path"]: e for e in body["snapshot"]["element"]}
        elif kind == "ValueSet":
            self.value_sets[body["url"]] = body
        elif kind == "CodeSystem":
            self.code_systems[body["url"]] = body
        elif kind == "SearchParameter":
            self.search_parameters[body["url"]] = body

    def resource_types(self) -> set[str]:
        found = {name for name, elements in self.structures.items() if f"{name}.meta" in elements}
        return found - {"Resource", "DomainResource"}

    def element(self, path: str) -> Json:
        """The definition of what a dotted path leads to, through the datatypes that it passes."""
        names = path.split(".")
        found, at = None, names[0]
        for name in names[1:]:
            elements = self.structures.get(at.partition(".")[0], {})
            found = elements.get(f"{at}.{name}") or elements.get(f"{at}.{name}[x]")
            if found is None:
                return None
            if "contentReference" in found:
                at = found["contentReference"].lstrip("#")
            else:
                code = found["type"][0]["code"]
                at = found["path"] if code in ("BackboneElement", "Element") else code
        return found

    def heeds_case(self, system: str) -> bool:
        known = self.code_systems.get(system, {})
        return system == UNIT_SYSTEM or known.get("caseSensitive", False)

    def implied_system(self, path: str, code: str) -> str:
        binding = (self.element(path) or {}).get("binding", {})
        if binding.get("strength") != "required":
            return ""
        url = binding["valueSet"].partition("|")[0]
        systems = dict(self.systems(url))
        if len(systems) == 1:
            return next(iter(systems))
        return next((system for system, codes in systems.items() if code in codes), "")

    def systems(self, url: str) -> Iterator[tuple[str, set[str]]]:
        for include in self.value_sets.get(url, {}).get("compose", {}).get("include", ()):
            if "system" in include:
                listed = {c["code"] for c in include.get("concept", ())}
                yield include["system"], listed or set(self.codes(self.code_systems.get(include["system"], {})))
            for other in include.get("valueSet", ()):
                yield from self.systems(other.partition("|")[0])

    def codes(self, body: Json) -> Iterator[str]:
        for concept in body.get("concept", ()):
            yield concept["code"]
            yield from self.codes(concept)


def folded(text: str) -> str:
    for _ in range(4):
        text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        text = "".join(LETTERS.get(c, c) for c in text if unicodedata.combining(c) == 0)
        bare = re.sub(r"\s+", " ", text).strip()
        words = "".join(" " if parts_words(c) else "" if is_silent(c) else c for c in text)
        text = re.sub(r"\s+", " ", words).strip() or bare
    return text


def parts_words(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in ("Pd", "Pc") or character in "/&@#%…·" or (kind[0] in "CZ" and kind != "Cf")


def is_silent(character: str) -> bool:
    return unicodedata.category(character)[0] == "P" or unicodedata.category(character) == "Cf"


def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def day(year: int, month: int, number: int) -> int:
    return milliseconds(datetime(year, month, number, tzinfo=ZONE))


def covered(text: str) -> tuple[int, int]:
    numbers = [int(part) for part in text[:10].split("-")]
    if len(text) == 4:
        return day(numbers[0], 1, 1), day(numbers[0] + 1, 1, 1)
    if len(text) == 7:
        year, month = numbers
        return day(year, month, 1), day(year + month // 12, month % 12 + 1, 1)
    if len(text) == 10:
        after = datetime(*numbers, tzinfo=ZONE).replace(tzinfo=None) + timedelta(days=1)  # type: ignore[arg-type, misc]
        return day(*numbers), day(after.year, after.month, after.day)
    start = milliseconds(datetime.fromisoformat(text))
    fraction = re.search(r"\.(\d+)", text)
    return start, start + (10 ** max(0, 3 - len(fraction[1])) if fraction else 1000)


def unit_name(quantity: Json) -> str:
    return MARK.join(quantity.get(key, "") for key in ("system", "code", "unit"))


def amounts(quantity: Json, low: Json, high: Json) -> Cells:
    """The cells of a quantity from low to high; None is an end that is not known."""
    bounds = [-EXTREME if low is None else low, EXTREME if high is None else high]
    cells: Cells = set()
    based = None
    if quantity.get("system") == UNIT_SYSTEM and "code" in quantity:
        based = [ucum.canonical(Decimal(repr(b)) if abs(b) < EXTREME else Decimal(1), quantity["code"]) for b in bounds]
    views = [(0, bounds, unit_name(quantity))]
    if based and based[0] and based[1]:
        numbers = [b if abs(b) == EXTREME else float(c[0]) for b, c in zip(bounds, based, strict=True) if c]
        views.append((1, numbers, based[0][1]))
    for facet, (start, stop), name in views:
        cells.add((facet, start, name) if low == high else (facet + 2, min(start, stop), max(start, stop), 0, name))
    return cells


class Writer:
    """Cells `(facet, v, x)` or `(facet, v, x, y, n)` of values by type of parameter and of value."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.types = package.resource_types()

    def cells(self, kind: str, name: str, value: Json, path: str, resource: Json) -> Cells:
        """The cells of one value; `path` is that of its element, as far as it is known."""
        method = getattr(self, kind)
        cells: Cells = method(name, value, path, resource)
        return cells

    def coded(self, system: str, code: str | None) -> Cells:
        if not code:
            return {(4, system, "")} if system else set()
        return {(0, code, system) if self.package.heeds_case(system) else (1, code.casefold(), system)}

    def token(self, name: str, value: Json, path: str, resource: Json) -> Cells:
        if name in ("CodeableConcept", "Coding"):
            codings = value.get("coding", []) if name == "CodeableConcept" else [value]
            cells = {cell for c in codings for cell in self.coded(c.get("system", ""), c.get("code"))}
            texts = [value.get("text"), *(c.get("display") for c in codings)]
            return cells | {(2, folded(text), "") for text in texts if text}
        if name == "Identifier":
            return self.identifier(value)
        if name == "ContactPoint":
            return self.contact(value)
        if name == "code":
            return self.coded(self.package.implied_system(path, value), value)
        if name == "boolean":
            return {(0, json.dumps(value), "")}
        if name in ("string", "markdown"):
            return {(1, value.casefold(), "")}
        return {(0, value, "")} if name in ("id", *URIS) else set()

    def identifier(self, value: Json) -> Cells:
        system, code, kind = value.get("system", ""), value.get("value"), value.get("type", {})
        cells: Cells = {(4, system, "")} if system else set()
        if kind.get("text"):
            cells.add((2, folded(kind["text"]), ""))
        if code:
            cells.add((0, code, system))
            types = [c for c in kind.get("coding", ()) if "code" in c]
            cells |= {(3, code, c.get("system", "") + MARK + c["code"]) for c in types}
        return cells

    def contact(self, value: Json) -> Cells:
        text = value.get("value")
        if not text:
            return set()
        cells: Cells = {(0, text, "")}
        if value.get("system") == "email":
            cells.add((0, text.casefold(), ""))
        if value.get("system") in ("phone", "fax", "sms", "pager"):
            cells.add((0, "".join(c for c in text if c not in "().-/" and not c.isspace()) or text, ""))
        return cells

    def string(self, name: str, value: Json, path: str, resource: Json) -> Cells:
        if name in ("string", "markdown", "code", "id", *URIS):
            return self.text(value, by_word=path.endswith("name.family"))
        cells: Cells = set()
        lists = {"HumanName": ("given", "prefix", "suffix"), "Address": ("line",)}.get(name, ())
        for key in lists:
            cells |= {cell for part in value.get(key, ()) if part for cell in self.text(part, by_word=False)}
        single = {
            "HumanName": ("text", "family"),
            "Address": ("text", "city", "district", "state", "postalCode", "country"),
        }
        for key in single.get(name, ()):
            if key in value:
                cells |= self.text(value[key], by_word=name == "HumanName")
        return cells

    def text(self, value: str, *, by_word: bool) -> Cells:
        whole = folded(value)
        cells: Cells = {(0, whole, value if value != whole else "")}
        words = whole.split(" ")
        if by_word:
            cells |= {(1, " ".join(words[start:]), "") for start in range(1, len(words))}
        return cells

    def date(self, name: str, value: Json, path: str, resource: Json) -> Cells:
        cells = self.range(name, value, path, resource)
        return cells | {(1, start, end) for _, start, end in cells if end - start > 32 * 24 * 3600 * 1000}

    def range(self, name: str, value: Json, path: str, resource: Json) -> Cells:
        if name == "instant":
            return {(0, covered(value)[0], covered(value)[0] + 1)}
        if name in ("date", "dateTime"):
            return {(0, *covered(value))}
        if name == "Period":
            start, end = value.get("start"), value.get("end")
            if not start and not end:
                return set()
            return {(0, covered(start)[0] if start else -EVER, covered(end)[1] if end else EVER)}
        if name == "Timing":
            found = {(0, *covered(event)) for event in value.get("event", ()) if event}
            found |= self.range("Period", value.get("repeat", {}).get("boundsPeriod", {}), path, resource)
            return {(0, min(c[1] for c in found), max(c[2] for c in found))} if found else set()
        return set()

    def number(self, name: str, value: Json, path: str, resource: Json) -> Cells:
        if name in ("integer", "decimal", "positiveInt", "unsignedInt"):
            return {(0, value, value)}
        if name == "Range":
            low, high = (value.get(end, {}).get("value") for end in ("low", "high"))
            return {(0, -EXTREME if low is None else low, EXTREME if high is None else high)}
        return set()

    def quantity(self, name: str, value: Json, path: str, resource: Json) -> Cells:
        if name in ("Quantity", "Age", "Duration", "Count", "Distance"):
            number, side = value.get("value"), value.get("comparator", "")[:1]
            if number is None:
                return set()
            return amounts(value, None if side == "<" else number, None if side == ">" else number)
        if name == "Money":
            return {(0, value["value"], MARK.join(("urn:iso:std:iso:4217", value.get("currency", ""), "")))}
        if name == "Range":
            low, high = value.get("low", {}), value.get("high", {})
            return amounts(low or high, low.get("value"), high.get("value"))
        if name == "SampledData":
            numbers = [Decimal(word) for word in value.get("data", "").split() if word not in ("E", "L", "U")]
            factor, origin = Decimal(str(value.get("factor", 1))), Decimal(str(value["origin"]["value"]))
            scaled = [origin + factor * number for number in numbers] or [origin]
            return amounts(value["origin"], float(min(scaled)), float(max(scaled)))
        return set()

    def reference(self, name: str, value: Json, path: str, resource: Json) -> Cells:
        if name in URIS:
            if value.startswith("#"):
                return {(0, value, "")}
            url, _, version = value.partition("#")[0].partition("|")
            return {(4, url, version)} if url else set()
        if name in self.types:
            return {(0, value["id"], name)} if "id" in value else set()
        if name != "Reference":
            return set()
        cells = self.literal(value, resource, path)
        identifier = value.get("identifier", {})
        if "value" in identifier:
            cells.add((1, identifier["value"], identifier.get("system", "")))
        if "system" in identifier:
            cells.add((2, identifier["system"], ""))
        return cells

    def literal(self, value: Json, resource: Json, path: str) -> Cells:
        text = value.get("reference", "")
        if not text:
            return set()
        kind = self.target_type(value, resource, path)
        parts = re.fullmatch(r"(.*?)([A-Z]\w+)/([A-Za-z0-9.-]+?)(/_history/([^#]+))?(#.*)?", text)
        if parts is None or (parts[1] and "://" not in parts[1]):
            inside = enumerate(resource.get("contained", ()))
            places = [min(index, 15) for index, each in inside if each.get("id") and f"#{each['id']}" == text]
            return {(0, text, kind), *((5, place, kind) for place in places[:1])}
        target = parts[3] if not parts[1] else f"{parts[1]}{parts[2]}/{parts[3]}"
        cells: Cells = {(0, target, kind)}
        if parts[5]:
            cells.add((3, f"{parts[1]}{parts[2]}/{parts[3]}{parts[4]}", ""))
        return cells

    def target_type(self, value: Json, resource: Json, path: str) -> str:
        """The type that a reference shows; else the one that its element allows, where that is one only."""
        text = value.get("reference", "")
        said = value.get("type", "").rpartition("/")[2]
        if text.startswith("#"):
            inside = [c["resourceType"] for c in resource.get("contained", ()) if c.get("id") == text[1:]]
            return str(inside[0]) if inside else str(said)
        shown = [part for part in text.partition("/_history/")[0].split("/")[:-1] if part in self.types]
        if shown and text:
            return str(shown[-1])
        types = [t for t in (self.package.element(path) or {}).get("type", ()) if t["code"] == "Reference"]
        targets = {t.rpartition("/")[2] for kind in types for t in kind.get("targetProfile", ())}
        return str(said or (targets.pop() if len(targets) == 1 and targets <= self.types else ""))

    def uri(self, name: str, value: Json, path: str, resource: Json) -> Cells:
        if name == "canonical":
            url, _, version = value.partition("#")[0].partition("|")
            return {(0, url or value, version)}
        return {(0, value, "")} if name in URIS else set()

    def special(self, name: str, value: Json, path: str, resource: Json) -> Cells:
        return {(0, value["latitude"], value["longitude"])} if "latitude" in value and "longitude" in value else set()


def columns_of(kind: str, cell: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[str, ...], int] | None:
    """What a cell gives to a composite: columns, qualifiers, and 1 for base units."""
    facet = cell[0]
    if kind == "token":
        return ((cell[1],), (cell[2],), 0) if facet in (0, 1) else None
    if kind == "quantity":
        bounds = (cell[1], cell[2]) if facet > 1 else (cell[1], cell[1])
        return bounds, (cell[-1],), facet % 2
    if kind == "date":
        return (cell[1:], (), 0) if facet == 0 else None
    if kind in ("string", "number"):
        return ((cell[1],), (), 0) if facet == 0 else None
    return ((cell[1],), (cell[2],), 0) if facet in (0, 4) else None


def joined(components: list[tuple[str, Cells]]) -> Cells:
    """The cells of a composite at one of its bases."""
    parts = [[found for cell in cells if (found := columns_of(kind, cell))] for kind, cells in components]
    rows: Cells = set()
    for combination in product(*parts):
        columns = [column for part in combination for column in part[0]]
        names = [name for part in combination for name in part[1]] + [str(column) for column in columns[3:]]
        v, x, y = [*columns, 0, 0][:3]
        rows.add((max(part[2] for part in combination), v, x, y, MARK.join(names)))
    return rows
