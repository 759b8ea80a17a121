"""The operation $subsumes: which of two codes is above the other (FHIR R4, OperationDefinition/CodeSystem-subsumes)."""

from __future__ import annotations

from typing import Any

from fhir_server.errors import Invalid, Issue, NotFound, Unprocessable
from fhir_server.rest.argument import Arguments, Input, parameters
from fhir_server.rest.definition import about
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.terminology.knowledge import Knowledge


async def subsumes(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Return a Parameters with the outcome; raise NotFound for a system or a code that is not known."""
    knowledge, canonical = await about(node, exchange, arguments, "codeSystem", "version")
    first, second = _coding("A", arguments), _coding("B", arguments)
    version = arguments.text("version")
    systems = {each["system"] for each in (first, second) if each.get("system")}
    named = arguments.text("system") or canonical or next(iter(systems), None)
    if named is None:
        raise Invalid(Issue("error", "required", "$subsumes needs the system of the codes."))
    if systems - {named.partition("|")[0]}:
        raise Invalid(Issue("error", "invalid", f"$subsumes compares codes of one system: {named}, not {systems}."))
    system = f"{named}|{version}" if version and "|" not in named else named
    return parameters(("outcome", "code", outcome(knowledge, system, first["code"], second["code"])))


def _coding(letter: str, arguments: Arguments) -> dict[str, Any]:
    code, coding = arguments.text(f"code{letter}"), arguments.resource(f"coding{letter}")
    if (code is None) == (coding is None):
        raise Invalid(Issue("error", "required", f"$subsumes needs either code{letter} or coding{letter}."))
    if coding is not None and not coding.get("code"):
        raise Invalid(Issue("error", "required", f"The parameter coding{letter} has no code."))
    return coding or {"code": code}


def outcome(knowledge: Knowledge, system: str, first: str, second: str) -> str:
    """Return `equivalent`, `subsumes`, `subsumed-by` or `not-subsumed`."""
    for code in (first, second):
        check = knowledge.terminology.validate_code(system, code)
        if not check.system_known:
            raise NotFound(
                f"The code system {system} is not known here. Create it as a CodeSystem, or add its package."
            )
        if not check.found:
            raise NotFound(
                f"The code {code} is not in {system}{'' if check.complete else ', of which a part is here'}."
            )
    above = knowledge.terminology.subsumes(system, first, second)
    below = knowledge.terminology.subsumes(system, second, first)
    if above is None or below is None:
        raise Unprocessable(Issue("error", "not-supported", f"What is above what in {system} is not known here."))
    if above:
        return "equivalent" if below else "subsumes"
    return "subsumed-by" if below else "not-subsumed"


OPERATION = Operation(
    "subsumes",
    "http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes",
    ("type", "instance"),
    subsumes,
    types=("CodeSystem",),
    inputs=(
        Input("codeA", "code"),
        Input("codeB", "code"),
        Input("system", "uri"),
        Input("version", "string"),
        Input("codingA", "Coding"),
        Input("codingB", "Coding"),
    ),
)
