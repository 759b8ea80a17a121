"""What the definitions tell of the elements that a search parameter selects, so that a search asks no more facets."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.definitions.registry import Definitions
from fhir_server.search.leaf import Context, Leaf, lineage
from fhir_server.search.param_types.string import FAMILY
from fhir_server.search.param_types.token import included_systems
from fhir_server.search.parameters import Component, Parameter
from fhir_server.search.path import Path, paths
from fhir_server.search.reading import WRITERS, readable_type

Kinds = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Reach:
    """The FHIR types that a parameter reads, None where its expression is more than paths.

    `single` is true where a resource has at most one value, `folded` where codes are likely to be of systems that do
    not tell case apart. `components` are the type of parameter that each component of a composite is read as, and
    what it reads.
    """

    kinds: Kinds = None
    single: bool = False
    folded: bool = False
    components: tuple[tuple[str, Kinds], ...] = ()


def reach(parameter: Parameter, context: Context) -> Reach:
    """What the definitions tell of a parameter."""
    if parameter.expression is None:
        return Reach()
    found = paths(parameter.expression, parameter.resource_type, context.definitions)
    if parameter.type == "composite":
        bases = found or ()
        return Reach(components=tuple(component_reach(c, parameter, bases, context) for c in parameter.components))
    if found is None:
        return Reach()
    folded = parameter.type == "token" and any(is_folded(path, context) for path in found)
    return Reach(kinds_of(parameter.type, found, context.definitions), is_single(found), folded)


def component_reach(
    component: Component, composite: Parameter, bases: tuple[Path, ...], context: Context
) -> tuple[str, Kinds]:
    """The type of parameter that a component is read as, and what it reads."""
    parts: list[Path] = []
    for base in bases:
        parts += paths(component.expression, base.type, context.definitions) or ()
    if not parts or not all(part.steps for part in parts):
        return component.type, None
    leaves = [Leaf((0,), part.type, part.steps[-1].member, context) for part in parts]
    others = [other for other in composite.components if other is not component]
    kind = readable_type(component, others, leaves)
    return kind, kinds_of(kind, parts, context.definitions)


def kinds_of(kind: str, found: tuple[Path, ...] | list[Path], definitions: Definitions) -> frozenset[str]:
    """The types at the end of paths, as a type of parameter reads them."""
    names: set[str] = set()
    for path in found:
        readable = WRITERS.get(kind, {})
        names.update([name for name in lineage(definitions, path.type) if name in readable][:1])
        if path.steps and path.steps[-1].member.element.path == FAMILY:
            names.add(FAMILY)
    return frozenset(names)


def is_folded(path: Path, context: Context) -> bool:
    """Whether codes at the end of a path ignore case, as far as their binding tells."""
    if path.type in ("string", "markdown"):
        return True
    if path.type not in ("CodeableConcept", "Coding", "code") or not path.steps:
        return False
    binding = path.steps[-1].member.element.binding
    is_told = binding is not None and (binding.strength == "required" or path.type != "code")
    systems = included_systems(context.definitions, binding.value_set.partition("|")[0]) if binding and is_told else ()
    return not systems or any(context.ignores_case(system) for system in systems)


def is_single(found: tuple[Path, ...]) -> bool:
    """Whether the paths lead to one value at most: no step repeats, and they differ only in the type of one choice."""
    if any(step.member.many for path in found for step in path.steps):
        return False
    places = {tuple((step.member.name, step.member.choice is not None) for step in path.steps) for path in found}
    return len(places) == 1 and (len(found) == 1 or any(chosen for _, chosen in next(iter(places))))
