"""Index rows of string parameters (FHIR R4, 3.1.1.4.8 string)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fhir_server.search.folding import fold
from fhir_server.search.leaf import Leaf, Write
from fhir_server.search.row import Memo, Row, Rows, String

FAMILY = "HumanName.family"
"""Where later words count on their own: `Quinones` finds the family Carreno Quinones."""


def whole_rows(leaf: Leaf, text: str) -> list[Row]:
    """The rows of a text as a whole; none for an empty one."""
    folded = fold(text)
    exact = "" if folded == text else text
    return [(number + String.WHOLE, folded, exact) for number in leaf.numbers if text]


def word_rows(leaf: Leaf, text: str) -> list[Row]:
    """The rows of a text as a whole and from each later word on."""
    words = fold(text).split(" ")
    later = (" ".join(words[start:]) for start in range(1, len(words)))
    return whole_rows(leaf, text) + [(number + String.WORD, part, "") for part in later for number in leaf.numbers]


def remembered_writer(leaf: Leaf, read: Callable[[Leaf, str], list[Row]]) -> Write:
    """The writer of one text."""
    known = Memo()

    def write(value: Any, rows: Rows, resource: Any) -> None:
        found = known.get(value)
        if found is None:
            found = known.keep(value, tuple(read(leaf, value)))
        rows += found

    return write


def string_writer(leaf: Leaf) -> Write:
    """A string or markdown."""
    is_family = leaf.member is not None and leaf.member.element.path == FAMILY
    return remembered_writer(leaf, word_rows if is_family else whole_rows)


def name_writer(leaf: Leaf) -> Write:
    """HumanName: each of its parts."""
    return parts_writer(leaf, {"text": word_rows, "family": word_rows}, ("given", "prefix", "suffix"))


def address_writer(leaf: Leaf) -> Write:
    """Address: each of its parts."""
    single = ("text", "city", "district", "state", "postalCode", "country")
    return parts_writer(leaf, dict.fromkeys(single, whole_rows), ("line",))


def parts_writer(leaf: Leaf, single: Mapping[str, Callable[[Leaf, str], list[Row]]], repeated: Iterable[str]) -> Write:
    """The writer of an object by its members."""
    writes = {key: remembered_writer(leaf, read) for key, read in single.items()}
    plain, lists = remembered_writer(leaf, whole_rows), frozenset(repeated)

    def write(value: Any, rows: Rows, resource: Any) -> None:
        for key, part in value.items():
            if key in writes:
                writes[key](part, rows, resource)
            elif key in lists:
                for item in part:
                    if item:
                        plain(item, rows, resource)

    return write


WRITERS = {
    "string": string_writer,
    "markdown": string_writer,
    "uri": string_writer,
    "HumanName": name_writer,
    "Address": address_writer,
}
