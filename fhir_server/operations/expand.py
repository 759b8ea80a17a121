"""The operation $expand: the codes in a value set, a page of them (FHIR R4, OperationDefinition/ValueSet-expand)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir_server.definitions.code_system import Designation
from fhir_server.definitions.value_set import ValueSet
from fhir_server.errors import Invalid, Issue, NotFound, TooCostly, Unprocessable
from fhir_server.resource.instant import now
from fhir_server.rest.argument import Arguments, Input, Part, parts
from fhir_server.rest.definition import about, languages_in
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.terminology.display import in_language
from fhir_server.terminology.knowledge import Knowledge
from fhir_server.terminology.lookup import all_designations, best_display
from fhir_server.terminology.protocol import Entry, Expansion

UNCLOSED = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
LANGUAGE_SYSTEM = "urn:ietf:bcp:47|"
MOST_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What of an expansion is wanted, and how; `most` is what may come without paging."""

    most: int
    text: str | None = None
    offset: int | None = None
    count: int | None = None
    active_only: bool = False
    with_designations: bool = False
    designations: tuple[str, ...] = ()
    languages: Sequence[str] = ()

    @property
    def stated(self) -> tuple[Part, ...]:
        """The parameters that shaped the expansion, as it lists them."""
        return (
            ("filter", "string", self.text),
            ("offset", "integer", self.offset),
            ("count", "integer", self.count),
            ("activeOnly", "boolean", self.active_only or None),
            ("includeDesignations", "boolean", self.with_designations or None),
            *(("designation", "string", wanted) for wanted in self.designations),
            ("displayLanguage", "code", self.languages[0] if self.languages else None),
            ("excludeNested", "boolean", True),
        )


