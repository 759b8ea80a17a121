"""What the server asks of a terminology (FHIR R4, 4.7 Terminology Service), and one that answers nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fhir_server.definitions.code_system import Designation
from fhir_server.definitions.concept_map import ConceptMap
from fhir_server.terminology.lookup import Lookup
from fhir_server.terminology.translation import Match, Question

NO_CODES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Entry:
    """One concept of an expansion; `designations` are its further texts."""

    system: str
    code: str
    display: str | None = None
    designations: tuple[Designation, ...] = ()
    abstract: bool = False
    inactive: bool = False


@dataclass(frozen=True, slots=True)
class Expansion:
    """The concepts of a value set in the order of its definition.

    `complete` is False where the definition reaches into systems whose codes cannot be listed here.
    """

    url: str
    version: str | None
    entries: tuple[Entry, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """The codes of a value set, prepared for speed: look into `systems` or `codes` first, then ask `judge`.

    `systems` gives the listed codes of each system and `codes` all of them; where `closed` is true nothing else is in
    the value set, save other spellings in systems that do not tell upper from lower case.
    """

    systems: Mapping[str, frozenset[str]]
    codes: frozenset[str]
    closed: bool
    judge: Callable[[str | None, str], bool | None]

    def contains(self, system: str | None, code: str) -> bool | None:
        """True or False, or None when it cannot be told; without a system any system will do."""
        if code in (self.codes if system is None else self.systems.get(system, NO_CODES)):
            return True
        return self.judge(system, code)


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """What is known of a code in its system.

    `found` is None when the system is not known well enough; `well_formed` is False for a code that its system's
    rules of writing forbid. `display_ok` is None when no display was given or none is known; `space_only` says that
    the display given differs from a valid one by white space alone. `displays` are the valid ones, the best first.
    """

    system_known: bool
    complete: bool
    found: bool | None
    display: str | None = None
    displays: tuple[str, ...] = ()
    display_ok: bool | None = None
    space_only: bool = False
    inactive: bool = False
    abstract: bool = False
    well_formed: bool = True
    code: str | None = field(default=None)


UNKNOWN = CodeCheck(system_known=False, complete=False, found=None)


class Terminology(Protocol):
    """Knows code systems and value sets by canonical, with or without `|version`.

    Every answer may be None, which means that it cannot be told here: no error is ever made of that.
    """

    def membership(self, value_set: str) -> Membership | None:
        """The prepared codes of a value set; None when the value set is not known."""

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """True when the code is in the value set; without a system, when any system of the value set has it."""

    def expand(self, value_set: str, text: str | None = None) -> Expansion | None:
        """The concepts of a value set, those that a text finds where one is given; None for an unknown value set.

        A text finds what has, for each of its words, a word that starts so: in the code, the display or a
        designation, without regard to case and accents.
        """

    def validate_code(
        self,
        system: str,
        code: str,
        display: str | None = None,
        languages: Sequence[str] = (),
        value_set: str | None = None,
    ) -> CodeCheck:
        """What is known of the code, and of the display in these languages; a value set may add displays."""

    def subsumes(self, system: str, general: str, special: str) -> bool | None:
        """True when `special` is `general` or below it in the hierarchy of the system."""

    def lookup(self, system: str, code: str, languages: Sequence[str] = ()) -> Lookup | None:
        """What is known of a code, its display in the first of these languages that has one; None when nothing is."""

    def translate(self, question: Question, maps: Sequence[ConceptMap] | None = None) -> tuple[Match, ...]:
        """What a code is by these concept maps, or by all that are known."""

    def below(self, system: str, code: str) -> frozenset[str] | None:
        """The code and all that it subsumes; None where not all codes of the system are known, or not this one."""

    def above(self, system: str, code: str) -> frozenset[str] | None:
        """The code and all that subsume it; None where not all codes of the system are known, or not this one."""


class NoTerminology:
    """A terminology that knows no code system and no value set."""

    def membership(self, value_set: str) -> Membership | None:
        """None: no value set is known."""
        return None

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """None: it cannot be told."""
        return None

    def expand(self, value_set: str, text: str | None = None) -> Expansion | None:
        """None: no value set is known."""
        return None

    def validate_code(
        self,
        system: str,
        code: str,
        display: str | None = None,
        languages: Sequence[str] = (),
        value_set: str | None = None,
    ) -> CodeCheck:
        """The check that says nothing."""
        return UNKNOWN

    def subsumes(self, system: str, general: str, special: str) -> bool | None:
        """None: it cannot be told."""
        return None

    def lookup(self, system: str, code: str, languages: Sequence[str] = ()) -> Lookup | None:
        """None: nothing is known."""
        return None

    def translate(self, question: Question, maps: Sequence[ConceptMap] | None = None) -> tuple[Match, ...]:
        """No match."""
        return ()

    def below(self, system: str, code: str) -> frozenset[str] | None:
        """None: it cannot be told."""
        return None

    def above(self, system: str, code: str) -> frozenset[str] | None:
        """None: it cannot be told."""
        return None
