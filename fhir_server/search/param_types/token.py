"""Index rows of token parameters (FHIR R4, 3.1.1.4.10 token)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.search.folding import fold
from fhir_server.search.leaf import Leaf, Write
from fhir_server.search.row import Memo, Row, Rows, Token, joined

PHONE_PUNCTUATION = re.compile(r"[\s().\-/]+")


def coded_rows(leaf: Leaf, system: str, code: str | None) -> list[Row]:
    """The rows of a code within a system, or of a system without code."""
    if not code:
        return [(number + Token.SYSTEM, system, "") for number in leaf.numbers] if system else []
    if leaf.context.ignores_case(system):
        folded = code.casefold()
        return [(number + Token.FOLDED, folded, system) for number in leaf.numbers]
    return [(number + Token.CODE, code, system) for number in leaf.numbers]


def text_rows(leaf: Leaf, texts: Iterable[str | None]) -> list[Row]:
    """The rows for :text."""
    return [(number + Token.TEXT, fold(text), "") for text in texts if text for number in leaf.numbers]


def concept_writer(leaf: Leaf) -> Write:
    """CodeableConcept: each coding; :text finds the text and the displays."""
    known = Memo()

    def write(value: Any, rows: Rows, resource: Any) -> None:
        codings: Any = value.get("coding") or ()
        text = value.get("text")
        if len(codings) == 1:
            coding = codings[0]
            key: Any = coding.get("system"), coding.get("code"), coding.get("display"), text
        else:
            key = text, tuple([(c.get("system"), c.get("code"), c.get("display")) for c in codings])
        found = known.get(key)
        if found is None:
            found = concept_rows(leaf, codings, text)
            known.keep(key, found)
        rows += found

    return write


def concept_rows(leaf: Leaf, codings: Iterable[Any], text: str | None) -> tuple[Row, ...]:
    """The rows of a CodeableConcept."""
    rows: list[Row] = []
    for coding in codings:
        rows += coded_rows(leaf, coding.get("system") or "", coding.get("code"))
    rows += text_rows(leaf, [*(coding.get("display") for coding in codings), text])
    return tuple(dict.fromkeys(rows))


def coding_writer(leaf: Leaf) -> Write:
    """Coding: its code; :text finds the display."""
    known = Memo()

    def write(value: Any, rows: Rows, resource: Any) -> None:
        key = (value.get("system"), value.get("code"), value.get("display"))
        found = known.get(key)
        if found is None:
            found = concept_rows(leaf, (value,), None)
            known.keep(key, found)
        rows += found

    return write


def identifier_writer(leaf: Leaf) -> Write:
    """Identifier: its value, in which case matters; its type for :of-type, the type's text for :text."""
    numbers = [(number + Token.CODE, number + Token.SYSTEM) for number in leaf.numbers]

    def write(value: Any, rows: Rows, resource: Any) -> None:
        code, system, kind = value.get("value"), value.get("system"), value.get("type")
        for coded, of_system in numbers:
            if code:
                rows.append((coded, code, system or ""))
            if system:
                rows.append((of_system, system, ""))
        if kind is not None:
            rows += type_rows(leaf, kind, code)

    return write


def type_rows(leaf: Leaf, kind: Any, code: str | None) -> list[Row]:
    """The rows that an Identifier's type adds."""
    rows = text_rows(leaf, [kind.get("text")])
    for coding in kind.get("coding") or ():
        if code and coding.get("code"):
            name = joined(coding.get("system") or "", coding["code"])
            rows += [(number + Token.OF_TYPE, code, name) for number in leaf.numbers]
    return rows


def contact_point_writer(leaf: Leaf) -> Write:
    """ContactPoint: its value as sent and, where it differs, without what people put into phone numbers."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        sent = value.get("value")
        if not sent:
            return
        forms = {sent: None, reduced_contact(sent, value.get("system")): None}
        for number in leaf.numbers:
            rows += [(number + Token.CODE, form, "") for form in forms]

    return write


def reduced_contact(value: str, system: str | None) -> str:
    """A phone number without blanks and punctuation, an e-mail address in lower case, anything else as it is."""
    if system == "email":
        return value.casefold()
    if system in ("phone", "fax", "sms", "pager"):
        return PHONE_PUNCTUATION.sub("", value) or value
    return value


def code_writer(leaf: Leaf) -> Write:
    """A code: its system is the one that the required binding of its element implies."""
    systems = implied_systems(leaf)
    known = Memo()

    def write(value: Any, rows: Rows, resource: Any) -> None:
        found = known.get(value)
        if found is None:
            found = tuple(coded_rows(leaf, systems.get(value, systems.get(None, "")), value))
            known.keep(value, found)
        rows += found

    return write


def implied_systems(leaf: Leaf) -> dict[str | None, str]:
    """The system of each code that a required binding names; under None, that of all codes where it is one."""
    binding = leaf.member.element.binding if leaf.member is not None else None
    if binding is None or binding.strength != "required":
        return {}
    definitions = leaf.context.definitions
    url = binding.value_set.partition("|")[0]
    expansion = definitions.compiled_expansion(url)
    if expansion:
        only = {None: next(iter(expansion))} if len(expansion) == 1 else {}
        return only | {code: system for system, codes in expansion.items() for code in codes}
    systems = included_systems(definitions, url)
    return {None: systems.pop()} if len(systems) == 1 else {}


def included_systems(definitions: Definitions, url: str) -> set[str]:
    """The systems that a value set draws codes from."""
    value_set = definitions.value_set(url)
    return {include.system for include in value_set.include if include.system} if value_set else set()


def boolean_writer(leaf: Leaf) -> Write:
    """A boolean: `true` or `false`, without system."""
    forms = {value: tuple((n + Token.CODE, str(value).lower(), "") for n in leaf.numbers) for value in (True, False)}

    def write(value: Any, rows: Rows, resource: Any) -> None:
        rows += forms[value]

    return write


def string_writer(leaf: Leaf) -> Write:
    """A string: tokens of this type ignore case."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        if value:
            folded = value.casefold()
            rows += [(number + Token.FOLDED, folded, "") for number in leaf.numbers]

    return write


def literal_writer(leaf: Leaf) -> Write:
    """An id or a uri: as it is."""

    def write(value: Any, rows: Rows, resource: Any) -> None:
        if value:
            rows += [(number + Token.CODE, value, "") for number in leaf.numbers]

    return write


WRITERS = {
    "CodeableConcept": concept_writer,
    "Coding": coding_writer,
    "Identifier": identifier_writer,
    "ContactPoint": contact_point_writer,
    "code": code_writer,
    "boolean": boolean_writer,
    "string": string_writer,
    "markdown": string_writer,
    "id": literal_writer,
    "uri": literal_writer,
}
