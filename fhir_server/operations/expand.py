"""The operation $expand: the codes in a value set, a page of them (FHIR R4, OperationDefinition/ValueSet-expand)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from fhir_server.definitions.code_system import Designation
from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.value_set import Include, ValueSet
from fhir_server.errors import Invalid, Issue, NotFound, TooCostly, Unprocessable
from fhir_server.resource.instant import now
from fhir_server.rest.argument import Arguments, Input, Part, parts
from fhir_server.rest.definition import about, languages_in
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.terminology.display import in_language
from fhir_server.terminology.knowledge import Knowledge
from fhir_server.terminology.local import LocalTerminology
from fhir_server.terminology.lookup import all_designations, best_display
from fhir_server.terminology.protocol import Entry, Expansion
from fhir_server.terminology.system_version import SystemVersions, by_system

UNCLOSED = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
LANGUAGE_SYSTEM = "urn:ietf:bcp:47|"
MOST_AT_ONCE = 10_000
VERSION_INPUTS = ("system-version", "check-system-version", "force-system-version")
DIRECTIONS = ("incoming", "outgoing")


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
    without: tuple[str, ...] = ()
    selectable_only: bool = False
    with_definition: bool = False
    versions: SystemVersions | None = None

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
            ("excludeNotForUI", "boolean", self.selectable_only or None),
            *(("exclude-system", "canonical", system) for system in self.without),
            *self._of_versions(),
        )

    def _of_versions(self) -> Iterator[Part]:
        if self.versions is not None:
            for name, given in zip(VERSION_INPUTS, astuple(self.versions), strict=True):
                yield from ((name, "canonical", f"{system}|{version}") for system, version in given.items())

    def takes(self, entry: Entry, definitions: Definitions) -> bool:
        """Whether a concept is wanted, whatever page it stands on."""
        if (self.active_only and entry.inactive) or (self.selectable_only and entry.abstract):
            return False
        return not any(is_of(entry, system, definitions) for system in self.without)


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
        without=tuple(arguments.many("exclude-system")),
        selectable_only=arguments.flag("excludeNotForUI"),
        with_definition=arguments.flag("includeDefinition"),
        versions=versions_in(arguments),
    )
    direction = arguments.text("contextDirection")
    if direction not in (None, *DIRECTIONS):
        raise Invalid(Issue("error", "value", f"contextDirection is one of {', '.join(DIRECTIONS)}."))
    return expanded(knowledge, canonical, wish, lambda: now(node.clock))


def expanded(knowledge: Knowledge, canonical: str, wish: Wish, moment: Callable[[], str]) -> dict[str, Any]:
    """Return the value set of a canonical with its expansion at this moment, or the wanted page of it."""
    definition = knowledge.definitions.value_set(canonical)
    if wish.versions is not None:
        refuse_conflicts(wish.versions, canonical, knowledge.definitions)
        knowledge = Knowledge(knowledge.definitions, LocalTerminology(knowledge.definitions, wish.versions))
    expansion = knowledge.terminology.expand(canonical, wish.text)
    if definition is None or expansion is None:
        raise NotFound(f"The value set {canonical} is not known here. Create it first, or send it as valueSet.")
    entries = [e for e in expansion.entries if wish.takes(e, knowledge.definitions)]
    if not expansion.entries and not expansion.complete and not wish.text:
        raise Unprocessable(Issue("error", "not-supported", _cannot_list(knowledge, definition, wish.versions)))
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
    if wish.with_definition:
        body |= {"immutable": definition.immutable} if definition.immutable else {}
        body["compose"] = compose_of(definition)
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


def is_of(entry: Entry, canonical: str, definitions: Definitions) -> bool:
    """Whether a concept is of a system, in the version that is named if one is."""
    system, _, version = canonical.partition("|")
    if entry.system != system:
        return False
    known = definitions.code_system(system)
    return not version or (known is not None and known.version == version)


def versions_in(arguments: Arguments) -> SystemVersions | None:
    """Return the versions of systems that are asked for; raise Invalid for what is not written system|version."""
    if not any(name in arguments for name in VERSION_INPUTS):
        return None
    found = []
    for name in VERSION_INPUTS:
        try:
            found.append(by_system(arguments.many(name)))
        except ValueError as fault:
            text = f"{name} is written system|version, not {str(fault)[:100]!r}."
            raise Invalid(Issue("error", "value", text)) from None
    return SystemVersions(*found)


def refuse_conflicts(versions: SystemVersions, canonical: str, definitions: Definitions) -> None:
    """Raise Unprocessable where the value set names another version of a system than it must."""
    for system, named, wanted in versions.conflicts(canonical, definitions):
        text = f"The value set is about {system}|{named}, and check-system-version asks for {wanted}."
        raise Unprocessable(Issue("error", "exception", text))


def compose_of(definition: ValueSet) -> dict[str, Any]:
    """The element `compose` of a definition."""
    listed = (("include", definition.include), ("exclude", definition.exclude))
    return {name: [_part_of(part) for part in parts_] for name, parts_ in listed if parts_}


def _part_of(part: Include) -> dict[str, Any]:
    element: dict[str, Any] = {}
    if part.system:
        element["system"] = part.system
    if part.version:
        element["version"] = part.version
    if part.concepts is not None:
        element["concept"] = [
            {"code": code}
            | ({"display": display} if display else {})
            | ({"designation": [designation_element(each) for each in designations]} if designations else {})
            for code, (display, designations) in part.concepts.items()
        ]
    if part.filters:
        element["filter"] = [{"property": f.property, "op": f.op, "value": f.value} for f in part.filters]
    if part.value_sets:
        element["valueSet"] = list(part.value_sets)
    return element


def _cannot_list(knowledge: Knowledge, definition: ValueSet, versions: SystemVersions | None) -> str:
    wanted = [
        f"{part.system}|{version}" if (version := versions.of(part) if versions else part.version) else part.system
        for part in definition.include
        if part.system
    ]
    named = (
        *(canonical for canonical in wanted if not _has_all_codes(knowledge, canonical)),
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
        Input("context", "uri"),
        Input("contextDirection", "code"),
        Input("filter", "string"),
        Input("date", "dateTime", supported=False, reason="value sets are expanded as they are now"),
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
        Input("exclude-system", "canonical", many=True),
        *(Input(name, "canonical", many=True) for name in VERSION_INPUTS),
    ),
)
