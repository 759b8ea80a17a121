"""Values of token parameters: `code`, `system|code`, `|code`, `system|` (FHIR R4, 3.1.1.4.10 token)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import partial

from fhir_server.resource.reference import parse_reference
from fhir_server.search.escape import split, unescaped
from fhir_server.search.folding import fold
from fhir_server.search.plan import Operator, Row, Test
from fhir_server.search.question import Form, Question, Rows, UnansweredValue, Unreadable
from fhir_server.search.row import Token, joined

CODED = ("CodeableConcept", "Coding", "code")
AS_SENT = ("Identifier", "ContactPoint", "boolean", "id", "uri")
WITHOUT_CASE = ("string", "markdown")
OF_BOOLEANS = frozenset({"http://terminology.hl7.org/CodeSystem/special-values", "http://hl7.org/fhir/special-values"})
ONLY_BOOLEAN = frozenset({"boolean"})
ONLY_CODE = frozenset({"code"})
PHONE = re.compile(r"[\s().\-/\d+*#]+")
PHONE_PUNCTUATION = re.compile(r"[\s().\-/]+")


def parts(text: str) -> tuple[str | None, str]:
    """System and code; the system is None where any will do, and empty where there must be none."""
    found = [unescaped(part) for part in split(text, "|")]
    if len(found) > 2:
        raise Unreadable("it has more than one |; write system|code, and \\| for a | within either")
    if len(found) == 1:
        return None, found[0]
    system, code = found
    if not system and not code:
        raise Unreadable("it has neither system nor code; write code, system|code, |code or system|")
    return system, code


def facets(system: str | None, question: Question) -> Iterator[Token]:
    """The facets under which a code of a system can stand."""
    heeds, ignores = question.reads(*AS_SENT), question.reads(*WITHOUT_CASE)
    if question.reads(*CODED):
        heeds = heeds or system is None or not question.context.ignores_case(system)
        ignores = ignores or system is None or question.context.ignores_case(system)
    if heeds:
        yield Token.CODE
    if ignores:
        yield Token.FOLDED


def coded(text: str, question: Question) -> Rows:
    """A code with or without its system, or any code of a system."""
    system, code = parts(text)
    if system and not code:
        return tuple(of_system(system, question))
    if question.kinds == ONLY_BOOLEAN and code not in ("true", "false"):
        raise Unreadable("it is either true or false")
    if system in OF_BOOLEANS and question.kinds is not None and "boolean" in question.kinds:
        system = None
    qualifier = () if system is None else (Test("x", "=", system),)
    return tuple(Row(facet, (spelled(facet, code, question), *qualifier)) for facet in facets(system, question))


def of_system(system: str, question: Question) -> Iterator[Row]:
    """Any code of a system, and what has a system and no code."""
    if question.reads(*CODED):
        facet = Token.FOLDED if question.context.ignores_case(system) else Token.CODE
        yield Row(facet, (Test("x", "=", system),))
    if question.kinds != ONLY_CODE:
        yield Row(Token.SYSTEM, (Test("v", "=", system),))


def spelled(facet: Token, code: str, question: Question) -> Test:
    """The test for a code as a facet spells it; a telephone number or e-mail address may stand there reduced."""
    if facet == Token.FOLDED:
        return Test("v", "=", code.casefold())
    reduced = reduced_contact(code) if question.reads("ContactPoint") else code
    return Test("v", "=", code) if reduced == code else Test("v", "in", (code, reduced))


def reduced_contact(code: str) -> str:
    """A telephone number without punctuation, an e-mail address in lower case, anything else as it is."""
    if PHONE.fullmatch(code):
        return PHONE_PUNCTUATION.sub("", code) or code
    return code.casefold() if "@" in code else code


def displayed(text: str, question: Question) -> Rows:
    """Codes whose text or display starts so."""
    folded = fold(unescaped(text))
    if not folded:
        raise Unreadable("it is blank; write the start of a text")
    return (Row(Token.TEXT, (Test("v", "starts", folded),)),)


def of_type(text: str, question: Question) -> Rows:
    """An identifier by the system and code of its type and by its value."""
    if not question.reads("Identifier"):
        raise Unreadable("only identifiers are of a type")
    found = [unescaped(part) for part in split(text, "|")]
    if len(found) != 3 or not found[1] or not found[2]:
        raise Unreadable("write system|code|value: the type of the identifier, then the identifier itself")
    return (Row(Token.OF_TYPE, (Test("v", "=", found[2]), Test("x", "=", joined(found[0], found[1])))),)


def within(text: str, question: Question) -> Rows:
    """Any code of a value set."""
    value_set = unescaped(text)
    literal = parse_reference(value_set)
    if literal.base in question.context.bases and literal.path is not None:
        value_set = literal.path
    members = question.codes.members(value_set)
    if members is None:
        raise UnansweredValue(f"the value set {value_set!r} is not known here, or its codes cannot be listed")
    rows = (row for system, codes in members.items() for row in listed(system, codes, question))
    return tuple(rows)


def listed(system: str, codes: Collection[str], question: Question) -> Iterator[Row]:
    """Any of several codes of a system."""
    for facet in facets(system, question) if codes else ():
        spelt = {code.casefold() for code in codes} if facet == Token.FOLDED else set(codes)
        yield Row(facet, (Test("v", "in", tuple(sorted(spelt))), Test("x", "=", system)))


def below(text: str, question: Question) -> Rows:
    """A code and what it subsumes."""
    system, code = hierarchical(text)
    return tuple(listed(system, related(question.codes.below(system, code), system, code), question))


def above(text: str, question: Question) -> Rows:
    """A code and what subsumes it."""
    system, code = hierarchical(text)
    return tuple(listed(system, related(question.codes.above(system, code), system, code), question))


def hierarchical(text: str) -> tuple[str, str]:
    """System and code, both of which a hierarchy needs."""
    system, code = parts(text)
    if not system or not code:
        raise Unreadable("write system|code: a code has its place in the hierarchy of a system")
    return system, code


def related(codes: Collection[str] | None, system: str, code: str) -> Collection[str]:
    """The codes that a hierarchy gave."""
    if codes is None:
        raise UnansweredValue(f"the hierarchy of {system!r} is not known here, or has no code {code!r}")
    return codes


def compared(text: str, question: Question, operator: Operator) -> Rows:
    """Codes that contain, start or end with a text."""
    system, code = parts(text)
    if not code:
        raise Unreadable("write a part of a code")
    qualifier = () if system is None else (Test("x", "=", system),)
    spelt = {Token.CODE: code, Token.FOLDED: code.casefold()}
    return tuple(Row(facet, (Test("v", operator, spelt[facet]), *qualifier)) for facet in facets(system, question))


FORMS = {
    "": Form(coded),
    "not": Form(coded, negated=True),
    "text": Form(displayed),
    "in": Form(within),
    "not-in": Form(within, negated=True),
    "below": Form(below),
    "above": Form(above),
    "of-type": Form(of_type),
}
OPERATORS = {
    "eq": Form(coded),
    "ne": Form(coded, negated=True, among_present=True),
    "co": Form(partial(compared, operator="contains")),
    "sw": Form(partial(compared, operator="starts")),
    "ew": Form(partial(compared, operator="ends")),
    "in": Form(within),
    "ni": Form(within, negated=True),
    "ss": Form(below),
    "sb": Form(above),
}
