"""Profiles in a few words, and what a validator that knows them finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.definitions.registry import r4
from fhir_server.definitions.structure import TYPE_URL
from fhir_server.errors import Issue
from fhir_server.validation.depth import Depth
from fhir_server.validation.validator import Validator

BASE = "https://example.org/fhir/StructureDefinition/"
LOINC = "http://loinc.org"


def profile(name: str, kind: str, *elements: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A profile on a type that says what these elements say."""
    return {
        "resourceType": "StructureDefinition",
        "url": BASE + name,
        "name": name,
        "status": "active",
        "kind": "resource" if r4().type(kind).kind == "resource" else "complex-type",
        "abstract": False,
        "type": kind,
        "baseDefinition": TYPE_URL + kind,
        "derivation": "constraint",
        "differential": {"element": [{"id": kind, "path": kind}, *elements]},
    } | more


def element(identity: str, **facets: Any) -> dict[str, Any]:
    """An element of a differential by its id, from which its path and slice follow."""
    path = ".".join(step.partition(":")[0] for step in identity.split("."))
    name = identity.rpartition(".")[2].partition(":")[2]
    return {"id": identity, "path": path} | ({"sliceName": name} if name else {}) | facets


def sliced(identity: str, kind: str, path: str, rules: str = "open", **more: Any) -> dict[str, Any]:
    """An element that is divided by one discriminator."""
    slicing = {"discriminator": [{"type": kind, "path": path}], "rules": rules} | more
    return element(identity, slicing=slicing)


def extension(
    name: str, *elements: Mapping[str, Any], context: Iterable[Any] = ("Element",), **more: Any
) -> dict[str, Any]:
    """The definition of an extension; a context is an element, or a pair of type and expression."""
    pairs = [c if isinstance(c, tuple) else ("element", c) for c in context]
    own = element("Extension.url", fixedUri=BASE + name)
    contexts = [{"type": kind, "expression": expression} for kind, expression in pairs]
    return profile(name, "Extension", *elements, own, context=contexts, **more)


def coded(code: str, system: str = LOINC) -> dict[str, Any]:
    """A concept with one coding."""
    return {"coding": [{"system": system, "code": code}]}


def resource(kind: str, **members: Any) -> dict[str, Any]:
    """A resource of a type, with what its base type requires where a test does not give it."""
    required: dict[str, dict[str, Any]] = {
        "Observation": {"status": "final", "code": coded("1-8")},
        "Composition": {
            "status": "final",
            "type": coded("2-6"),
            "date": "2024",
            "author": [{"display": "A"}],
            "title": "T",
        },
        "Bundle": {"type": "collection"},
        "List": {"status": "current", "mode": "working"},
    }
    return {"resourceType": kind, **required.get(kind, {}), **members}


class Checked:
    """A validator that knows some definitions beside R4's own."""

    def __init__(self, *definitions: Mapping[str, Any], depth: Depth = "write") -> None:
        self.definitions = r4().extended()
        for body in definitions:
            self.definitions.add(body)
        self.validator = Validator(self.definitions, depth=depth)
        first = next((d["url"] for d in definitions if d.get("derivation") == "constraint"), None)
        self._profiles = [first] if first is not None and definitions[0].get("type") != "Extension" else []

    def issues(self, body: Any, *profiles: str) -> list[Issue]:
        """The errors of a resource by the named profiles, or else by the first one that was given."""
        named = [BASE + name for name in profiles] or self._profiles
        return [i for i in self.validator.validate(body, profiles=named).issues if i.is_error]

    def texts(self, body: Any, *profiles: str) -> list[str]:
        """The errors as `place: text`."""
        return [f"{i.expression[0]}: {i.text}" for i in self.issues(body, *profiles)]
