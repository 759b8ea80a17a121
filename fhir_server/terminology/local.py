"""The terminology of the loaded definitions: membership, expansion, displays and subsumption without any other server.

FHIR R4, 4.9.8 value set expansion, 4.9.9 validation, 4.8.13 code system content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from fhir_server.definitions.code_system import CodeSystem, Concept, Designation
from fhir_server.definitions.concept_map import ConceptMap
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.value_set import Include, ValueSet
from fhir_server.search.folding import fold
from fhir_server.terminology.display import judge_display, valid_displays
from fhir_server.terminology.extent import Extent, Open, Test, both, union, untold
from fhir_server.terminology.hierarchy import Hierarchy
from fhir_server.terminology.lookup import Lookup, looked_up
from fhir_server.terminology.named_system import FORMS, FURTHER_CODES, JUDGES
from fhir_server.terminology.protocol import NO_CODES, UNKNOWN, CodeCheck, Entry, Expansion, Membership
from fhir_server.terminology.selection import select
from fhir_server.terminology.system_version import SystemVersions
from fhir_server.terminology.translation import Match, Question, Translator

DEEPEST_IMPORT = 50
ROOM_FOR_EXPANSIONS = 128
ROOM_FOR_CHECKS = 8192
ROOM_FOR_EXTENTS = 8192
INACTIVE = frozenset({"inactive", "retired", "deprecated-inactive"})
UNTOLD = Extent(open=(Open(None, untold),))
Trail = tuple[str, ...]
CheckKey = tuple[str, str, str | None, tuple[str, ...], str | None]


class LocalTerminology:
    """Answers from the code systems and value sets of `definitions`, each prepared when it is first asked for.

    `versions` are those of code systems that value sets are to be read with.
    """

    def __init__(self, definitions: Definitions, versions: SystemVersions | None = None) -> None:
        self._definitions = definitions
        self._versions = versions
        self._generation = definitions.generation
        self._memberships: dict[str, Membership] = {}
        self._extents: dict[str, Extent] = {}
        self._hierarchies: dict[tuple[str, str | None], Hierarchy] = {}
        self._expansions: dict[str, Expansion] = {}
        self._words: dict[str, tuple[str, ...]] = {}
        self._checks: dict[CheckKey, CodeCheck] = {}

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """True when the code is in the value set; without a system, when any system of the value set has it."""
        if self._generation != self._definitions.generation:
            self._forget()
        found = self._memberships.get(value_set) or self.membership(value_set)
        if found is None:
            return None
        if code in (found.codes if system is None else found.systems.get(system, NO_CODES)):
            return True
        return found.judge(system, code)

    def membership(self, value_set: str) -> Membership | None:
        """The prepared codes of a value set; None when the value set is not known."""
        self._refresh()
        if value_set not in self._memberships:
            extent = self._extent(value_set, ())
            if extent is None:
                return None
            if len(self._memberships) >= ROOM_FOR_EXTENTS:
                self._memberships.clear()
            self._memberships[value_set] = Membership(
                systems=extent.listed,
                codes=frozenset().union(*extent.listed.values()),
                closed=extent.closed,
                judge=self._further(extent),
            )
        return self._memberships[value_set]

    def expand(self, value_set: str, text: str | None = None) -> Expansion | None:
        """The concepts of a value set in the order of its definition; None when the value set is not known."""
        self._refresh()
        whole = self._whole(value_set)
        if whole is None or not text or not text.strip():
            return whole
        if value_set not in self._words:
            if len(self._words) >= ROOM_FOR_EXPANSIONS:
                self._words.pop(next(iter(self._words)))
            self._words[value_set] = tuple(words_of(whole.entries))
        wanted = [f" {word}" for word in fold(text).split()]
        found = (
            each
            for each, words in zip(whole.entries, self._words[value_set], strict=True)
            if all(word in words for word in wanted)
        )
        return replace(whole, entries=tuple(found))

    def _whole(self, value_set: str) -> Expansion | None:
        if value_set not in self._expansions:
            extent, definition = self._extent(value_set, ()), self._definitions.value_set(value_set)
            if extent is None or definition is None:
                return None
            entries = {
                (e.system, e.code): e for e in self._entries(definition, set()) if extent.contains(e.system, e.code)
            }
            if len(self._expansions) >= ROOM_FOR_EXPANSIONS:
                self._expansions.pop(next(iter(self._expansions)))
            self._expansions[value_set] = Expansion(
                definition.url, definition.version, tuple(entries.values()), extent.closed
            )
        return self._expansions[value_set]

    def validate_code(
        self,
        system: str,
        code: str,
        display: str | None = None,
        languages: Sequence[str] = (),
        value_set: str | None = None,
    ) -> CodeCheck:
        """What is known of the code, and of the display in these languages; a value set may add displays."""
        self._refresh()
        key = system, code, display, tuple(languages), value_set
        if key not in self._checks:
            if len(self._checks) >= ROOM_FOR_CHECKS:
                self._checks.clear()
            self._checks[key] = self._check(*key)
        return self._checks[key]

    def subsumes(self, system: str, general: str, special: str) -> bool | None:
        """True when `special` is `general` or below it in the hierarchy of the system."""
        self._refresh()
        code_system = self._definitions.code_system(system)
        if code_system is None or code_system.content == "supplement":
            return None
        first, second = code_system.concept(general), code_system.concept(special)
        if first is None or second is None:
            return None
        if first.code == second.code or first.code in self._hierarchy(code_system).ancestors(second.code):
            return True
        return False if code_system.content == "complete" else None

    def below(self, system: str, code: str) -> frozenset[str] | None:
        """The code and all that it subsumes; None where not all codes of the system are known, or not this one."""
        return self._related(system, code, Hierarchy.descendants)

    def above(self, system: str, code: str) -> frozenset[str] | None:
        """The code and all that subsume it; None where not all codes of the system are known, or not this one."""
        return self._related(system, code, Hierarchy.ancestors)

    def _related(self, system: str, code: str, relation: Callable[[Hierarchy, str], set[str]]) -> frozenset[str] | None:
        self._refresh()
        code_system = self._code_system(system, None)
        concept = code_system.concept(code) if code_system is not None else None
        if code_system is None or concept is None or code_system.content != "complete":
            return None
        return frozenset({concept.code, *relation(self._hierarchy(code_system), concept.code)})

    def lookup(self, system: str, code: str, languages: Sequence[str] = ()) -> Lookup | None:
        """What is known of a code; None for a system or a code that is not known. `system` may end with a version."""
        self._refresh()
        url, _, version = system.partition("|")
        code_system = self._code_system(url, version or None)
        concept = code_system.concept(code) if code_system is not None else None
        if code_system is not None and concept is not None:
            supplements = self._definitions.supplements(code_system.url)
            return looked_up(code_system, concept, supplements, self._hierarchy(code_system), languages)
        if self.validate_code(system if code_system is None and version else url, code).found:
            return Lookup(url, url if code_system is None else code_system.name or url, None, code, code)
        return None

    def translate(self, question: Question, maps: Sequence[ConceptMap] | None = None) -> tuple[Match, ...]:
        """What a code is by these concept maps, or by all that are known."""
        self._refresh()
        find = self._definitions.concept_map
        if maps is None:
            maps = [known for known in map(find, self._definitions.concept_maps()) if known is not None]
        return Translator(self.contains, find).translate(maps, question)

    def _refresh(self) -> None:
        if self._generation != self._definitions.generation:
            self._forget()

    def _forget(self) -> None:
        self._memberships.clear()
        self._extents.clear()
        self._hierarchies.clear()
        self._expansions.clear()
        self._words.clear()
        self._checks.clear()
        self._generation = self._definitions.generation

    def _further(self, extent: Extent) -> Test:
        """What to ask when a code is not among the listed: other spellings, then the open parts."""
        folded: dict[str, frozenset[str]] = {}

        def spelled_otherwise(system: str, code: str) -> bool:
            if system not in folded:
                code_system = self._definitions.code_system(system)
                lax = code_system is not None and not code_system.case_sensitive
                folded[system] = frozenset(c.casefold() for c in extent.listed[system]) if lax else NO_CODES
            return code.casefold() in folded[system]

        def judge(system: str | None, code: str) -> bool | None:
            systems: Iterable[str] = extent.listed if system is None else (system,) if system in extent.listed else ()
            if any(spelled_otherwise(name, code) for name in systems):
                return True
            return False if extent.closed else extent.contains(system, code)

        return judge

    def _extent(self, canonical: str, trail: Trail) -> Extent | None:
        """The extent of a value set, None when it is not known; a ring of value sets cannot be told."""
        if canonical in self._extents:
            return self._extents[canonical]
        if canonical in trail or len(trail) > DEEPEST_IMPORT:
            return UNTOLD
        compiled = self._definitions.compiled_expansion(canonical) if self._versions is None else None
        if compiled is not None:
            extent = Extent({system: frozenset(codes) for system, codes in compiled.items()})
        else:
            definition = self._definitions.value_set(canonical)
            if definition is None:
                return None
            extent = self._defined(definition, (*trail, canonical))
        if len(self._extents) >= ROOM_FOR_EXTENTS:  # clients can name as many as there are concepts
            self._extents.clear()
        self._extents[canonical] = extent
        return extent

    def _defined(self, definition: ValueSet, trail: Trail) -> Extent:
        """The extent of a definition; an expansion that came with it counts where the definition cannot tell."""
        stated = listed_expansion(definition)
        if stated is not None and (definition.immutable or not definition.include):
            return stated
        extent = union(self._included(part, trail) for part in definition.include)
        if definition.exclude:
            left_out = union(self._included(part, trail) for part in definition.exclude)
            extent = extent.without(left_out)
        return extent if extent.closed or stated is None else union((extent, stated))

    def _included(self, part: Include, trail: Trail) -> Extent:
        """The extent of one include: what its system gives, in all of its value sets."""
        sets = [self._imported(canonical, trail) for canonical in part.value_sets]
        if part.system is not None:
            extent = self._of_system(part, part.system)
        elif sets:
            extent = sets.pop(0)
        else:
            return Extent()
        for other in sets:
            extent = extent.within(other)
        return extent

    def _imported(self, canonical: str, trail: Trail) -> Extent:
        extent = self._extent(canonical, trail)
        return UNTOLD if extent is None else extent

    def _of_system(self, part: Include, system: str) -> Extent:
        """The codes of one system that an include lists, filters or takes whole."""
        if part.concepts is not None:
            return Extent({system: frozenset(part.concepts)})
        code_system = self._code_system(system, self._version_of(part))
        judge = JUDGES.get(system)
        if code_system is None or code_system.content != "complete":
            if judge is not None and not part.filters:
                return Extent(open=(Open(system, lambda _, code: judge(code)),))
            known = self._selected(code_system, part) if code_system else NO_CODES
            return Extent({system: known} if known else {}, open=(Open(system, untold),))
        codes = self._selected(code_system, part)
        if codes is None:
            return Extent(open=(Open(system, both(lambda _, code: code_system.concept(code) is not None, untold)),))
        further = FURTHER_CODES.get(system) if not part.filters else None
        return Extent(
            {system: codes} if codes else {},
            open=(Open(system, lambda _, code: further(code)),) if further else (),
        )

    def _selected(self, code_system: CodeSystem, part: Include) -> frozenset[str] | None:
        if not part.filters:
            return frozenset(code_system.concepts)
        return select(code_system, self._hierarchy(code_system), part.filters)

    def _version_of(self, part: Include) -> str | None:
        return part.version if self._versions is None else self._versions.of(part)

    def _code_system(self, system: str, version: str | None) -> CodeSystem | None:
        """The code system with concepts of its own; None for a supplement or a version that is not here."""
        found = self._definitions.code_system(f"{system}|{version}" if version else system)
        return None if found is None or found.content == "supplement" else found

    def _hierarchy(self, code_system: CodeSystem) -> Hierarchy:
        key = code_system.url, code_system.version
        if key not in self._hierarchies:
            self._hierarchies[key] = Hierarchy(code_system)
        return self._hierarchies[key]

    def _entries(self, definition: ValueSet, seen: set[str]) -> Iterator[Entry]:
        """The concepts that the includes of a value set name, in order; the extent says which of them stay."""
        if definition.url in seen:
            return
        seen.add(definition.url)
        for part in definition.include:
            yield from self._entries_of(part, seen)
        for (system, code), display in (definition.expansion or {}).items():
            yield Entry(system, code, display)

    def _entries_of(self, part: Include, seen: set[str]) -> Iterator[Entry]:
        if part.system is None:
            for canonical in part.value_sets:
                imported = self._definitions.value_set(canonical)
                if imported is not None:
                    yield from self._entries(imported, seen)
            return
        code_system = self._code_system(part.system, self._version_of(part))
        if part.concepts is not None:
            for code, (display, designations) in part.concepts.items():
                known = code_system.concept(code) if code_system else None
                yield entry(part.system, known or Concept(code), display, designations)
        elif code_system is not None:
            codes = self._selected(code_system, part) or NO_CODES
            for concept in code_system.concepts.values():
                if concept.code in codes:
                    yield entry(part.system, concept, None, ())

    def _check(
        self, system: str, code: str, display: str | None, languages: tuple[str, ...], value_set: str | None
    ) -> CodeCheck:
        code_system = self._code_system(system, None)
        if code_system is None or code_system.content == "not-present":
            return check_named(system, code)
        concept = code_system.concept(code)
        complete = code_system.content == "complete"
        if concept is None:
            further = FURTHER_CODES.get(system)
            if further is not None and further(code):
                return CodeCheck(system_known=True, complete=complete, found=True, code=code)
            return CodeCheck(system_known=True, complete=complete, found=False if complete else None)
        displays = [
            *valid_displays(code_system, concept, self._definitions.supplements(code_system.url), languages),
            *(self._value_set_displays(value_set, system, concept.code, set()) if value_set else ()),
        ]
        display_ok, space_only = judge_display(display, displays)
        return CodeCheck(
            system_known=True,
            complete=complete,
            found=True,
            display=concept.display,
            displays=tuple(dict.fromkeys(displays)),
            display_ok=display_ok,
            space_only=space_only,
            inactive=is_inactive(concept),
            abstract=is_abstract(concept),
            code=concept.code,
        )

    def _value_set_displays(self, canonical: str, system: str, code: str, seen: set[str]) -> Iterator[str]:
        """The displays that a value set, or one that it imports, gives a code of its own list."""
        definition = self._definitions.value_set(canonical)
        if definition is None or definition.url in seen:
            return
        seen.add(definition.url)
        for part in definition.include:
            if part.system == system and part.concepts and code in part.concepts:
                display, designations = part.concepts[code]
                yield from () if display is None else (display,)
                yield from (designation.value for designation in designations)
            for imported in part.value_sets:
                yield from self._value_set_displays(imported, system, code, seen)
        shown = (definition.expansion or {}).get((system, code))
        if shown is not None:
            yield shown


def listed_expansion(definition: ValueSet) -> Extent | None:
    """The extent of the expansion that a value set was sent with."""
    if definition.expansion is None:
        return None
    listed: dict[str, set[str]] = {}
    for system, code in definition.expansion:
        listed.setdefault(system, set()).add(code)
    return Extent({system: frozenset(codes) for system, codes in listed.items()})


def check_named(system: str, code: str) -> CodeCheck:
    """What can be said of a code whose system is only named: by table, by form or nothing."""
    judge, form = JUDGES.get(system), FORMS.get(system)
    if judge is not None:
        found = judge(code)
        return CodeCheck(system_known=True, complete=found is not None, found=found, well_formed=found is not False)
    return UNKNOWN if form is None or form(code) else replace(UNKNOWN, well_formed=False)


def entry(system: str, concept: Concept, display: str | None, designations: tuple[Designation, ...]) -> Entry:
    """A concept as an expansion shows it; what the value set calls it comes first."""
    return Entry(
        system,
        concept.code,
        display or concept.display,
        designations or concept.designations,
        is_abstract(concept),
        is_inactive(concept),
    )


def words_of(entries: Iterable[Entry]) -> Iterator[str]:
    """The words of each concept's code and names as a filter compares them, each behind a space."""
    known: dict[str, str] = {}  # the same words stand in many names: folding each once takes a fifth of the time
    for each in entries:
        texts = (each.code, each.display or "", *(designation.value for designation in each.designations))
        words = [word for text in texts for word in text.split()]
        for word in words:
            if word not in known:
                known[word] = fold(word)
        yield " ".join(("", *(known[word] for word in words)))


def is_inactive(concept: Concept) -> bool:
    """True for a concept that is no longer to be used."""
    return any(
        (name == "inactive" and value in {True, "true"}) or (name == "status" and value in INACTIVE)
        for name, value in concept.properties
    )


def is_abstract(concept: Concept) -> bool:
    """True for a concept that only groups others."""
    return any(name in {"abstract", "notSelectable"} and value in {True, "true"} for name, value in concept.properties)
