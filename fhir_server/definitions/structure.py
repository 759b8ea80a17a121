"""StructureDefinition and ElementDefinition as typed records (FHIR R4, 5.3 and 2.32)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import zip_longest
from typing import Any

UNTOLD_ID = "id?"
SYSTEM_TYPE = "http://hl7.org/fhirpath/System."
TYPE_EXTENSION = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
REGEX_EXTENSION = "http://hl7.org/fhir/StructureDefinition/regex"
MAX_VALUE_SET_EXTENSION = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
PROFILE_ELEMENT_EXTENSION = "http://hl7.org/fhir/StructureDefinition/elementdefinition-profile-element"
MUST_HAVE_VALUE_EXTENSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.mustHaveValue"
ALTERNATIVES_EXTENSION = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.valueAlternatives"
NARRATIVE_LANGUAGE_EXTENSION = "http://hl7.org/fhir/StructureDefinition/narrative-language-control"
TYPE_URL = "http://hl7.org/fhir/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class Binding:
    """The value set that codes of an element come from; `max_value_set` bounds a weaker binding."""

    strength: str
    value_set: str
    max_value_set: str | None = None


@dataclass(frozen=True, slots=True)
class TypeRef:
    """One allowed type of an element, with the profiles that it, or what it refers to, must meet."""

    code: str
    profiles: tuple[str, ...] = ()
    target_profiles: tuple[str, ...] = ()
    aggregation: tuple[str, ...] = ()
    versioning: str | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """One invariant: a FHIRPath expression that must be true of the element; `source` is the structure that made it."""

    key: str
    severity: str
    expression: str
    source: str


@dataclass(frozen=True, slots=True)
class Discriminator:
    """What tells one slice from another: value, exists, pattern, type or profile of the element at `path`."""

    type: str
    path: str


@dataclass(frozen=True, slots=True)
class Slicing:
    """How the repetitions of an element are divided; `rules` is open, closed or openAtEnd."""

    discriminators: tuple[Discriminator, ...]
    rules: str
    ordered: bool


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A JSON value of a named FHIR type, as in fixedCode or patternCodeableConcept."""

    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class Element:
    """One ElementDefinition of a snapshot or differential; `max` is None for `*`."""

    id: str
    path: str
    min: int | None
    max: int | None
    has_max: bool = True
    types: tuple[TypeRef, ...] = ()
    content_reference: str | None = None
    binding: Binding | None = None
    fixed: TypedValue | None = None
    pattern: TypedValue | None = None
    min_value: TypedValue | None = None
    max_value: TypedValue | None = None
    max_length: int | None = None
    constraints: tuple[Constraint, ...] = ()
    slicing: Slicing | None = None
    slice_name: str | None = None
    regex: str | None = None
    is_modifier: bool = False
    is_summary: bool = False
    must_support: bool = False
    xml_attribute: bool = False
    must_have_value: bool = False
    value_alternatives: tuple[str, ...] = ()
    narrative_languages: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last step of the path, `value[x]` for a choice."""
        return self.path.rpartition(".")[2]

    @property
    def is_choice(self) -> bool:
        """True for `value[x]` and its like."""
        return self.path.endswith("[x]")


@dataclass(frozen=True, slots=True)
class Context:
    """Where an extension may stand: type is `element`, `fhirpath` or `extension`."""

    type: str
    expression: str


@dataclass(frozen=True, slots=True)
class Structure:
    """A StructureDefinition; `elements` is the snapshot, empty until one is generated from `differential`."""

    url: str
    version: str | None
    name: str
    kind: str
    abstract: bool
    type: str
    base_definition: str | None
    derivation: str | None
    contexts: tuple[Context, ...] = ()
    context_invariants: tuple[str, ...] = ()
    elements: tuple[Element, ...] = ()
    differential: tuple[Element, ...] = ()

    def with_snapshot(self, elements: Sequence[Element]) -> Structure:
        """The same structure with these snapshot elements."""
        return replace(self, elements=tuple(elements))


def binding_from(body: Mapping[str, Any]) -> Binding:
    """Read an ElementDefinition.binding."""
    bound = next(
        (
            x.get("valueCanonical") or x.get("valueUri")
            for x in body.get("extension", ())
            if x.get("url") == MAX_VALUE_SET_EXTENSION
        ),
        None,
    )
    return Binding(body["strength"], body.get("valueSet", ""), bound)


def type_from(body: Mapping[str, Any], path: str) -> TypeRef:
    """Read an ElementDefinition.type; the System types of ids, urls and primitive values become FHIR types."""
    code = body.get("code", "")
    if len(body) == 1 and not code.startswith(SYSTEM_TYPE):
        return plain_type(code)
    if code.startswith(SYSTEM_TYPE):
        code = system_type(body, path)
    return TypeRef(
        code,
        tuple(profiles_of(body)) if "profile" in body else (),
        tuple(body.get("targetProfile", ())),
        tuple(body.get("aggregation", ())),
        body.get("versioning"),
    )


@lru_cache(1024)
def plain_type(code: str) -> TypeRef:
    """A type that is its code alone; most are one of few."""
    return TypeRef(code)


def profiles_of(body: Mapping[str, Any]) -> Iterator[str]:
    """The profiles of a type; one that means an element inside a structure ends in `#` and the element's id."""
    for profile, extra in zip_longest(body.get("profile", ()), body.get("_profile", ())):
        parts = (extra or {}).get("extension", ())
        inner = next((x.get("valueString") for x in parts if x.get("url") == PROFILE_ELEMENT_EXTENSION), None)
        if profile is not None:
            yield f"{profile}#{inner}" if inner else profile


