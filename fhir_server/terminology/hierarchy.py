"""What is above and below what in a code system, several parents included (FHIR R4, 4.8.11 subsumption)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fhir_server.definitions.code_system import CodeSystem

Links = Mapping[str, set[str]]


class Hierarchy:
    """The parents and children of every concept, from the tree and from the properties that name them."""

    def __init__(self, code_system: CodeSystem) -> None:
        self._parents: dict[str, set[str]] = {}
        self._children: dict[str, set[str]] = {}
        for concept in code_system.concepts.values():
            for parent in concept.parents:
                self._link(parent, concept.code)
            for name, value in concept.properties:
                if name == "child":
                    self._link(concept.code, str(value))

    def _link(self, parent: str, child: str) -> None:
        self._parents.setdefault(child, set()).add(parent)
        self._children.setdefault(parent, set()).add(child)

    def ancestors(self, code: str) -> set[str]:
        """All concepts above this one, at any distance."""
        return reached(code, self._parents)

    def descendants(self, code: str) -> set[str]:
        """All concepts below this one, at any distance."""
        return reached(code, self._children)

    def parents(self, code: str) -> Iterable[str]:
        """The concepts right above."""
        return self._parents.get(code, ())

    def children(self, code: str) -> Iterable[str]:
        """The concepts right below."""
        return self._children.get(code, ())


def reached(start: str, links: Links) -> set[str]:
    """Everything that the links lead to from `start`, itself only where they form a ring."""
    found: set[str] = set()
    waiting = list(links.get(start, ()))
    while waiting:
        code = waiting.pop()
        if code not in found:
            found.add(code)
            waiting.extend(links.get(code, ()))
    return found
