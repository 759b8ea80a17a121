"""A folder of definitions as a FHIR package that others can load (FHIR NPM package specification).

The same folder gives the same bytes. Profiles get their snapshots, in words where FHIR demands words (FHIR R4, 5.3.2).
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from fhir_server.definitions.element_body import element_body
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.snapshot import SnapshotFault
from fhir_server.definitions.structure import TYPE_URL, Element, Structure
from fhir_server.errors import Invalid
from fhir_server.package import read_package

Json = dict[str, Any]

MANIFEST = "package.json"
EXAMPLES = "examples"
DEMANDED = ("name", "version", "fhirVersions", "dependencies", "canonical", "license")
INDEX_VERSION = 2
INDEXED = ("resourceType", "id", "url", "version", "kind", "type", "supplements", "content", "derivation", "valueSet")
ALL_HAVE = {"id": "Element", "extension": "Element", "modifierExtension": "BackboneElement"}
"""What elements within a resource have, and where FHIR defines it."""


def make_package(definitions: Definitions, folder: Path) -> bytes:
    """The package of a folder: its definitions, those of `examples` as examples, and its manifest.

    Raise Invalid for a folder without a manifest, with resources without an id, or profiles without a snapshot.
    """
    manifest = manifest_of(folder)
    defined = named(read_package(folder))
    examples = named(read_package(folder / EXAMPLES)) if (folder / EXAMPLES).is_dir() else {}
    for body in defined.values():
        definitions.add(body)
    kept = {name: with_snapshot(definitions, body) for name, body in defined.items()}
    guide = guide_of(manifest, kept, examples)
    kept[f"ImplementationGuide-{guide['id']}.json"] = guide
    files = {f"package/{MANIFEST}": pretty(manifest)}
    for place, bodies in (("package", kept), ("package/example", examples)):
        files |= {f"{place}/{name}": pretty(body) for name, body in bodies.items()}
        if bodies:
            files[f"{place}/.index.json"] = pretty(index_of(bodies))
    return archive(files)


def manifest_of(folder: Path) -> Json:
    """The manifest of a folder; raise Invalid where there is none, or it does not say what it must."""
    file = folder / MANIFEST
    try:
        manifest = orjson.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} cannot be read: {error}") from None
    lacking = [name for name in DEMANDED if not isinstance(manifest, dict) or not manifest.get(name)]
    if lacking:
        raise Invalid(f"{file} must say: {', '.join(lacking)}.")
    return dict(manifest)


def named(bodies: Iterator[Json]) -> dict[str, Json]:
    """Resources by the names of their files in a package, in the order of the names; raise Invalid for one twice."""
    found: dict[str, Json] = {}
    for body in bodies:
        name = f"{body['resourceType']}-{body.get('id', '')}.json"
        if not body.get("id") or name in found:
            raise Invalid(f"Each {body['resourceType']} of a package has an id of its own: {body.get('url', name)}.")
        found[name] = body
    return dict(sorted(found.items()))


def index_of(bodies: Mapping[str, Json]) -> Json:
    """The `.index.json` of a folder of a package."""
    files = [{"filename": name, **{key: body[key] for key in INDEXED if key in body}} for name, body in bodies.items()]
    return {"index-version": INDEX_VERSION, "files": files}


def guide_of(manifest: Json, defined: Mapping[str, Json], examples: Mapping[str, Json]) -> Json:
    """The ImplementationGuide that lists what a package holds (FHIR R4, 14.6)."""
    listed: list[Json] = [
        {
            "reference": {"reference": f"{body['resourceType']}/{body['id']}"},
            "name": body["title"],
            "exampleBoolean": False,
        }
        for body in defined.values()
    ]
    for body in examples.values():
        shown = next(iter(body.get("meta", {}).get("profile", ())), None)
        member = {"exampleBoolean": True} if shown is None else {"exampleCanonical": shown}
        listed.append(
            {"reference": {"reference": f"{body['resourceType']}/{body['id']}"}, "name": body["id"], **member}
        )
    return {
        "resourceType": "ImplementationGuide",
        "id": manifest["name"],
        "url": f"{manifest['canonical']}:ImplementationGuide:{manifest['name']}",
        "version": manifest["version"],
        "name": "".join(part.capitalize() for part in manifest["name"].split(".")),
        "title": manifest.get("title", manifest["name"]),
        "status": "active",
        "packageId": manifest["name"],
        "license": manifest["license"],
        "fhirVersion": manifest["fhirVersions"],
        "dependsOn": [
            {"id": name.replace(".", "-"), "uri": "http://hl7.org/fhir", "packageId": name, "version": version}
            for name, version in manifest["dependencies"].items()
        ],
        "definition": {"resource": listed},
    }


def archive(files: Mapping[str, bytes]) -> bytes:
    """A packed tar archive that depends on nothing but what it holds."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files, key=lambda each: (each != f"package/{MANIFEST}", each)):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            tar.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(plain.getvalue(), mtime=0)