async def expand(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Return the value set with an expansion; raise NotFound, TooCostly or Unprocessable."""
    knowledge, canonical = await about(node, exchange, arguments, "valueSet", "valueSetVersion")
    if canonical is None:
        raise Invalid(Issue("error", "required", "$expand needs a value set: by url, by valueSet or by its own URL."))
    wish = Wish(
        most=MOST_AT_ONCE,
        text=arguments.text("filter"),
        offset=arguments.one("offset", int),
        count=arguments.one("count", int),
        active_only=arguments.flag("activeOnly"),
        with_designations=arguments.flag("includeDesignations"),
        designations=tuple(arguments.many("designation")),
        languages=languages_in(arguments, exchange),
    )
    return expanded(knowledge, canonical, wish, lambda: now(node.clock))


def expanded(knowledge: Knowledge, canonical: str, wish: Wish, moment: Callable[[], str]) -> dict[str, Any]:
    """Return the value set of a canonical with its expansion at this moment, or the wanted page of it."""
    definition = knowledge.definitions.value_set(canonical)
    expansion = knowledge.terminology.expand(canonical, wish.text)
    if definition is None or expansion is None:
        raise NotFound(f"The value set {canonical} is not known here. Create it first, or send it as valueSet.")
    entries = [e for e in expansion.entries if not (wish.active_only and e.inactive)]
    if not entries and not expansion.complete and not wish.text:
        raise Unprocessable(Issue("error", "not-supported", _cannot_list(knowledge, definition)))
    offset = wish.offset or 0
    if wish.count is None and len(entries) - offset > wish.most:
        much = f"{len(entries) - offset:,} codes, more than {wish.most:,}"
        raise TooCostly(f"The expansion has {much}. Use filter, or offset and count.")
    page = entries[offset:] if wish.count is None else entries[offset : offset + wish.count]
    body: dict[str, Any] = {"resourceType": "ValueSet", "url": definition.url}
    body |= {
        key: value
        for key, value in (("version", definition.version), ("name", definition.name), ("status", definition.status))
        if value
    }
    body["expansion"] = _expansion(knowledge, expansion, wish, page, len(entries)) | {"timestamp": moment()}
    return body


def _expansion(
    knowledge: Knowledge, expansion: Expansion, wish: Wish, page: Sequence[Entry], total: int
) -> dict[str, Any]:
    """The element `expansion`; its identifier is the same for all pages of one expansion."""
    kept = [part for part in wish.stated if part[0] not in ("offset", "count")]
    about_it = f"{expansion.url}|{expansion.version} {kept} {knowledge.definitions.generation} {total}"
    element: dict[str, Any] = {} if expansion.complete else {"extension": [{"url": UNCLOSED, "valueBoolean": True}]}
    element |= {"identifier": uuid5(NAMESPACE_URL, about_it).urn, "timestamp": "", "total": total}
    if wish.offset is not None or wish.count is not None:
        element["offset"] = wish.offset or 0
    element["parameter"] = parts(*wish.stated, *_versions(knowledge, page))
    if page:
        element["contains"] = [contained(knowledge, entry, wish) for entry in page]
    return element


def _versions(knowledge: Knowledge, page: Sequence[Entry]) -> list[Part]:
    """The code systems that the codes are of, with the versions that were looked into."""
    found: list[Part] = []
    for system in dict.fromkeys(entry.system for entry in page):
        code_system = knowledge.definitions.code_system(system)
        if code_system is not None and code_system.version:
            found.append(("version", "uri", f"{system}|{code_system.version}"))
    return found


def contained(knowledge: Knowledge, entry: Entry, wish: Wish) -> dict[str, Any]:
    """One concept as an element of `expansion.contains`."""
    element: dict[str, Any] = {"system": entry.system}
    if entry.abstract:
        element["abstract"] = True
    if entry.inactive:
        element["inactive"] = True
    element["code"] = entry.code
    designations = _designations(knowledge, entry)
    display = _display(knowledge, entry, designations, wish.languages)
    if display:
        element["display"] = display
    if wish.with_designations or wish.designations:
        shown = [designation_element(d) for d in designations if not wish.designations or _wanted(d, wish.designations)]
        if shown:
            element["designation"] = shown
    return element


def _designations(knowledge: Knowledge, entry: Entry) -> tuple[Designation, ...]:
    code_system = knowledge.definitions.code_system(entry.system)
    concept = code_system.concept(entry.code) if code_system else None
    if concept is None:
        return entry.designations
    known = all_designations(concept, knowledge.definitions.supplements(entry.system))
    return tuple(dict.fromkeys((*entry.designations, *known)))


def _display(
    knowledge: Knowledge, entry: Entry, designations: Sequence[Designation], languages: Sequence[str]
) -> str | None:
    code_system = knowledge.definitions.code_system(entry.system)
    concept = code_system.concept(entry.code) if code_system and languages else None
    if code_system is None or concept is None:
        return entry.display
    return best_display(code_system, concept, designations, languages) if languages else entry.display


def _wanted(designation: Designation, tokens: Sequence[str]) -> bool:
    """Whether a designation is one of those asked for, by language or by the system and code of its use."""
    use = "|".join(part or "" for part in designation.use) if designation.use else None
    for token in tokens:
        if token == use:
            return True
        language = token.removeprefix(LANGUAGE_SYSTEM)
        if designation.language and "|" not in language and in_language(designation.language, (language,)):
            return True
    return False


def designation_element(designation: Designation) -> dict[str, Any]:
    """A designation as JSON."""
    element: dict[str, Any] = {"language": designation.language} if designation.language else {}
    if designation.use:
        system, code = designation.use
        element["use"] = {"system": system, "code": code} if system else {"code": code}
    return element | {"value": designation.value}


def _cannot_list(knowledge: Knowledge, definition: ValueSet) -> str:
    named = (
        *(part.system for part in definition.include if part.system and not _has_all_codes(knowledge, part.system)),
        *(url for part in definition.include for url in part.value_sets if not knowledge.definitions.value_set(url)),
    )
    reason = f": {', '.join(dict.fromkeys(named))} is not here with all its codes" if named else ""
    return f"The codes of {definition.url} cannot be listed{reason}. Create the CodeSystem, or use $validate-code."


def _has_all_codes(knowledge: Knowledge, system: str) -> bool:
    code_system = knowledge.definitions.code_system(system)
    return code_system is not None and code_system.content == "complete"


OPERATION = Operation(
    "expand",
    "http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
    ("type", "instance"),
    expand,
    types=("ValueSet",),
    inputs=(
        Input("url", "uri"),
        Input("valueSet", "ValueSet"),
        Input("valueSetVersion", "string"),
        Input("context", "uri", supported=False),
        Input("contextDirection", "code", supported=False),
        Input("filter", "string"),
        Input("date", "dateTime", supported=False),
        Input("offset", "unsignedInt"),
        Input("count", "unsignedInt"),
        Input("includeDesignations", "boolean"),
        Input("designation", "string", many=True),
        Input("includeDefinition", "boolean"),
        Input("activeOnly", "boolean"),
        Input("excludeNested", "boolean"),
        Input("excludeNotForUI", "boolean"),
        Input("excludePostCoordinated", "boolean"),
        Input("displayLanguage", "code"),
        Input("exclude-system", "canonical", many=True, supported=False),
        Input("system-version", "canonical", many=True, supported=False),
        Input("check-system-version", "canonical", many=True, supported=False),
        Input("force-system-version", "canonical", many=True, supported=False),
    ),
)
