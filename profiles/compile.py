"""Compile the official R4 package into the tables of `profiles/r4`: `python -m profiles.compile [PACKAGE] [--check]`.

The tables keep what a server decides by (structure, bindings, invariants, codes, search expressions) and leave out
prose, so that a difference between two versions can be read line by line.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fhir_server.definitions.element_body import element_body
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.search_parameter import filtered_cast
from fhir_server.definitions.structure import MAX_VALUE_SET_EXTENSION, REGEX_EXTENSION, TYPE_EXTENSION
from fhir_server.definitions.tables import write_groups
from fhir_server.package import read_package
from fhir_server.terminology.local import LocalTerminology

FOLDER = Path(__file__).parent / "r4"
PACKAGE = "data/fhir/hl7.fhir.r4.core-4.0.1.tgz"

Json = Mapping[str, Any]
Record = tuple[str, Any]

KEPT_EXTENSIONS = frozenset({MAX_VALUE_SET_EXTENSION, REGEX_EXTENSION, TYPE_EXTENSION})
STRUCTURE_KEYS = (
    "url", "version", "name", "kind", "abstract", "type", "baseDefinition", "derivation", "contextInvariant",
)  # fmt: skip
ELEMENT_KEYS = ("id", "path", "sliceName", "min", "max", "contentReference", "maxLength", "representation")
ELEMENT_FLAGS = ("isModifier", "isSummary", "mustSupport")
TYPED_PREFIXES = ("fixed", "pattern", "minValue", "maxValue")
TYPE_KEYS = ("code", "profile", "targetProfile", "aggregation", "versioning")
CODE_SYSTEM_KEYS = (
    "url",
    "version",
    "name",
    "content",
    "caseSensitive",
    "valueSet",
    "supplements",
    "hierarchyMeaning",
    "language",
    "status",
)
CONCEPT_MAP_KEYS = (
    "url",
    "version",
    "name",
    "status",
    "sourceUri",
    "sourceCanonical",
    "targetUri",
    "targetCanonical",
)
TARGET_KEYS = ("code", "display", "equivalence")
DEPENDENCY_KEYS = ("property", "system", "value", "display")
PROPERTIES = frozenset({"status", "notSelectable", "abstract", "child", "partOf", "parent", "subsumedBy"})
SEARCH_KEYS = (
    "url",
    "version",
    "code",
    "type",
    "base",
    "target",
    "multipleOr",
    "multipleAnd",
    "comparator",
    "modifier",
    "chain",
)


def picked(body: Json, keys: Iterable[str]) -> dict[str, Any]:
    """The members of these names, in this order."""
    return {key: body[key] for key in keys if key in body}


def kept_extensions(body: Json) -> dict[str, Any]:
    """The extensions that say something to a machine."""
    kept = [x for x in body.get("extension", ()) if x["url"] in KEPT_EXTENSIONS]
    return {"extension": kept} if kept else {}


class Invariants:
    """Names for constraints: the key, with a number where one key has several meanings."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], str] = {}
        self.records: dict[str, dict[str, str]] = {}

    def name(self, constraint: Json, owner: str) -> str | None:
        """The name of a constraint; None where it has no expression."""
        if "expression" not in constraint:
            return None
        body = picked(constraint, ("key", "severity", "expression"))
        body["source"] = constraint.get("source", owner)
        identity = tuple(body.values())
        if identity not in self._names:
            others = sum(name.partition("#")[0] == body["key"] for name in self.records)
            self._names[identity] = f"{body['key']}#{others + 1}" if others else body["key"]
            self.records[self._names[identity]] = body
        return self._names[identity]


def compact_element(element: Json, owner: str, invariants: Invariants) -> dict[str, Any]:
    """An ElementDefinition without prose, its constraints by name."""
    body = picked(element, ELEMENT_KEYS)
    body.update({k: True for k in ELEMENT_FLAGS if element.get(k)})
    body.update({k: v for k, v in element.items() if k.startswith(TYPED_PREFIXES)})
    if "type" in element:
        body["type"] = [picked(t, TYPE_KEYS) | kept_extensions(t) for t in element["type"]]
    if "binding" in element:
        body["binding"] = picked(element["binding"], ("strength", "valueSet")) | kept_extensions(element["binding"])
    if "slicing" in element:
        body["slicing"] = picked(element["slicing"], ("discriminator", "rules", "ordered"))
    names = [invariants.name(c, owner) for c in element.get("constraint", ())]
    if names:
        body["constraint"] = [name for name in names if name]
    return body


