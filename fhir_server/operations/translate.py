"""The operation $translate: a code in another system, by maps (FHIR R4, OperationDefinition/ConceptMap-translate)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.definitions.concept_map import ConceptMap, Dependency
from fhir_server.errors import Invalid, Issue, NotFound
from fhir_server.rest.argument import Arguments, Input, parameters, parts
from fhir_server.rest.definition import about
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.terminology.knowledge import Knowledge
from fhir_server.terminology.translation import Match, Question


async def translate(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Return a Parameters with all matches; raise NotFound for an unknown map."""
    knowledge, canonical = await about(node, exchange, arguments, "conceptMap", "conceptMapVersion")
    maps = None if canonical is None else [named_map(knowledge, canonical)]
    matches = [
        match
        for system, code in codes_in(arguments)
        for match in knowledge.terminology.translate(_question(arguments, system, code), maps)
    ]
    return answer(knowledge, tuple(dict.fromkeys(matches)))


def named_map(knowledge: Knowledge, canonical: str) -> ConceptMap:
    """Return the map of a canonical; raise NotFound."""
    found = knowledge.definitions.concept_map(canonical)
    if found is None:
        raise NotFound(f"The concept map {canonical} is not known here. Create it first, or send it as conceptMap.")
    return found


def _question(arguments: Arguments, system: str, code: str) -> Question:
    return Question(
        system,
        code,
        source=arguments.text("source"),
        target=arguments.text("target"),
        target_system=arguments.text("targetsystem"),
        dependencies=frozenset(_dependencies(arguments)),
        reverse=arguments.flag("reverse"),
    )


def codes_in(arguments: Arguments) -> list[tuple[str, str]]:
    """Return the (system, code) pairs sent by code, coding or codeableConcept; raise Invalid where there are none."""
    code, coding, concept = arguments.text("code"), arguments.resource("coding"), arguments.resource("codeableConcept")
    if sum((code is not None, coding is not None, concept is not None)) != 1:
        raise Invalid(
            Issue("error", "required", "$translate needs one of code with system, coding and codeableConcept.")
        )
    if concept is not None:
        listed = [each for each in concept.get("coding", ()) if isinstance(each, dict)]
    else:
        listed = [coding or {"system": arguments.text("system"), "code": code}]
    found = [(each["system"], each["code"]) for each in listed if each.get("system") and each.get("code")]
    if not found:
        raise Invalid(Issue("error", "required", "$translate needs the system of the code, and the code."))
    return found


def _dependencies(arguments: Arguments) -> Iterator[tuple[str, str]]:
    """The values of other elements that were sent, as maps name them: the code, or the text."""
    for part in arguments.many("dependency"):
        element, concept = part.get("element"), part.get("concept", {})
        if not isinstance(element, str) or not isinstance(concept, Mapping):
            raise Invalid(Issue("error", "value", "A dependency has an element (uri) and a concept (CodeableConcept)."))
        codings = concept.get("coding", ())
        yield from ((element, each["code"]) for each in codings if isinstance(each, dict) and "code" in each)
        if isinstance(concept.get("text"), str):
            yield element, concept["text"]


def answer(knowledge: Knowledge, matches: tuple[Match, ...]) -> dict[str, Any]:
    """Return the Parameters of the matches: true when one of them is a translation."""
    found = any(match.is_translation for match in matches)
    message = None if found else "No concept map that is known here says what the code is in the target."
    return parameters(
        ("result", "boolean", found),
        ("message", "string", message),
        *(("match", "part", _match(knowledge, match)) for match in matches),
    )


def _match(knowledge: Knowledge, match: Match) -> list[dict[str, Any]]:
    concept = None
    if match.code is not None:
        display = match.display
        if display is None and match.system:
            known = knowledge.terminology.lookup(match.system, match.code)
            display = known.display if known and known.display != match.code else None
        values = ("system", match.system), ("version", match.version), ("code", match.code), ("display", display)
        concept = {key: value for key, value in values if value is not None}
    return parts(
        ("equivalence", "code", match.equivalence),
        ("concept", "Coding", concept),
        *(("product", "part", _product(each)) for each in match.product),
        ("source", "uri", match.origin),
    )


def _product(each: Dependency) -> list[dict[str, Any]]:
    values = ("system", each.system), ("code", each.value), ("display", each.display)
    coding = {key: value for key, value in values if value is not None}
    return parts(("element", "uri", each.property), ("concept", "Coding", coding))


OPERATION = Operation(
    "translate",
    "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate",
    ("type", "instance"),
    translate,
    types=("ConceptMap",),
    inputs=(
        Input("url", "uri"),
        Input("conceptMap", "ConceptMap"),
        Input("conceptMapVersion", "string"),
        Input("code", "code"),
        Input("system", "uri"),
        Input("version", "string"),
        Input("source", "uri"),
        Input("coding", "Coding"),
        Input("codeableConcept", "CodeableConcept"),
        Input("target", "uri"),
        Input("targetsystem", "uri"),
        Input("dependency", "parts", many=True),
        Input("reverse", "boolean"),
    ),
)
