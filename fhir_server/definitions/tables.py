"""The compiled R4 tables of `profiles/r4`: one record per line, a key, a tab and JSON, read when first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib import resources
from typing import Any

import orjson

Groups = dict[str, list[bytes]]


def read_groups(name: str) -> Groups:
    """The records of one table by key, in file order."""
    data = resources.files("profiles").joinpath("r4", name).read_bytes()
    groups: Groups = {}
    for line in data.splitlines():
        key, _, record = line.partition(b"\t")
        groups.setdefault(key.decode(), []).append(record)
    return groups


def write_groups(records: Iterable[tuple[str, Any]]) -> bytes:
    """The bytes of a table from keys and JSON records, in the order given."""
    return b"".join(b"%b\t%b\n" % (key.encode(), orjson.dumps(record)) for key, record in records)


class Tables:
    """Conformance resources rebuilt from the compiled tables, in the JSON shape that the record readers take."""

    @cached_property
    def structures(self) -> Groups:
        """StructureDefinition heads by canonical."""
        return read_groups("structures.tsv")

    @cached_property
    def elements(self) -> Groups:
        """ElementDefinitions by canonical of their structure, in order."""
        return read_groups("elements.tsv")

    @cached_property
    def invariants(self) -> Mapping[str, Any]:
        """Constraints by the name that elements use for them."""
        return {key: orjson.loads(records[0]) for key, records in read_groups("invariants.tsv").items()}

    @cached_property
    def code_systems(self) -> Groups:
        """CodeSystem heads by canonical."""
        return read_groups("code_systems.tsv")

    @cached_property
    def concepts(self) -> Groups:
        """Concepts by canonical of their system."""
        return read_groups("concepts.tsv")

    @cached_property
    def value_sets(self) -> Groups:
        """ValueSet definitions by canonical."""
        return read_groups("value_sets.tsv")

    @cached_property
    def expansions(self) -> Groups:
        """For each value set of a required binding, the codes of each system in it."""
        return read_groups("expansions.tsv")

    @cached_property
    def concept_maps(self) -> Groups:
        """ConceptMaps by canonical."""
        return read_groups("concept_maps.tsv")

    @cached_property
    def search_parameters(self) -> Groups:
        """SearchParameters by canonical."""
        return read_groups("search_parameters.tsv")

    @cached_property
    def compartments(self) -> Groups:
        """CompartmentDefinitions by canonical."""
        return read_groups("compartments.tsv")

    def structure(self, url: str) -> dict[str, Any] | None:
        """A StructureDefinition with its snapshot."""
        if url not in self.structures:
            return None
        body: dict[str, Any] = orjson.loads(self.structures[url][0])
        elements = [self.element(record) for record in self.elements.get(url, ())]
        if elements:
            body["snapshot"] = {"element": elements}
        return body

    def element(self, record: bytes) -> dict[str, Any]:
        """An ElementDefinition with its constraints in full."""
        body: dict[str, Any] = orjson.loads(record)
        if "constraint" in body:
            body["constraint"] = [self.invariants[name] for name in body["constraint"]]
        return body

    def code_system(self, url: str) -> dict[str, Any] | None:
        """A CodeSystem whose concepts name their parents."""
        if url not in self.code_systems:
            return None
        body: dict[str, Any] = orjson.loads(self.code_systems[url][0])
        body["concept"] = [orjson.loads(record) for record in self.concepts.get(url, ())]
        return body
