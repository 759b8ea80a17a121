"""Values of number parameters: `100`, `gt0.8`, `1e2` (FHIR R4, 3.1.1.4.6 number)."""

from __future__ import annotations

from functools import partial

from fhir_server.search.plan import Row
from fhir_server.search.precision import amount, ordered
from fhir_server.search.prefix import PREFIXES, Prefix, parted
from fhir_server.search.question import Form, Question, Rows
from fhir_server.search.row import Range


def read(text: str, question: Question) -> Rows:
    """A number with its prefix."""
    prefix, rest = parted(text)
    return compared(rest, question, prefix)


def compared(text: str, question: Question, prefix: Prefix) -> Rows:
    """A number, compared as a prefix says."""
    return tuple(Row(Range.RANGE, tests) for tests in ordered(prefix, amount(text), "v", "x"))


FORMS = {"": Form(read)}
OPERATORS: dict[str, Form] = {prefix: Form(partial(compared, prefix=prefix)) for prefix in PREFIXES}