def structures(resources: Mapping[str, list[Json]]) -> dict[str, bytes]:
    """The tables of structures, their elements and invariants; snapshots that the package lacks are made."""
    heads: list[Record] = []
    elements: list[Record] = []
    invariants = Invariants()
    definitions = Definitions()
    for body in resources["StructureDefinition"]:
        definitions.add(body)
    for body in resources["StructureDefinition"]:
        url = body["url"]
        head = picked(body, STRUCTURE_KEYS)
        if "context" in body:
            head["context"] = [picked(c, ("type", "expression")) for c in body["context"]]
        heads.append((url, head))
        snapshot = body["snapshot"]["element"] if "snapshot" in body else made_snapshot(definitions, url)
        elements.extend((url, compact_element(element, url, invariants)) for element in snapshot)
    return {
        "structures.tsv": write_groups(heads),
        "elements.tsv": write_groups(elements),
        "invariants.tsv": write_groups(sorted(invariants.records.items())),
    }


def made_snapshot(definitions: Definitions, url: str) -> list[dict[str, Any]]:
    """The snapshot made from a differential, as ElementDefinitions."""
    structure = definitions.structure(url)
    return [] if structure is None else [element_body(element) for element in structure.elements]


def filtered_properties(resources: Mapping[str, list[Json]]) -> frozenset[str]:
    """The concept properties that the filters of value sets look at."""
    parts = (
        part
        for body in resources["ValueSet"]
        for side in ("include", "exclude")
        for part in body.get("compose", {}).get(side, ())
    )
    return frozenset(condition["property"] for part in parts for condition in part.get("filter", ()))


def compact_designation(body: Json) -> dict[str, Any]:
    """A designation; what nearly all are for, display, need not be said."""
    record = picked(body, ("language", "value"))
    use = picked(body.get("use", {}), ("system", "code"))
    return record | {"use": use} if use and use["code"] != "display" else record


