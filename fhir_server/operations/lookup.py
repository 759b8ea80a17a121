"""The operation $lookup: all that is known of a code (FHIR R4, OperationDefinition/CodeSystem-lookup)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from fhir_server.definitions.code_system import Designation
from fhir_server.errors import Invalid, Issue, NotFound
from fhir_server.rest.argument import Arguments, Input, Part, parameters, parts
from fhir_server.rest.definition import languages_in
from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from fhir_server.terminology.knowledge import Knowledge
from fhir_server.terminology.lookup import Lookup, Property

ALWAYS = frozenset({"name", "version", "display"})
LANGUAGE = "lang."


async def lookup(node: Node, exchange: Exchange, arguments: Arguments) -> dict[str, Any]:
    """Return a Parameters that describes the code; raise NotFound for a system or a code that is not known."""
    coding = arguments.resource("coding")
    if (coding is None) == (arguments.text("code") is None):
        raise Invalid(Issue("error", "required", "$lookup needs either code and system, or coding."))
    asked = coding or {"code": arguments.text("code"), "system": arguments.text("system")}
    system, code = asked.get("system"), asked.get("code")
    if not system or not code:
        raise Invalid(Issue("error", "required", "$lookup needs the system of the code, and the code."))
    version = arguments.text("version") or asked.get("version")
    found = looked_up(
        node.knowledge, f"{system}|{version}" if version else system, code, languages_in(arguments, exchange)
    )
    return described(found, frozenset(arguments.many("property")))


def looked_up(knowledge: Knowledge, system: str, code: str, languages: Sequence[str]) -> Lookup:
    """Return what is known of a code; raise NotFound that says whether the system or the code is not known."""
    found = knowledge.terminology.lookup(system, code, languages)
    if found is not None:
        return found
    check = knowledge.terminology.validate_code(system, code)
    if not check.system_known:
        text = f"The code system {system} is not known here. Create it as a CodeSystem, or add its package."
        raise NotFound(text)
    some = "" if check.complete else ", of which only a part is here"
    raise NotFound(f"The code {code} is not in {system}{some}.")


def described(found: Lookup, wanted: Collection[str]) -> dict[str, Any]:
    """Return the Parameters of a concept, with the properties that are wanted: all of them where none is named."""
    return parameters(
        ("name", "string", found.name),
        ("version", "string", found.version),
        ("display", "string", found.display),
        *_asked(found, wanted),
        *(("designation", "part", _designation(each)) for each in found.designations if _shown(each, wanted)),
        *(("property", "part", _property(each)) for each in found.properties if not wanted or each.code in wanted),
    )


def _asked(found: Lookup, wanted: Collection[str]) -> Iterator[Part]:
    if not wanted or "definition" in wanted:
        yield "definition", "string", found.definition
    if "system" in wanted:
        yield "system", "uri", found.system


def _shown(designation: Designation, wanted: Collection[str]) -> bool:
    if not wanted or "designation" in wanted:
        return True
    return any(designation.language == name.removeprefix(LANGUAGE) for name in wanted if name.startswith(LANGUAGE))


def _designation(designation: Designation) -> list[dict[str, Any]]:
    use = None
    if designation.use:
        system, code = designation.use
        use = {"system": system, "code": code} if system else {"code": code}
    return parts(
        ("language", "code", designation.language), ("use", "Coding", use), ("value", "string", designation.value)
    )


def _property(each: Property) -> list[dict[str, Any]]:
    value = {"code": each.value} if each.type == "Coding" else each.value
    return parts(("code", "code", each.code), ("value", each.type, value), ("description", "string", each.description))


OPERATION = Operation(
    "lookup",
    "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup",
    ("type",),
    lookup,
    types=("CodeSystem",),
    inputs=(
        Input("code", "code"),
        Input("system", "uri"),
        Input("version", "string"),
        Input("coding", "Coding"),
        Input("date", "dateTime", supported=False, reason="codes are looked up as they are now"),
        Input("displayLanguage", "code"),
        Input("property", "code", many=True),
    ),
)
