"""The operation $validate-code: whether a code is of a system, or in a value set, and called by a right name.

FHIR R4, OperationDefinition/ValueSet-validate-code and CodeSystem-validate-code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.errors import Invalid, Issue, NotFound, operation_outcome
from fhir_server.rest.argument import Arguments, Input, parameters
from fhir_server.rest.definition import about, languages_in
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.terminology.knowledge import Knowledge

MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Coding:
    """A code to be judged; `place` is where it stands in what was sent."""

    system: str | None
    code: str
    display: str | None = None
    version: str | None = None
    place: str = "code"

    @property
    def canonical(self) -> str | None:
        """The system with the version that was named."""
        return f"{self.system}|{self.version}" if self.system and self.version else self.system


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is found of one code: the issues, errors where it is not valid, and what it is called."""

    coding: Coding
    display: str | None = None
    version: str | None = None
    issues: tuple[Issue, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether nothing found forbids it."""
        return not any(issue.is_error for issue in self.issues)


async def validate_in_value_set(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Return whether one of the codes is in the value set; raise NotFound for an unknown value set."""
    knowledge, canonical = await about(node, exchange, arguments, "valueSet", "valueSetVersion")
    if canonical is None:
        raise Invalid(Issue("error", "required", "$validate-code needs a value set: by url, valueSet or its own URL."))
    if knowledge.definitions.value_set(canonical) is None:
        raise NotFound(f"The value set {canonical} is not known here. Create it first, or send it as valueSet.")
    languages, abstract = languages_in(arguments, exchange), arguments.flag("abstract")
    codings = codings_in(arguments, arguments.text("system"), arguments.text("systemVersion"))
    return answer([judged(knowledge, each, canonical, languages, abstract=abstract) for each in codings])


async def validate_in_code_system(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Return whether one of the codes is in the code system; raise NotFound for an unknown system."""
    knowledge, canonical = await about(node, exchange, arguments, "codeSystem", "version")
    url, _, version = (canonical or "").partition("|")
    codings = codings_in(arguments, url or None, version or arguments.text("version"))
    languages, abstract = languages_in(arguments, exchange), arguments.flag("abstract")
    if not url and any(each.system is None for each in codings):
        raise Invalid(Issue("error", "required", "$validate-code needs a code system: by url, codeSystem or coding."))
    for each in codings:
        known = knowledge.terminology.validate_code(each.canonical or "", each.code).system_known
        if not known and each.system in (None, url or each.system):
            text = f"The code system {each.canonical} is not known here. Create it first, or send it as codeSystem."
            raise NotFound(text)
    wanted = [replace(each, version=version) if version and not each.version else each for each in codings]
    return answer([_of_system(knowledge, each, url, languages, abstract=abstract) for each in wanted])


def _of_system(knowledge: Knowledge, coding: Coding, url: str, languages: Sequence[str], *, abstract: bool) -> Verdict:
    if url and coding.system != url:
        text = f"The code {coding.code} is of {coding.system}, not of {url}."
        return Verdict(coding, issues=(Issue("error", "code-invalid", text, (coding.place,)),))
    return judged(knowledge, coding, None, languages, abstract=abstract)


def codings_in(arguments: Arguments, system: str | None, version: str | None) -> list[Coding]:
    """Return the codes sent, by code, coding or codeableConcept; raise Invalid where that is none or several."""
    code, coding, concept = arguments.text("code"), arguments.resource("coding"), arguments.resource("codeableConcept")
    if sum((code is not None, coding is not None, concept is not None)) != 1:
        raise Invalid(Issue("error", "required", "$validate-code needs one of code, coding and codeableConcept."))
    if code is not None:
        return [Coding(system, code, arguments.text("display"), version)]
    if coding is not None:
        return [_coding(coding, "Coding", arguments.text("display"))]
    listed = (concept or {}).get("coding")
    found = [
        _coding(each, f"CodeableConcept.coding[{index}]")
        for index, each in enumerate(listed if isinstance(listed, list) else ())
    ]
    if not found:
        raise Invalid(Issue("error", "required", "The codeableConcept has no coding."))
    return found


def _coding(body: Any, place: str, display: str | None = None) -> Coding:
    code = body.get("code") if isinstance(body, Mapping) else None
    if not isinstance(code, str):
        raise Invalid(Issue("error", "required", f"{place} has no code.", (place,)))
    return Coding(body.get("system"), code, body.get("display", display), body.get("version"), place)


def judged(
    knowledge: Knowledge, coding: Coding, value_set: str | None, languages: Sequence[str], *, abstract: bool
) -> Verdict:
    """Return what is found of a code, and in a value set where one is given."""
    if value_set is not None and coding.system is None:
        coding = replace(coding, system=_system_in(knowledge, value_set, coding.code))
    check = knowledge.terminology.validate_code(
        coding.canonical or "", coding.code, coding.display, languages, value_set
    )
    issues = [*_membership(knowledge, coding, value_set)]
    if check.found is False:
        issues.append(_issue("code-invalid", f"The code {coding.code} is not in {coding.canonical}.", coding))
    elif not check.system_known and coding.system is not None and (issues or value_set is None):
        issues.append(_issue("not-found", f"The code system {coding.canonical} is not known here.", coding))
    elif not check.found and value_set is None:
        text = f"Only a part of {coding.canonical} is here, and the code {coding.code} is not in it."
        issues.append(_issue("not-found", text, coding))
    if check.abstract and not abstract:
        text = f"The code {coding.code} only groups others and is not to be used; abstract=true would allow it."
        issues.append(_issue("business-rule", text, coding))
    if check.inactive:
        text = f"The code {coding.code} is inactive: it should not be used any more."
        issues.append(Issue("warning", "business-rule", text, (coding.place,)))
    if check.display_ok is False:
        issues.append(_display_issue(coding, check.displays))
    code_system = knowledge.definitions.code_system(coding.canonical or "")
    display = knowledge.terminology.lookup(coding.canonical or "", coding.code, languages)
    return Verdict(
        replace(coding, code=check.code or coding.code),
        display.display if display else check.display,
        code_system.version if code_system else coding.version,
        tuple(issues),
    )


def _system_in(knowledge: Knowledge, value_set: str, code: str) -> str | None:
    """The one system of a value set that has the code; None where it is none or several."""
    membership = knowledge.terminology.membership(value_set)
    having = [system for system, codes in membership.systems.items() if code in codes] if membership else []
    return having[0] if len(having) == 1 else None


def _membership(knowledge: Knowledge, coding: Coding, value_set: str | None) -> Iterator[Issue]:
    if value_set is None:
        return
    found = knowledge.terminology.contains(value_set, coding.system, coding.code)
    named = f"{coding.canonical}#{coding.code}" if coding.system else coding.code
    if found is False:
        yield _issue("code-invalid", f"The code {named} is not in the value set {value_set}.", coding)
    elif found is None:
        yield _issue("not-found", f"Whether {named} is in the value set {value_set} cannot be told here.", coding)


def _display_issue(coding: Coding, displays: Sequence[str]) -> Issue:
    right = " or ".join(f"'{text}'" for text in displays[:MOST_SHOWN])
    text = f"The display '{coding.display}' is not one of {coding.canonical}#{coding.code}: it is {right}."
    return Issue("error", "invalid", text, ("display" if coding.place == "code" else f"{coding.place}.display",))


def _issue(code: str, text: str, coding: Coding) -> Issue:
    return Issue("error", code, text, (coding.place if coding.place == "code" else f"{coding.place}.code",))


def answer(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the Parameters of the verdicts: true when one of the codes is valid, which is then the one described."""
    valid = [verdict for verdict in verdicts if verdict.is_valid]
    best = (valid or list(verdicts))[0]
    issues = best.issues if valid else tuple(issue for verdict in verdicts for issue in verdict.issues)
    message = " ".join(issue.text for issue in issues)
    outcome = operation_outcome(issues) if issues else None
    return parameters(
        ("result", "boolean", bool(valid)),
        ("message", "string", message or None),
        ("display", "string", best.display),
        ("code", "code", best.coding.code),
        ("system", "uri", best.coding.system),
        ("version", "string", best.version),
        ("issues", "resource", outcome),
    )


CODES = (
    Input("code", "code"),
    Input("display", "string"),
    Input("coding", "Coding"),
    Input("codeableConcept", "CodeableConcept"),
    Input("date", "dateTime", supported=False, reason="codes are judged as they are now"),
    Input("abstract", "boolean"),
    Input("displayLanguage", "code"),
)
OPERATIONS = (
    Operation(
        "validate-code",
        "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code",
        ("type", "instance"),
        validate_in_value_set,
        types=("ValueSet",),
        inputs=(
            Input("url", "uri"),
            Input("context", "uri"),
            Input("valueSet", "ValueSet"),
            Input("valueSetVersion", "string"),
            Input("system", "uri"),
            Input("systemVersion", "string"),
            *CODES,
        ),
    ),
    Operation(
        "validate-code",
        "http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code",
        ("type", "instance"),
        validate_in_code_system,
        types=("CodeSystem",),
        inputs=(Input("url", "uri"), Input("codeSystem", "CodeSystem"), Input("version", "string"), *CODES),
    ),
)
