"""Whether a display is one that the code system, a supplement or the value set gives (FHIR R4, 4.9.9.1 display)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fhir_server.definitions.code_system import CodeSystem, Concept


def in_language(language: str | None, wanted: Sequence[str]) -> bool:
    """True when a text in `language` serves one who reads the wanted ones; what names no language counts as English."""
    if not wanted:
        return True
    own = (language or "en").lower()
    return any(own == tag.lower() or own.partition("-")[0] == tag.lower().partition("-")[0] for tag in wanted)


def valid_displays(
    code_system: CodeSystem, concept: Concept, supplements: Iterable[CodeSystem], languages: Sequence[str]
) -> Iterator[str]:
    """The displays and designations of a concept in these languages, the system's own first."""
    if concept.display is not None and in_language(code_system.language, languages):
        yield concept.display
    yield from (d.value for d in concept.designations if in_language(d.language, languages))
    for supplement in supplements:
        added = supplement.concept(concept.code)
        if added is not None:
            if added.display is not None and in_language(supplement.language, languages):
                yield added.display
            yield from (d.value for d in added.designations if in_language(d.language, languages))


def judge_display(display: str | None, valid: Sequence[str]) -> tuple[bool | None, bool]:
    """Whether the display is valid, letter case aside, and if not, whether it is but for its white space."""
    if display is None or not valid:
        return None, False
    folded = display.casefold()
    if any(folded == text.casefold() for text in valid):
        return True, False
    words = folded.split()
    return False, any(words == text.casefold().split() for text in valid)