def system_type(body: Mapping[str, Any], path: str) -> str:
    """The FHIR type of an element whose type is a System type: the R4 package calls Resource.id a string."""
    last = path.rpartition(".")[2]
    if last == "value":
        return str(body["code"])
    if last == "id" and path.count(".") == 1 and path[0].isupper():
        return UNTOLD_ID
    named = next((x for x in body.get("extension", ()) if x.get("url") == TYPE_EXTENSION), None)
    return str(named.get("valueUrl") or named.get("valueUri")) if named else "string"


def constraint_from(body: Mapping[str, Any], owner: str) -> Constraint | None:
    """Read an ElementDefinition.constraint; None where it has no FHIRPath expression."""
    if "expression" not in body:
        return None
    return interned(body["key"], body["severity"], body["expression"], body.get("source", owner))


@lru_cache(4096)
def interned(key: str, severity: str, expression: str, source: str) -> Constraint:
    """A constraint; `ele-1` stands on nearly every element, so each is made once."""
    return Constraint(key, severity, expression, source)


def slicing_from(body: Mapping[str, Any]) -> Slicing:
    """Read an ElementDefinition.slicing."""
    parts = tuple(Discriminator(d["type"], d["path"]) for d in body.get("discriminator", ()))
    return Slicing(parts, body.get("rules", "open"), body.get("ordered", False))


def typed_values(body: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an ElementDefinition that end in a type, by field: `fixedCode` is the `fixed` of a code."""
    found: dict[str, TypedValue] = {}
    for key, value in body.items():
        prefix = TYPED_MEMBER.match(key)
        if prefix is not None:
            name = key[prefix.end() :]
            lower = name[0].lower() + name[1:]
            found[TYPED_FIELDS[prefix[0]]] = TypedValue(lower if lower in PRIMITIVES else name, value)
    return found


TYPED_MEMBER = re.compile("(?:fixed|pattern|minValue|maxValue)(?=[A-Z])")
TYPED_FIELDS = {"fixed": "fixed", "pattern": "pattern", "minValue": "min_value", "maxValue": "max_value"}
PRIMITIVES = frozenset({
    "base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant", "integer",
    "markdown", "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url", "uuid", "xhtml",
})  # fmt: skip


def regex_from(body: Mapping[str, Any]) -> str | None:
    """The regular expression of a primitive's value, from the extension on the element or on its type."""
    for kind in (body, *body.get("type", ())):
        for extension in kind.get("extension", ()):
            if extension.get("url") == REGEX_EXTENSION:
                return str(extension["valueString"])
    return None


def extension_values(body: Mapping[str, Any]) -> dict[str, Any]:
    """What extensions say of an element beyond R4's own members: R5's demands on values, languages of the narrative."""
    found: dict[str, list[Any]] = {}
    for extension in body.get("extension", ()):
        value = next((v for k, v in extension.items() if k.startswith("value")), None)
        found.setdefault(extension.get("url", ""), []).append(value)
    return {
        "must_have_value": True in found.get(MUST_HAVE_VALUE_EXTENSION, ()),
        "value_alternatives": tuple(found.get(ALTERNATIVES_EXTENSION, ())),
        "narrative_languages": tuple(found.get(NARRATIVE_LANGUAGE_EXTENSION, ())),
    }


def element_from(body: Mapping[str, Any], owner: str) -> Element:
    """Read an ElementDefinition of the structure whose canonical is `owner`."""
    path = body["path"]
    top = body.get("max")
    constraints = (constraint_from(c, owner) for c in body.get("constraint", ()))
    return Element(
        id=body.get("id", path),
        path=path,
        min=body.get("min"),
        max=None if top in (None, "*") else int(top),
        has_max=top is not None,
        types=tuple(type_from(t, path) for t in body.get("type", ())),
        content_reference=body.get("contentReference"),
        binding=binding_from(body["binding"]) if "binding" in body else None,
        max_length=body.get("maxLength"),
        **typed_values(body),
        **(extension_values(body) if "extension" in body else {}),
        constraints=tuple(c for c in constraints if c is not None),
        slicing=slicing_from(body["slicing"]) if "slicing" in body else None,
        slice_name=body.get("sliceName"),
        regex=regex_from(body),
        is_modifier=body.get("isModifier", False),
        is_summary=body.get("isSummary", False),
        must_support=body.get("mustSupport", False),
        xml_attribute="xmlAttr" in body.get("representation", ()),
    )


def structure_from(body: Mapping[str, Any]) -> Structure:
    """Read a StructureDefinition resource, or its record in the compiled tables."""
    url = body["url"]
    kind = body.get("kind", "")
    return Structure(
        url=url,
        version=body.get("version"),
        name=body.get("name", ""),
        kind=kind,
        abstract=body.get("abstract", False),
        type=body.get("type", "").removeprefix(TYPE_URL),
        base_definition=body.get("baseDefinition"),
        derivation=body.get("derivation"),
        contexts=tuple(Context(c["type"], c["expression"]) for c in body.get("context", ())),
        context_invariants=tuple(body.get("contextInvariant", ())),
        elements=elements_from(body, "snapshot", url, kind),
        differential=elements_from(body, "differential", url, kind),
    )


def elements_from(body: Mapping[str, Any], view: str, url: str, kind: str) -> tuple[Element, ...]:
    """The elements of a snapshot or differential; an id is `id` in resources and `string` elsewhere."""
    own = "id" if kind == "resource" else "string"
    return tuple(with_id_type(element_from(e, url), own) for e in body.get(view, {}).get("element", ()))


def with_id_type(element: Element, own: str) -> Element:
    """The element with the type of its id told, where that hangs on the structure."""
    if not any(reference.code == UNTOLD_ID for reference in element.types):
        return element
    types = tuple(replace(t, code=own) if t.code == UNTOLD_ID else t for t in element.types)
    return replace(element, types=types)
