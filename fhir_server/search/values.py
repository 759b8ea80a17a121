"""Which values and modifiers each type of search parameter takes (FHIR R4, 3.1.1.4)."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.search.escape import split
from fhir_server.search.prefix import PREFIXES
from fhir_server.search.question import Forms, Question, Rows, Unreadable
from fhir_server.search.value_types import date, number, quantity, reference, special, string, token, uri
from fhir_server.search.value_types.composite import joined_rows

FORMS: Mapping[str, Forms] = {
    "token": token.FORMS,
    "string": string.FORMS,
    "date": date.FORMS,
    "number": number.FORMS,
    "quantity": quantity.FORMS,
    "reference": reference.FORMS,
    "uri": uri.FORMS,
    "special": special.FORMS,
}
"""For each type of parameter, how a value is read by modifier; composites are read by their components."""

OPERATORS: Mapping[str, Forms] = {
    "token": token.OPERATORS,
    "string": string.OPERATORS,
    "date": date.OPERATORS,
    "number": number.OPERATORS,
    "quantity": quantity.OPERATORS,
    "reference": reference.OPERATORS,
    "uri": uri.OPERATORS,
    "special": special.OPERATORS,
}
"""The same by operator of `_filter`."""

ORDERED = frozenset({"date", "number", "quantity"})


def composite_rows(text: str, components: tuple[tuple[str, Question], ...]) -> Rows:
    """The alternatives for one value of a composite, each component with its type."""
    found = split(text, "$")
    if len(found) != len(components):
        kinds = "$".join(kind for kind, _ in components)
        raise Unreadable(f"it has {len(found)} of {len(components)} components; write {kinds}")
    return joined_rows(
        [(kind, FORMS[kind][""].read(part, question)) for part, (kind, question) in zip(found, components, strict=True)]
    )


def described(kind: str) -> str:
    """The modifiers and prefixes that a type of parameter takes, for people."""
    modifiers = [f":{name}" for name in FORMS.get(kind, {}) if name] + [":missing"]
    prefixes = f", and the prefixes {' '.join(PREFIXES)}" if kind in ORDERED else ""
    return f"{' '.join(modifiers)}{prefixes}"
