"""The door to all definitions: the compiled R4 core and whatever packages were added, by canonical and version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any
from weakref import WeakSet

import orjson

from fhir_server.definitions.code_system import CodeSystem, code_system_from
from fhir_server.definitions.concept_map import ConceptMap, concept_map_from
from fhir_server.definitions.datatype import Type, types_of
from fhir_server.definitions.implied import implied_value_set, value_set_of_system
from fhir_server.definitions.search_parameter import (
    Compartment,
    SearchParameter,
    compartment_from,
    search_parameter_from,
)
from fhir_server.definitions.shelf import Shelf
from fhir_server.definitions.snapshot import SnapshotFault, SnapshotMaker
from fhir_server.definitions.structure import TYPE_URL, Structure, structure_from
from fhir_server.definitions.tables import Tables
from fhir_server.definitions.value_set import ValueSet, value_set_from

CORE = "http://hl7.org/fhir/"
VALUE_SET_PATH = "ValueSet/"
KINDS = {"resource": "resource_types", "complex-type": "complex_types", "primitive-type": "primitive_types"}


class Definitions:
    """Conformance resources as typed records.

    Look-ups by canonical take `url` or `url|version` and answer None when nothing is known; `type` raises KeyError.
    `generation` grows with every resource added, so that what was compiled from the definitions can tell its age.
    """

    def __init__(self, tables: Tables | None = None, below: Definitions | None = None) -> None:
        self._tables = tables
        self._below = below
        self._types: dict[str, Type] = {}
        self._kinds: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self._parameters: dict[str, dict[str, SearchParameter]] = {}
        self._supplements: dict[str, list[str]] = {}
        self.above: WeakSet[Definitions] = WeakSet()
        self._global_profiles: dict[str, list[str]] = {}
        self._snapshots: SnapshotMaker | None = None
        self._completed: dict[tuple[str, str | None], Structure] = {}
        self._identities: dict[str, str] = {}
        self._all_codes: Mapping[str, str] | None = None
        self.generation = 0
        self._open_shelves(tables, below)
        if below is not None:
            below.above.add(self)

    def _open_shelves(self, tables: Tables | None, below: Definitions | None) -> None:
        under = below.shelves if below else {}
        self._structures: Shelf[Structure] = Shelf(under.get("StructureDefinition"), *self._loading("structures"))
        self._code_systems: Shelf[CodeSystem] = Shelf(under.get("CodeSystem"), *self._loading("code_systems"))
        self._value_sets: Shelf[ValueSet] = Shelf(under.get("ValueSet"), *self._loading("value_sets"))
        self._search: Shelf[SearchParameter] = Shelf(under.get("SearchParameter"), *self._loading("search_parameters"))
        self._concept_maps: Shelf[ConceptMap] = Shelf(under.get("ConceptMap"), *self._loading("concept_maps"))
        self.shelves: dict[str, Shelf[Any]] = {
            "StructureDefinition": self._structures,
            "CodeSystem": self._code_systems,
            "ValueSet": self._value_sets,
            "SearchParameter": self._search,
            "ConceptMap": self._concept_maps,
        }

    def _loading(self, table: str) -> tuple[Callable[[str], Any], Callable[[], Any]]:
        tables = self._tables
        if tables is None:
            return (lambda url: None), tuple
        load: dict[str, Callable[[str], Any]] = {
            "structures": lambda url: _read(structure_from, tables.structure(url)),
            "code_systems": lambda url: _read(code_system_from, tables.code_system(url)),
            "value_sets": lambda url: _read_line(value_set_from, tables.value_sets.get(url)),
            "search_parameters": lambda url: _read_line(search_parameter_from, tables.search_parameters.get(url)),
            "concept_maps": lambda url: _read_line(concept_map_from, tables.concept_maps.get(url)),
        }
        return load[table], lambda: getattr(tables, table)

    def extended(self) -> Definitions:
        """Definitions that see all of these and take additions of their own."""
        return Definitions(below=self)

    def add(self, resource: Mapping[str, Any]) -> bool:
        """Take in a conformance resource; False for a kind that these definitions do not keep."""
        kind = resource.get("resourceType", "")
        if kind == "ImplementationGuide":
            return self._add_global_profiles(resource)
        if kind not in READERS or "url" not in resource:
            return False
        record = READERS[kind](resource)
        self.shelves[kind].add(record)
        if isinstance(record, CodeSystem) and record.supplements:
            self._supplements.setdefault(record.supplements.partition("|")[0], []).append(record.url)
        if isinstance(record, Structure):
            self._learn(record)
        self.grow()
        return True

    def remove(self, kind: str, url: str, version: str | None = None) -> bool:
        """Forget a resource that was added to these definitions; False when it is not here.

        What it hid of the definitions below can be found again. A type that it defined stays known by name.
        """
        if kind not in self.shelves or not self.shelves[kind].remove(url, version):
            return False
        for names in self._supplements.values() if kind == "CodeSystem" else ():
            if url in names and not self._code_systems.has_own(url):
                names.remove(url)
        self.grow()
        return True

    def _add_global_profiles(self, guide: Mapping[str, Any]) -> bool:
        for rule in guide.get("global", ()):
            self._global_profiles.setdefault(rule["type"], []).append(rule["profile"])
        self.grow()
        return "global" in guide

    def global_profiles(self, resource_type: str) -> tuple[str, ...]:
        """The profiles that every resource of a type must meet by the guides that were added."""
        below = self._below.global_profiles(resource_type) if self._below else ()
        own = self._global_profiles.get(resource_type, ()) if self._global_profiles else ()
        return (*below, *own) if own else below

    def grow(self) -> None:
        """Let what was read from older definitions, here and in those that extend these, be read again."""
        self.generation += 1
        self._types.clear()
        self._parameters.clear()
        self._snapshots = None
        self._all_codes = None
        self._completed.clear()
        for definitions in self.above:
            definitions.grow()

    def _learn(self, structure: Structure) -> None:
        if structure.derivation != "constraint" and structure.kind in KINDS and not structure.abstract:
            self._kinds[structure.kind].add(structure.type)

    def structure(self, canonical: str) -> Structure | None:
        """The structure of a canonical, with a snapshot made from its differential where it came without.

        `elements` stays empty where no snapshot can be made; `snapshots` says why.
        """
        found = self.stated_structure(canonical)
        if found is None or found.elements:
            return found
        key = found.url, found.version
        if key not in self._completed:
            self._completed[key] = self._complete(found)
        return self._completed[key]

    def _complete(self, structure: Structure) -> Structure:
        try:
            return structure.with_snapshot(self.snapshots.make(structure).elements)
        except SnapshotFault:
            return structure

    def stated_structure(self, canonical: str) -> Structure | None:
        """The structure of a canonical as it was added: without elements where it came without a snapshot."""
        return self._structures.find(canonical)

    def is_core(self, url: str) -> bool:
        """True for a structure of the compiled core."""
        if self._tables is not None:
            return url in self._tables.structures
        return self._below is not None and self._below.is_core(url)

    @property
    def snapshots(self) -> SnapshotMaker:
        """The maker of snapshots, which remembers those it made until these definitions grow."""
        if self._snapshots is None:
            self._snapshots = SnapshotMaker(self._structures.find)
        return self._snapshots

    def structures(self) -> Iterator[str]:
        """The canonicals of all structures, without versions."""
        return self._structures.urls()

    def code_system(self, canonical: str) -> CodeSystem | None:
        """The code system of a canonical."""
        return self._code_systems.find(canonical)

    def code_systems(self) -> Iterator[str]:
        """The canonicals of all code systems, without versions."""
        return self._code_systems.urls()

    def supplements(self, url: str) -> tuple[CodeSystem, ...]:
        """The code systems that add displays and properties to the one of this canonical."""
        names = (*self._supplements.get(url, ()), *self._core_supplements.get(url, ()))
        own = tuple(s for s in map(self._code_systems.find, names) if s is not None)
        return own + (self._below.supplements(url) if self._below else ())

    @cached_property
    def _core_supplements(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for url, records in self._tables.code_systems.items() if self._tables else ():
            if b'"supplements"' in records[0]:
                found.setdefault(orjson.loads(records[0])["supplements"].partition("|")[0], []).append(url)
        return found

    def value_set(self, canonical: str) -> ValueSet | None:
        """The value set of a canonical or of `ValueSet/id`, or one that a code system implies."""
        found = self._value_sets.find(canonical)
        return self._implied(canonical) if found is None else found

    def _implied(self, canonical: str) -> ValueSet | None:
        if canonical.startswith(VALUE_SET_PATH):
            named = self.identified(canonical)
            return None if named is None else self._value_sets.find(named)
        url, _, version = canonical.partition("|")
        system = self._systems_by_value_set.get(url)
        if system is not None:
            is_here = not version or self.code_system(f"{system}|{version}") is not None
            return value_set_of_system(canonical, system) if is_here else None
        return implied_value_set(canonical, self.code_system)

    def identify(self, path: str, canonical: str | None) -> None:
        """Let `Type/id` stand for a canonical, or for none."""
        if canonical is None:
            self._identities.pop(path, None)
        else:
            self._identities[path] = canonical

    def identified(self, path: str) -> str | None:
        """The canonical that `ValueSet/id` stands for: of what is stored under it, or of the core's own."""
        found = self._identities.get(path)
        if found is None and self._below is not None:
            return self._below.identified(path)
        return found or f"{CORE}{path}"

    @property
    def _systems_by_value_set(self) -> Mapping[str, str]:
        """The code systems that name a value set of all their codes, by its canonical."""
        if self._all_codes is None:
            own = (system for url in self._code_systems.own_urls() if (system := self._code_systems.find(url)))
            named = {each.value_set.partition("|")[0]: each.url for each in own if each.value_set}
            below = self._below._systems_by_value_set if self._below else self._core_systems_by_value_set  # noqa: SLF001
            self._all_codes = {**below, **named}
        return self._all_codes

    @cached_property
    def _core_systems_by_value_set(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for url, records in self._tables.code_systems.items() if self._tables else ():
            if b'"valueSet"' in records[0]:
                found[orjson.loads(records[0])["valueSet"].partition("|")[0]] = url
        return found

    def value_sets(self) -> Iterator[str]:
        """The canonicals of all value sets, without versions."""
        return self._value_sets.urls()

    def concept_map(self, canonical: str) -> ConceptMap | None:
        """The concept map of a canonical."""
        return self._concept_maps.find(canonical)

    def concept_maps(self) -> Iterator[str]:
        """The canonicals of all concept maps, without versions."""
        return self._concept_maps.urls()

    def search_parameter(self, canonical: str) -> SearchParameter | None:
        """The search parameter of a canonical."""
        return self._search.find(canonical)

    def added_search_parameters(self) -> Iterator[SearchParameter]:
        """The search parameters that are not of the compiled core."""
        if self._tables is not None:
            return
        for url in self._search.own_urls():
            found = self._search.find(url)
            if found is not None:
                yield found
        if self._below is not None:
            yield from (each for each in self._below.added_search_parameters() if not self._search.has_own(each.url))

    def compiled_expansion(self, canonical: str) -> Mapping[str, tuple[str, ...]] | None:
        """The codes of each system in a value set that a required binding of the core names.

        None for others, and where an added resource may have changed the value set.
        """
        if self._tables is None:
            found = self._below.compiled_expansion(canonical) if self._below else None
        else:
            found = self._core_expansion(canonical)
        if found is None or self._value_sets.has_own(canonical.partition("|")[0]):
            return None
        return None if any(self._code_systems.has_own(system) for system in found) else found

    def _core_expansion(self, canonical: str) -> Mapping[str, tuple[str, ...]] | None:
        url, _, version = canonical.partition("|")
        records = self._tables.expansions.get(url) if self._tables else None
        if records is None or (version and self._value_sets.find(canonical) is None):
            return None
        return {system: tuple(codes) for system, codes in map(orjson.loads, records)}

    def type(self, name: str) -> Type:
        """The type of a name or of a backbone's path; KeyError when there is none."""
        # Another thread may add definitions, which empties what was found, between any two look-ups.
        found = self._types.get(name)
        if found is None:
            found = self._types[name] = self._find_type(name)
        return found

    def _find_type(self, name: str) -> Type:
        root = TYPE_URL + name.partition(".")[0]
        if self._below is not None and not self._structures.has_own(root):
            return self._below.type(name)
        structure = self.structure(root)
        if structure is None or structure.derivation == "constraint" or structure.kind not in KINDS:
            raise KeyError(name)
        types = {t.name: t for t in types_of(structure)}
        self._types.update(types)
        return types[name]

    def has_type(self, name: str) -> bool:
        """True when `type` would answer."""
        try:
            self.type(name)
        except KeyError:
            return False
        return True

    @property
    def resource_types(self) -> frozenset[str]:
        """The names of all concrete resources."""
        return self.of_kind("resource")

    @property
    def complex_types(self) -> frozenset[str]:
        """The names of all concrete complex datatypes."""
        return self.of_kind("complex-type")

    @property
    def primitive_types(self) -> frozenset[str]:
        """The names of all primitive datatypes."""
        return self.of_kind("primitive-type")

    def of_kind(self, kind: str) -> frozenset[str]:
        """The names of the concrete types of a StructureDefinition.kind."""
        if not self._kinds[kind]:
            return self._core_kinds[kind]
        return self._core_kinds[kind] | self._kinds[kind]

    @cached_property
    def _core_kinds(self) -> Mapping[str, frozenset[str]]:
        if self._tables is None:
            below = self._below
            return {kind: below.of_kind(kind) if below else frozenset() for kind in KINDS}
        found: dict[str, set[str]] = {kind: set() for kind in KINDS}
        for records in self._tables.structures.values():
            head = orjson.loads(records[0])
            if head.get("derivation") != "constraint" and head["kind"] in KINDS and not head["abstract"]:
                found[head["kind"]].add(head["type"])
        return {kind: frozenset(names) for kind, names in found.items()}

    def _inherits(self, resource_type: str, base: str) -> bool:
        """The same for a resource type and what R4 derives it from, without reading all elements of the core."""
        known = self._core_bases.get(resource_type)
        if known is None:
            return self.is_subtype(resource_type, base)
        return base in ("Resource", known, resource_type)

    @cached_property
    def _core_bases(self) -> Mapping[str, str]:
        if self._tables is None:
            return self._below._core_bases if self._below else {}  # noqa: SLF001 -- another of this class
        heads = (orjson.loads(records[0]) for records in self._tables.structures.values())
        return {
            head["type"]: head["baseDefinition"].rpartition("/")[2]
            for head in heads
            if head["kind"] == "resource" and head.get("derivation") != "constraint" and head.get("baseDefinition")
        }

    def is_subtype(self, name: str, of: str) -> bool:
        """True when the type is `of` or specialises it, at any distance."""
        while name != of:
            try:
                base = self.type(name).base
            except KeyError:
                return False
            if base is None:
                return False
            name = base
        return True

    def search_parameters(self, resource_type: str) -> Mapping[str, SearchParameter]:
        """The search parameters of a resource type by code, those of its base types included."""
        if resource_type not in self._parameters:
            found: dict[str, SearchParameter] = {}
            for base in ("Resource", "DomainResource", resource_type):
                if self._inherits(resource_type, base):
                    found.update(self._parameters_by_base.get(base, {}))
            self._parameters[resource_type] = found
        return self._parameters[resource_type]

    @property
    def _parameters_by_base(self) -> Mapping[str, Mapping[str, SearchParameter]]:
        if self._by_base[0] != self.generation:
            self._by_base = self.generation, self._sorted_by_base()
        return self._by_base[1]

    _by_base: tuple[int, Mapping[str, Mapping[str, SearchParameter]]] = (-1, {})

    def _sorted_by_base(self) -> dict[str, dict[str, SearchParameter]]:
        found: dict[str, dict[str, SearchParameter]] = {}
        for url in self._search.urls():
            parameter = self._search.find(url)
            if parameter is not None:
                for base in parameter.base:
                    found.setdefault(base, {}).setdefault(parameter.code, parameter)
        return found

    def compartment(self, code: str) -> Compartment | None:
        """The compartment of a resource type."""
        return self._compartments.get(code) or (self._below.compartment(code) if self._below else None)

    @cached_property
    def _compartments(self) -> dict[str, Compartment]:
        records = self._tables.compartments.values() if self._tables else ()
        parts = (compartment_from(orjson.loads(r[0])) for r in records)
        return {c.code: c for c in parts}


READERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "StructureDefinition": structure_from,
    "CodeSystem": code_system_from,
    "ValueSet": value_set_from,
    "SearchParameter": search_parameter_from,
    "ConceptMap": concept_map_from,
}


def _read(reader: Callable[[Mapping[str, Any]], Any], body: Mapping[str, Any] | None) -> Any:
    return None if body is None else reader(body)


def _read_line(reader: Callable[[Mapping[str, Any]], Any], records: list[bytes] | None) -> Any:
    return None if records is None else reader(orjson.loads(records[0]))


@cache
def r4() -> Definitions:
    """The R4 core as compiled into `profiles/r4`, shared by all who ask."""
    return Definitions(Tables())
