"""Where the elements of a structure lie: element ids and paths as steps (FHIR R4, 2.32.3.1 paths and identifiers)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_server.definitions.structure import Element

Step = tuple[str, str | None]
Steps = tuple[Step, ...]


def steps_of(element_id: str) -> Steps:
    """The steps of an element id: each a name and, after a colon, the slice."""
    parts = (part.partition(":") for part in element_id.split("."))
    return tuple((name, slice_name or None) for name, _, slice_name in parts)


def located(elements: Iterable[Element]) -> Iterator[tuple[Steps, Element]]:
    """The elements with their steps, from the ids, or where those say too little from the order of the elements.

    The slice names on the way to an element without a telling id are those of the elements before it. Where no id
    names a slice, none tells.
    """
    elements = list(elements)
    telling = any(":" in element.id for element in elements)
    open_slices: dict[str, str] = {}
    for element in elements:
        names = element.path.split(".")
        told = steps_of(element.id)
        if not telling or len(told) != len(names) or not agrees(told, element):
            told = tuple((name, open_slices.get(".".join(names[: i + 1]))) for i, name in enumerate(names))
            told = (*told[:-1], (names[-1], element.slice_name))
        open_slices = {path: name for path, name in open_slices.items() if element.path.startswith(f"{path}.")}
        open_slices.update(slices_on(told, names))
        yield told, element


def agrees(told: Steps, element: Element) -> bool:
    """True when the id names the slice that the element says it is, and slices are named on the way at all."""
    last = told[-1][1]
    return last == element.slice_name or (element.slice_name is None and last is not None)


def slices_on(told: Steps, names: list[str]) -> dict[str, str]:
    """The slices that an element lies in, by path."""
    return {".".join(names[: i + 1]): name for i, (_, name) in enumerate(told) if name is not None}
