"""Elements as JSON again: the ElementDefinition of a record, without its prose (FHIR R4, 2.32 ElementDefinition)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.definitions.structure import (
    ALTERNATIVES_EXTENSION,
    MAX_VALUE_SET_EXTENSION,
    MUST_HAVE_VALUE_EXTENSION,
    NARRATIVE_LANGUAGE_EXTENSION,
    PROFILE_ELEMENT_EXTENSION,
    REGEX_EXTENSION,
    Binding,
    Constraint,
    Element,
    Slicing,
    TypedValue,
    TypeRef,
)

Json = dict[str, Any]
TYPED = {"fixed": "fixed", "pattern": "pattern", "min_value": "minValue", "max_value": "maxValue"}


def element_body(element: Element) -> Json:
    """The ElementDefinition that `element_from` reads as this element."""
    return stated(
        id=element.id,
        extension=list(extensions(element)),
        path=element.path,
        representation=["xmlAttr"] if element.xml_attribute else [],
        sliceName=element.slice_name,
        slicing=slicing_body(element.slicing) if element.slicing else None,
        min=element.min,
        max=("*" if element.max is None else str(element.max)) if element.has_max else None,
        contentReference=element.content_reference,
        type=[type_body(reference, element.regex) for reference in element.types],
        maxLength=element.max_length,
        constraint=[constraint_body(constraint) for constraint in element.constraints],
        mustSupport=element.must_support or None,
        isModifier=element.is_modifier or None,
        isSummary=element.is_summary or None,
        binding=binding_body(element.binding) if element.binding else None,
    ) | dict(typed_members(element))


def extensions(element: Element) -> Iterator[Json]:
    """What extensions say of an element."""
    if element.must_have_value:
        yield {"url": MUST_HAVE_VALUE_EXTENSION, "valueBoolean": True}
    for canonical in element.value_alternatives:
        yield {"url": ALTERNATIVES_EXTENSION, "valueCanonical": canonical}
    for language in element.narrative_languages:
        yield {"url": NARRATIVE_LANGUAGE_EXTENSION, "valueCode": language}


def stated(**members: Any) -> Json:
    """The members that have something to say."""
    return {key: value for key, value in members.items() if value is not None and value != []}


def typed_members(element: Element) -> Iterator[tuple[str, Any]]:
    """The members whose name ends in a type, as fixedCode or patternCodeableConcept."""
    for name, prefix in TYPED.items():
        value: TypedValue | None = getattr(element, name)
        if value is not None:
            yield prefix + value.type[:1].upper() + value.type[1:], value.value


def slicing_body(slicing: Slicing) -> Json:
    """ElementDefinition.slicing."""
    parts = [{"type": part.type, "path": part.path} for part in slicing.discriminators]
    return stated(discriminator=parts, ordered=slicing.ordered, rules=slicing.rules)


def type_body(reference: TypeRef, regex: str | None) -> Json:
    """One ElementDefinition.type; the regular expression of a primitive's value stands on its type."""
    inner = [extension(PROFILE_ELEMENT_EXTENSION, profile.partition("#")[2]) for profile in reference.profiles]
    return stated(
        extension=[extension(REGEX_EXTENSION, regex)] if regex else [],
        code=reference.code,
        profile=[profile.partition("#")[0] for profile in reference.profiles],
        _profile=[{"extension": [part]} if part["valueString"] else None for part in inner] if any_inner(inner) else [],
        targetProfile=list(reference.target_profiles),
        aggregation=list(reference.aggregation),
        versioning=reference.versioning,
    )


def any_inner(parts: list[Json]) -> bool:
    """True when a profile means an element inside a structure."""
    return any(part["valueString"] for part in parts)


def extension(url: str, value: str) -> Json:
    """An extension with a string."""
    return {"url": url, "valueString": value}


def constraint_body(constraint: Constraint) -> Json:
    """One ElementDefinition.constraint."""
    return {
        "key": constraint.key,
        "severity": constraint.severity,
        "expression": constraint.expression,
        "source": constraint.source,
    }


def binding_body(binding: Binding) -> Json:
    """ElementDefinition.binding."""
    bound = binding.max_value_set
    return stated(
        extension=[{"url": MAX_VALUE_SET_EXTENSION, "valueCanonical": bound}] if bound else [],
        strength=binding.strength,
        valueSet=binding.value_set or None,
    )
