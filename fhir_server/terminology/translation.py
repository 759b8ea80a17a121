"""What a code is in another system, by concept maps, forwards and back (FHIR R4, 4.10.11 ConceptMap, $translate)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from fhir_server.definitions.concept_map import ConceptMap, Dependency, Group, Target

REVERSED: Mapping[str, str] = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}
NO_MATCH = frozenset({"unmatched", "disjoint"})
FURTHEST_MAP = 8

Contains = Callable[[str, str | None, str], bool | None]
Dependencies = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Question:
    """A code to be translated; `dependencies` are the (property, value) pairs that are known of its surroundings.

    `source` and `target` are canonicals of value sets, `target_system` a code system: what a map must be about.
    """

    system: str
    code: str
    source: str | None = None
    target: str | None = None
    target_system: str | None = None
    dependencies: Dependencies = frozenset()
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """One translation; `code` is None where a map says that there is none. `origin` is the canonical of the map."""

    equivalence: str
    system: str | None
    code: str | None
    display: str | None
    version: str | None
    product: tuple[Dependency, ...]
    origin: str

    @property
    def is_translation(self) -> bool:
        """Whether the match says what the code is, not that it is nothing."""
        return self.equivalence not in NO_MATCH


class Translator:
    """Answers from concept maps; `contains` says what is in a value set, `find` gives the map of a canonical."""

    def __init__(self, contains: Contains, find: Callable[[str], ConceptMap | None]) -> None:
        self._contains = contains
        self._find = find

    def translate(self, maps: Iterable[ConceptMap], question: Question) -> tuple[Match, ...]:
        """All translations that the maps give, each once, in their order."""
        found = (
            match for each in maps if _is_about(each, question) for match in self._in_map(each, question, FURTHEST_MAP)
        )
        return tuple(dict.fromkeys(m for m in found if question.target_system in (None, m.system)))

    def _in_map(self, concept_map: ConceptMap, question: Question, steps: int) -> Iterator[Match]:
        for group in concept_map.groups:
            if question.reverse:
                yield from self._backwards(concept_map, group, question)
            else:
                yield from self._forwards(concept_map, group, question, steps)

    def _forwards(self, concept_map: ConceptMap, group: Group, question: Question, steps: int) -> Iterator[Match]:
        if not self._covers(group.source, concept_map.source, question):
            return
        if question.code in group.elements:
            for target in group.elements[question.code]:
                if all((d.property, d.value) in question.dependencies for d in target.depends_on):
                    yield matched(concept_map, group, target)
        elif group.unmapped is not None:
            yield from self._unmapped(concept_map, group, question, steps)

    def _unmapped(self, concept_map: ConceptMap, group: Group, question: Question, steps: int) -> Iterator[Match]:
        rest = group.unmapped
        if rest is None:
            return
        if rest.mode == "other-map":
            other = self._find(rest.url) if rest.url and steps else None
            yield from self._in_map(other, question, steps - 1) if other else ()
        elif rest.mode == "provided":
            yield matched(concept_map, group, Target(question.code, None, "equal"))
        elif rest.code is not None:
            yield matched(concept_map, group, Target(rest.code, rest.display, "relatedto"))

    def _backwards(self, concept_map: ConceptMap, group: Group, question: Question) -> Iterator[Match]:
        if not self._covers(group.target, concept_map.target, question):
            return
        for code, targets in group.elements.items():
            for target in targets:
                if target.code == question.code and not target.depends_on:
                    equivalence = REVERSED.get(target.equivalence, target.equivalence)
                    yield Match(
                        equivalence, group.source, code, None, group.source_version, (), canonical_of(concept_map)
                    )

    def _covers(self, system: str | None, value_set: str | None, question: Question) -> bool:
        """Whether a side of a group is about the code; a group that names no system leaves it to the value set."""
        if system is not None:
            return system == question.system
        return value_set is not None and bool(self._contains(value_set, question.system, question.code))


def matched(concept_map: ConceptMap, group: Group, target: Target) -> Match:
    """The match of a target."""
    return Match(
        target.equivalence,
        group.target,
        target.code,
        target.display,
        group.target_version,
        target.product,
        canonical_of(concept_map),
    )


def canonical_of(concept_map: ConceptMap) -> str:
    """The url of a map, with its version where it has one."""
    return f"{concept_map.url}|{concept_map.version}" if concept_map.version else concept_map.url


def _is_about(concept_map: ConceptMap, question: Question) -> bool:
    sides = (question.source, concept_map.source), (question.target, concept_map.target)
    return all(asked is None or _same(asked, own) for asked, own in sides)


def _same(asked: str, own: str | None) -> bool:
    """Whether two canonicals are of the same thing, where the one may leave the version open."""
    if own is None:
        return False
    url, _, version = asked.partition("|")
    own_url, _, own_version = own.partition("|")
    return url == own_url and (not version or not own_version or version == own_version)
