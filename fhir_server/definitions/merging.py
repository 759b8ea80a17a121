"""What an element of a differential, a slice or a profile does to the element that it constrains (FHIR R4, 2.32.4)."""

from __future__ import annotations

from dataclasses import replace

from fhir_server.definitions.structure import Binding, Constraint, Element


def merged(base: Element, change: Element) -> Element:
    """The base's element with everything that the differential says of it."""
    return replace(
        base,
        min=base.min if change.min is None else change.min,
        max=change.max if change.has_max else base.max,
        types=change.types or base.types,
        content_reference=None if change.types else change.content_reference or base.content_reference,
        binding=bound(base.binding, change.binding),
        fixed=change.fixed or base.fixed,
        pattern=change.pattern or base.pattern,
        min_value=change.min_value or base.min_value,
        max_value=change.max_value or base.max_value,
        max_length=base.max_length if change.max_length is None else change.max_length,
        constraints=gathered(base.constraints, change.constraints),
        slicing=change.slicing or base.slicing,
        slice_name=change.slice_name or base.slice_name,
        regex=change.regex or base.regex,
        is_modifier=base.is_modifier or change.is_modifier,
        is_summary=base.is_summary or change.is_summary,
        must_support=base.must_support or change.must_support,
        xml_attribute=base.xml_attribute or change.xml_attribute,
        must_have_value=base.must_have_value or change.must_have_value,
        value_alternatives=change.value_alternatives or base.value_alternatives,
        narrative_languages=change.narrative_languages or base.narrative_languages,
    )


def bound(base: Binding | None, change: Binding | None) -> Binding | None:
    """The binding that holds; one that names no value set keeps the base's."""
    if change is None or base is None or change.value_set:
        return change or base
    return replace(change, value_set=base.value_set)


def gathered(base: tuple[Constraint, ...], added: tuple[Constraint, ...]) -> tuple[Constraint, ...]:
    """The constraints of both, each key once."""
    keys = {constraint.key for constraint in base}
    return base + tuple(constraint for constraint in added if constraint.key not in keys)


def as_slice(element: Element, name: str) -> Element:
    """What a new slice starts from: the unsliced element, none of it required, not divided itself."""
    return replace(element, min=0, slicing=None, slice_name=name)


def with_profile(element: Element, root: Element) -> Element:
    """The element with what the root of its type's profile says; a differential may say otherwise afterwards.

    How often an extension may stand is its own definition's to say, how often another type may is the element's.
    """
    extension = root.path == "Extension"
    return replace(
        element,
        min=root.min if extension and root.min is not None else element.min,
        max=root.max if extension and root.has_max else element.max,
        constraints=gathered(element.constraints, root.constraints),
        is_modifier=element.is_modifier or root.is_modifier,
    )
