"""What a terminology says of one coding: system, code and display (FHIR R4, 4.3 Using Codes, 4.9.9 validation)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fhir_server.definitions.registry import Definitions
from fhir_server.terminology.named_system import JUDGES
from fhir_server.terminology.protocol import CodeCheck, Membership, Terminology
from fhir_server.validation.primitive import shown
from fhir_server.validation.run import Fault, Json, Run

URI_SYSTEM = "urn:ietf:rfc:3986"
ENGLISH = "en"
ROOM_FOR_JUDGEMENTS = 32768
LONGEST_REMEMBERED = 400

# Judged by a table or by their form only, which is no proof against a code.
NAMED_SYSTEMS = frozenset(JUDGES) - {URI_SYSTEM}
WELL_KNOWN = ("http://snomed.info/sct", "http://loinc.org", "http://unitsofmeasure.org",
              "http://www.nlm.nih.gov/research/umls/rxnorm")  # fmt: skip
REMOTE_SYSTEMS = frozenset(WELL_KNOWN) - {"http://unitsofmeasure.org"} | {
    "http://www.ama-assn.org/go/cpt", "http://hl7.org/fhir/ndfrt", "http://hl7.org/fhir/sid/cvx",
    "http://hl7.org/fhir/sid/ndc", "http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-9-cm",
    "http://hl7.org/fhir/sid/icd-10-cm",
}  # fmt: skip
HL7 = ("http://hl7.org/fhir", "https://hl7.org/fhir", "http://www.hl7.org/fhir", "https://www.hl7.org/fhir")
IDENTIFYING = ("http://hl7.org/fhir/sid/", "http://hl7.org/fhir/test")
BUILD = ("http://build.fhir.org", "https://build.fhir.org")
ABSOLUTE = ("http:", "https:", "urn:")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a member of a coding, or with the whole when `key` is None."""

    key: str | None
    severity: str
    code: str
    text: str

    def fault(self, holder: Json) -> Fault:
        """The fault that it is in a coding."""
        return Fault(holder, self.key, None, self.severity, self.code, self.text, None, None, "full")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a coding: what is wrong with it, and whether it is in the value set in question."""

    findings: tuple[Finding, ...]
    member: bool | None


UNJUDGED = Judgement((), None)
Key = tuple[str | None, str | None, str | None, str | None, str | None]
HL7_SYSTEMS = ("http://hl7.org/fhir", "http://terminology.hl7.org")


@dataclass(frozen=True, slots=True)
class Question:
    """What codings are judged by: a value set, if any, and whether it is required of them.

    `alone` says that no CodeableConcept is around them, which could hold others.
    """

    value_set: str | None = None
    membership: Membership | None = field(default=None, compare=False)
    required: bool = False
    alone: bool = False


class Codings:
    """Judges codings and remembers what it found; all is forgotten when the room for it is full."""

    def __init__(self, definitions: Definitions, terminology: Terminology) -> None:
        self._definitions = definitions
        self._terminology = terminology
        self._generation = definitions.generation
        self._memories: dict[Question, Memory] = {}
        self._remembered = 0

    def refresh(self) -> None:
        """Forget what was found by definitions that have changed since."""
        if self._generation != self._definitions.generation:
            self._generation = self._definitions.generation
            self.forget()

    def forget(self) -> None:
        """Empty the memories."""
        self._remembered = 0
        for memory in self._memories.values():
            memory.clear()

    def makes_room(self, key: Key) -> bool:
        """True when there is room to remember a coding; what is too long is not worth it."""
        if sum(len(part) for part in key if part is not None) > LONGEST_REMEMBERED:
            return False
        if self._remembered >= ROOM_FOR_JUDGEMENTS:
            self.forget()
        self._remembered += 1
        return True

    def memory(self, question: Question) -> Memory:
        """What is remembered of codings by a value set."""
        if question not in self._memories:
            self._memories[question] = Memory(self, question)
        return self._memories[question]

    def judge(self, key: Key, question: Question) -> Judgement:
        """What is known of a coding, given as system, version, code, display and the language of the resource."""
        system, version, code, display, language = key
        membership = question.membership
        if code is None or system is None:
            return Judgement((), None if membership is None else False)
        member = None if membership is None else membership.contains(system, code)
        finding = self.system_finding(system, bound=membership is not None) if question.alone else None
        if finding is None and version is not None:
            finding = self.version_finding(system, version, required=question.required)
        if finding is not None:
            return Judgement((finding,), member)
        if question.alone and membership is None and system == URI_SYSTEM:
            return Judgement((), None)
        return Judgement(self.code_findings(system, code, display, language, question.value_set), member)

    def code_findings(
        self, system: str, code: str, display: str | None, language: str | None, value_set: str | None
    ) -> tuple[Finding, ...]:
        """What is wrong with a code of a system, or with its display."""
        check = self._terminology.validate_code(system, code, display, (language or ENGLISH,), value_set)
        if not check.system_known and self._is_no_element(system, code):
            return (Finding("code", "error", "code-invalid", f"{shown(code)} is not an element of {system}."),)
        if check.found is False:
            severity = "warning" if system in NAMED_SYSTEMS else "error"
            return (Finding("code", severity, "code-invalid", f"{shown(code)} is not a code of {system}."),)
        if not check.well_formed:
            return (Finding("code", "warning", "code-invalid", f"{shown(code)} cannot be a code of {system}."),)
        found = []
        if check.inactive:
            text = f"The code {shown(code)} of {system} is no longer to be used."
            found.append(Finding("code", "warning", "business-rule", text))
        if display is not None and check.display_ok is None and not check.displays:
            check = self._terminology.validate_code(system, code, display, (), value_set)
        if check.display_ok is False:
            found.append(Finding("display", "error", "invalid", wrong_display(system, code, display, check)))
        return tuple(found)

    def _is_no_element(self, system: str, code: str) -> bool:
        """True where a structure serves as the code system of its elements, and has none of this id."""
        structure = self._definitions.structure(system)
        return structure is not None and all(element.id != code for element in structure.elements)

    def version_finding(self, system: str, version: str, *, required: bool) -> Finding | None:
        """What is wrong with the version of a system whose other versions are known."""
        find = self._definitions.code_system
        if find(system) is None or find(f"{system}|{version}") is not None:
            return None
        return unknown_version(system, version, "error" if required and system.startswith(HL7_SYSTEMS) else "warning")

    def system_finding(self, system: str, *, bound: bool) -> Finding | None:
        """What is wrong with the system of a coding that stands alone."""
        if not system.startswith(ABSOLUTE):
            text = f"The system {shown(system)} must be an absolute URI."
            return None if bound and ":" in system else Finding("system", "error", "code-invalid", text)
        definitions = self._definitions
        known = definitions.code_system(system)
        if known is not None:
            return None
        if definitions.value_set(system) is not None:
            return Finding("system", "error", "code-invalid", f"{system} is a value set, not a code system.")
        return None if bound else unknown_system(definitions, system)


def unknown_version(system: str, version: str, severity: str) -> Finding:
    """What is wrong with a version of a code system that is not here."""
    return Finding("version", severity, "not-found", f"Version {shown(version)} of {system} is not known here.")


def unknown_system(definitions: Definitions, system: str) -> Finding | None:
    """What is wrong with a system that is not known here, by the names that HL7 and others keep."""
    if system.startswith(BUILD):
        text = f"{system} is a draft's address, not a code system."
    elif system.startswith(HL7):
        if system.startswith(IDENTIFYING):
            return None
        text = f"There is no code system {system}."
    elif any(system.startswith(name) and system != name for name in WELL_KNOWN):
        text = f"{system} is not how the code system is called."
    elif system.startswith("https:") and (
        f"http:{system[6:]}" in WELL_KNOWN or definitions.code_system(f"http:{system[6:]}") is not None
    ):
        text = f"{system} starts with https:, but the code system is called http:{system[6:]}."
    else:
        return None
    return Finding(None, "error", "code-invalid", text)


def wrong_display(system: str, code: str, display: str | None, check: CodeCheck) -> str:
    """What is wrong with a display, and which are right."""
    right = " or ".join(map(repr, check.displays[:5]))
    return f"Wrong display {shown(display)} for {system}|{code}: it is {right}."


class Memory(dict[Key, Judgement]):
    """The answers to one question, found when first asked for."""

    def __init__(self, codings: Codings, question: Question) -> None:
        super().__init__()
        self._codings = codings
        self._question = question

    def __missing__(self, key: Key) -> Judgement:
        if any(part.__class__ is not str and part is not None for part in key):
            return UNJUDGED
        found = self._codings.judge(key, self._question)
        if self._codings.makes_room(key):
            self[key] = found
        return found


def report(findings: tuple[Finding, ...], coding: Json, run: Run, *, softened: bool = False) -> None:
    """Report what is wrong with a coding; `softened` makes warnings of errors."""
    for finding in findings:
        fault = finding.fault(coding)
        run.report(replace(fault, severity="warning") if softened else fault)