def pretty(body: Json) -> bytes:
    """A resource as a person reads it."""
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


# ---- snapshots


def with_snapshot(definitions: Definitions, body: Json) -> Json:
    """A StructureDefinition with its snapshot before its differential; anything else as it is. Raise Invalid."""
    if body["resourceType"] != "StructureDefinition" or "snapshot" in body:
        return body
    structure = definitions.stated_structure(f"{body['url']}|{body['version']}")
    if structure is None:
        raise Invalid(f"{body['url']} cannot be read.")
    try:
        made = definitions.snapshots.make(structure)
    except SnapshotFault as fault:
        raise Invalid(fault.issues[0]) from None
    if made.issues:
        raise Invalid(made.issues[0])
    said = {each["id"]: each for each in body["differential"]["element"]}
    human = {each["key"]: each["human"] for element in said.values() for each in element.get("constraint", ())}
    elements = [worded(definitions, structure, element, said.get(element.id, {}), human) for element in made.elements]
    rest = {key: value for key, value in body.items() if key != "differential"}
    return {**rest, "snapshot": {"element": elements}, "differential": body["differential"]}


def worded(
    definitions: Definitions, structure: Structure, element: Element, said: Json, human: Mapping[str, str]
) -> Json:
    """An element with the words and the base that FHIR demands in a snapshot (sdf-3, sdf-8b, eld-18)."""
    body = element_body(element)
    base = origin(definitions, structure.type, element.path)
    told: Json = {name: said[name] for name in ("short", "definition") if name in said}
    told.setdefault("definition", told.get("short") or f"{base.path} as FHIR R4 defines it.")
    told["base"] = {"path": base.path, "min": base.min, "max": "*" if base.max is None else str(base.max)}
    if element.is_modifier:
        told["isModifierReason"] = f"{base.path} as FHIR R4 defines it."
    if "binding" in body and "valueSet" not in body["binding"]:
        body["binding"]["description"] = f"{base.path} as FHIR R4 defines it."
    for each in body.get("constraint", ()):
        each["human"] = human.get(each["key"], f"The rule {each['key']} of FHIR R4 holds.")
    return {**body, **told}


def origin(definitions: Definitions, kind: str, path: str) -> Element:
    """The element of FHIR itself that an element of a profile restricts; raise Invalid where there is none."""
    structure = definitions.structure(TYPE_URL + kind)
    known = {each.path: each for each in structure.elements} if structure is not None else {}
    if path in known and structure is not None:
        return inherited(definitions, structure, known[path])
    steps = path.split(".")
    for count in range(len(steps) - 1, 0, -1):
        outer = known.get(".".join(steps[:count]))
        if outer is not None and outer.content_reference:
            same = outer.content_reference.partition("#")[2]
            return origin(definitions, kind, ".".join((same, *steps[count:])))
        if outer is not None and outer.types:
            code = outer.types[0].code
            return origin(definitions, code, ".".join((code, *steps[count:])))
    raise Invalid(f"There is no element {path}.")


def inherited(definitions: Definitions, structure: Structure, element: Element) -> Element:
    """The element that an element of a type is inherited from; itself where the type defines it."""
    _, _, rest = element.path.partition(".")
    owner = ALL_HAVE.get(rest.rpartition(".")[2]) if "." in rest else None
    base = definitions.structure(structure.base_definition) if rest and structure.base_definition else None
    if owner is not None:
        base, rest = definitions.structure(TYPE_URL + owner), rest.rpartition(".")[2]
    if base is None:
        return element
    found = next((each for each in base.elements if each.path == f"{base.type}.{rest}"), None)
    return element if found is None else inherited(definitions, base, found)