def compact_concepts(bodies: Iterable[Json], parent: str | None, kept: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The concepts of a tree, each with the code above it and the properties that are kept."""
    for body in bodies:
        record = picked(body, ("code", "display"))
        if parent is not None:
            record["parent"] = parent
        if "designation" in body:
            record["designation"] = [compact_designation(d) for d in body["designation"]]
        properties = [p for p in body.get("property", ()) if p["code"] in kept]
        if properties:
            record["property"] = properties
        yield record
        yield from compact_concepts(body.get("concept", ()), body["code"], kept)


def code_systems(resources: Mapping[str, list[Json]]) -> dict[str, bytes]:
    """The tables of code systems and their concepts."""
    kept = PROPERTIES | filtered_properties(resources)
    heads: list[Record] = []
    for body in resources["CodeSystem"]:
        head = picked(body, CODE_SYSTEM_KEYS)
        declared = [picked(p, ("code", "type")) for p in body.get("property", ()) if p["code"] in kept]
        heads.append((body["url"], head | {"property": declared} if declared else head))
    concepts = (
        (b["url"], record)
        for b in resources["CodeSystem"]
        for record in compact_concepts(b.get("concept", ()), None, kept)
    )
    return {"code_systems.tsv": write_groups(heads), "concepts.tsv": write_groups(concepts)}


def compact_include(body: Json) -> dict[str, Any]:
    """A ValueSet.compose.include without prose."""
    record = picked(body, ("system", "version", "valueSet", "filter"))
    if "concept" in body:
        record["concept"] = [picked(c, ("code", "display")) for c in body["concept"]]
    return record


def value_sets(resources: Mapping[str, list[Json]]) -> dict[str, bytes]:
    """The table of value sets."""
    records: list[Record] = []
    for body in resources["ValueSet"]:
        record = picked(body, ("url", "version", "name", "status", "immutable"))
        if "compose" in body:
            parts = ((k, body["compose"][k]) for k in ("include", "exclude") if k in body["compose"])
            record["compose"] = {k: [compact_include(x) for x in v] for k, v in parts}
        elif "expansion" in body:
            contains = body["expansion"].get("contains", ())
            record["expansion"] = {"contains": [picked(c, ("system", "code", "display")) for c in contains]}
        records.append((body["url"], record))
    return {"value_sets.tsv": write_groups(records)}


def required_value_sets(resources: Mapping[str, list[Json]]) -> set[str]:
    """The canonicals of the value sets that required bindings name."""
    bindings = (
        element["binding"]
        for body in resources["StructureDefinition"]
        for element in body.get("snapshot", {}).get("element", ())
        if "binding" in element
    )
    return {b["valueSet"].partition("|")[0] for b in bindings if b["strength"] == "required" and "valueSet" in b}


def expansions(resources: Mapping[str, list[Json]]) -> dict[str, bytes]:
    """The table of the codes in the value sets of required bindings, where all of them can be listed."""
    definitions = Definitions()
    for body in (*resources["CodeSystem"], *resources["ValueSet"]):
        definitions.add(body)
    terminology = LocalTerminology(definitions)
    records: list[Record] = []
    for url in sorted(required_value_sets(resources)):
        members = terminology.membership(url)
        if members is not None and members.closed:
            records.extend((url, [system, sorted(codes)]) for system, codes in sorted(members.systems.items()))
    return {"expansions.tsv": write_groups(records)}


def compact_mapping(body: Json) -> dict[str, Any]:
    """A code of a concept map with its targets."""
    record = picked(body, ("code",))
    record["target"] = [
        picked(target, TARGET_KEYS)
        | {
            name: [picked(d, DEPENDENCY_KEYS) for d in target[name]]
            for name in ("dependsOn", "product")
            if name in target
        }
        for target in body.get("target", ())
    ]
    return record


def concept_maps(resources: Mapping[str, list[Json]]) -> dict[str, bytes]:
    """The table of concept maps."""
    records: list[Record] = []
    for body in resources["ConceptMap"]:
        record = picked(body, CONCEPT_MAP_KEYS)
        record["group"] = [
            picked(group, ("source", "sourceVersion", "target", "targetVersion", "unmapped"))
            | {"element": [compact_mapping(element) for element in group["element"]]}
            for group in body.get("group", ())
        ]
        records.append((body["url"], record))
    return {"concept_maps.tsv": write_groups(records)}


def search_parameters(resources: Mapping[str, list[Json]]) -> dict[str, bytes]:
    """The table of search parameters, `as` on lists read as ofType()."""
    records: list[Record] = []
    for body in resources["SearchParameter"]:
        if "base" not in body:
            continue
        record = picked(body, SEARCH_KEYS)
        if "expression" in body:
            record["expression"] = filtered_cast(body["expression"])
        if "component" in body:
            record["component"] = [
                {"definition": c["definition"], "expression": filtered_cast(c["expression"])} for c in body["component"]
            ]
        records.append((body["url"], record))
    return {"search_parameters.tsv": write_groups(records)}


def compartments(resources: Mapping[str, list[Json]]) -> dict[str, bytes]:
    """The table of compartments."""
    records = [
        (b["url"], picked(b, ("url", "code")) | {"resource": [r for r in b["resource"] if r.get("param")]})
        for b in resources["CompartmentDefinition"]
        if "example" not in b["url"]
    ]
    return {"compartments.tsv": write_groups(records)}


TABLES: tuple[Callable[[Mapping[str, list[Json]]], dict[str, bytes]], ...] = (
    structures,
    code_systems,
    value_sets,
    expansions,
    concept_maps,
    search_parameters,
    compartments,
)


def correct_bindings(resources: Mapping[str, list[Json]]) -> None:
    """Let bindings name value sets that exist: the package gives those of v3 the version of FHIR, not their own."""
    known = {f"{body['url']}|{body.get('version')}" for body in resources["ValueSet"]}
    urls = {body["url"] for body in resources["ValueSet"]}
    for body in resources["StructureDefinition"]:
        for element in body.get("snapshot", {}).get("element", ()):
            canonical = element.get("binding", {}).get("valueSet", "")
            url = canonical.partition("|")[0]
            if canonical not in known and url in urls:
                element["binding"]["valueSet"] = url


def compile_package(path: Path) -> dict[str, bytes]:
    """The bytes of every table by file name, made from the package at `path`."""
    resources: dict[str, list[Json]] = {}
    for body in read_package(path):
        resources.setdefault(body["resourceType"], []).append(body)
    for bodies in resources.values():
        bodies.sort(key=lambda b: str(b.get("url", "")))
    correct_bindings(resources)
    tables: dict[str, bytes] = {}
    for make in TABLES:
        tables.update(make(resources))
    return tables


def default_package() -> Path:
    """The package in the shared data folder."""
    return Path(os.environ.get("NHIPCAU_SHARED", "../shared")) / PACKAGE


def stale(tables: Mapping[str, bytes]) -> list[str]:
    """The names of the tables on disk that differ from these, or should not be there."""
    present = {file.name: file.read_bytes() for file in FOLDER.glob("*.tsv")}
    return sorted(name for name in tables.keys() | present.keys() if tables.get(name) != present.get(name))


def main(arguments: list[str] | None = None) -> int:
    """Write the tables, or with `--check` say which are not fresh; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m profiles.compile", description=__doc__)
    parser.add_argument("package", nargs="?", type=Path, default=default_package(), help="the R4 core package (.tgz)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a table is not fresh")
    options = parser.parse_args(arguments)
    tables = compile_package(options.package)
    names = stale(tables)
    if options.check:
        print("\n".join(f"not fresh: {name}" for name in names) or "all tables are fresh")
        return 1 if names else 0
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        (FOLDER / name).write_bytes(tables[name]) if name in tables else (FOLDER / name).unlink()
        print(f"written: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
