"""Values of reference parameters: `1`, `Patient/1`, URLs, canonicals (FHIR R4, 3.1.1.4.12 reference, 3.1.1.4.13)."""

from __future__ import annotations

from fhir_server.resource.reference import parse_canonical, parse_reference
from fhir_server.search.escape import split, unescaped
from fhir_server.search.plan import Row, Test
from fhir_server.search.question import Form, Question, Rows, Unreadable
from fhir_server.search.row import Reference

CANONICALS = ("canonical", "uri")


def equal(text: str, question: Question) -> Rows:
    """References to a resource by its id, type and id, version or URL, and canonicals."""
    asked = unescaped(text)
    found: list[Row] = []
    if question.reads("Reference", "Resource") or asked.startswith("#"):
        found.append(literal(asked, question))
    if question.reads(*CANONICALS) and not asked.startswith("#"):
        found += canonical(asked)
    return tuple(found)


def literal(asked: str, question: Question) -> Row:
    """References by URL; one below an own base is the same as a relative one."""
    parsed = parse_reference(asked)
    if parsed.id is None or parsed.type not in question.context.definitions.resource_types:
        kinds = () if question.only is None else (Test("x", "=", question.only),)
        return Row(Reference.LITERAL, (Test("v", "=", asked), *kinds))
    kind = agreed(parsed.type, question)
    is_own = parsed.base is None or parsed.base in question.context.bases
    path = f"{kind}/{parsed.id}" if is_own else f"{parsed.base}/{kind}/{parsed.id}"
    if parsed.version is not None:
        return Row(Reference.VERSION, (Test("v", "=", f"{path}/_history/{parsed.version}"),))
    return Row(Reference.LITERAL, (Test("v", "=", parsed.id if is_own else path), Test("x", "=", kind)))


def agreed(kind: str, question: Question) -> str:
    """The type of a reference, which the modifier must not contradict."""
    if question.only not in (None, kind):
        raise Unreadable(f"it refers to a {kind}, and the parameter's name asks for a {question.only}")
    if question.targets and kind not in question.targets:
        raise Unreadable(f"it refers to a {kind}; this parameter refers to {', '.join(question.targets)} only")
    return kind


def canonical(asked: str) -> list[Row]:
    """Canonicals by URL, of the version that is named or of any."""
    parsed = parse_canonical(asked)
    version = () if parsed.version is None else (Test("x", "=", parsed.version),)
    return [Row(Reference.CANONICAL, (Test("v", "=", parsed.url), *version))] if parsed.url else []


def below(text: str, question: Question) -> Rows:
    """Canonicals whose path goes on from a URL, or, where a version is named, of it or a version within it."""
    url, version = located(text, question)
    if version is None:
        root = url.rstrip("/")
        within = Row(Reference.CANONICAL, (Test("v", "starts", f"{root}/"),))
        return (Row(Reference.CANONICAL, (Test("v", "in", (root, url)),)), within)
    same = Test("v", "=", url)
    within = Row(Reference.CANONICAL, (same, Test("x", "starts", f"{version}.")))
    return (Row(Reference.CANONICAL, (same, Test("x", "=", version))), within)


def above(text: str, question: Question) -> Rows:
    """Canonicals from whose path a URL goes on, or, where a version is named, those of it or a version around it."""
    url, version = located(text, question)
    if version is None:
        scheme, _, path = url.partition("://")
        steps = path.rstrip("/").split("/")
        roots = tuple(f"{scheme}://{'/'.join(steps[:length])}" for length in range(len(steps), 0, -1))
        return (Row(Reference.CANONICAL, (Test("v", "in", tuple(dict.fromkeys((url, *roots)))),)),)
    parts = version.split(".")
    around = tuple(".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return (Row(Reference.CANONICAL, (Test("v", "=", url), Test("x", "in", around))),)


def located(text: str, question: Question) -> tuple[str, str | None]:
    """The URL and version of a canonical."""
    parsed = parse_canonical(unescaped(text))
    if not question.reads(*CANONICALS) or "://" not in parsed.url:
        raise Unreadable("only canonical URLs, such as http://example.org/fhir/Questionnaire/q, lie below each other")
    return parsed.url, parsed.version


def identified(text: str, question: Question) -> Rows:
    """References that hold an identifier, written as a token: `system|value`, `value`, `|value`, `system|`."""
    found = [unescaped(part) for part in split(text, "|")]
    if len(found) > 2 or not any(found):
        raise Unreadable("write value, system|value, |value or system|")
    if len(found) == 1:
        return (Row(Reference.IDENTIFIER, (Test("v", "=", found[0]),)),)
    system, value = found
    if not value:
        return (Row(Reference.IDENTIFIER_SYSTEM, (Test("v", "=", system),)),)
    return (Row(Reference.IDENTIFIER, (Test("v", "=", value), Test("x", "=", system))),)


FORMS = {"": Form(equal), "identifier": Form(identified), "below": Form(below), "above": Form(above)}
OPERATORS = {
    "eq": Form(equal),
    "re": Form(equal),
    "ne": Form(equal, negated=True, among_present=True),
    "ss": Form(below),
    "sb": Form(above),
}
