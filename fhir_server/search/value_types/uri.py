"""Values of uri parameters: the whole uri, what lies below it, what it lies below (FHIR R4, 3.1.1.4.9 uri)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fhir_server.resource.reference import parse_canonical
from fhir_server.search.escape import unescaped
from fhir_server.search.plan import Operator, Row, Test
from fhir_server.search.question import Form, Question, Rows, Unreadable
from fhir_server.search.row import Uri


def equal(text: str, question: Question) -> Rows:
    """The uri, exactly; of a canonical the version too, where one is asked for."""
    whole = unescaped(text)
    found = [Row(Uri.URI, (Test("v", "=", whole),))]
    canonical = parse_canonical(whole)
    if canonical.version and question.reads("canonical"):
        found.append(Row(Uri.URI, (Test("v", "=", canonical.url), Test("x", "=", canonical.version))))
    return tuple(found)


def below(text: str, question: Question) -> Rows:
    """The URL and all whose path goes on from it."""
    url = located(text)
    root = url.rstrip("/")
    return (Row(Uri.URI, (Test("v", "in", (root, url)),)), Row(Uri.URI, (Test("v", "starts", f"{root}/"),)))


def above(text: str, question: Question) -> Rows:
    """The URL and all from which its path goes on, down to the host."""
    return (
        Row(
            Uri.URI,
            (
                Test(
                    "v",
                    "in",
                    tuple(dict.fromkeys(ancestors(located(text)))),
                ),
            ),
        ),
    )


def located(text: str) -> str:
    """A URL with a path; other uris lie neither above nor below each other."""
    url = unescaped(text)
    if "://" not in url:
        raise Unreadable(f"{url[:64]!r} is not a URL: only URLs such as http://example.org/fhir lie below each other")
    return url


def ancestors(url: str) -> Iterator[str]:
    """The URL and its path shortened step by step, each with and without a slash at the end."""
    yield url
    scheme, _, path = url.partition("://")
    steps = path.rstrip("/").split("/")
    for length in range(len(steps), 0, -1):
        shorter = "/".join(steps[:length])
        yield f"{scheme}://{shorter}"
        yield f"{scheme}://{shorter}/"


def compared(text: str, question: Question, operator: Operator) -> Rows:
    """Uris that stand to this text as the operator says."""
    return (Row(Uri.URI, (Test("v", operator, unescaped(text)),)),)


FORMS = {"": Form(equal), "below": Form(below), "above": Form(above)}
OPERATORS = {
    "eq": Form(equal),
    "ne": Form(equal, negated=True, among_present=True),
    "co": Form(partial(compared, operator="contains")),
    "sw": Form(partial(compared, operator="starts")),
    "ew": Form(partial(compared, operator="ends")),
    "ss": Form(below),
    "sb": Form(above),
}
