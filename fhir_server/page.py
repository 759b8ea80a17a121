"""What a printed paper is made of, as values: a head, a title, facts, sections, a table, the places to sign."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fhir_server.part import Part


@dataclass(frozen=True, slots=True)
class Head:
    """The top of an official paper (Decree 30/2020/ND-CP): whose it is, and the national motto beside it."""

    left: Sequence[str]
    right: Sequence[str]


@dataclass(frozen=True, slots=True)
class Title:
    """The title, and a line below it."""

    text: str
    below: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Lines of a label and a value; those without a value are left out."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of a section, of the first or the second level."""

    text: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    """A text; each line of it is a paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells below a row of headings; `widths` are shares of the page."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[float]


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody signs: as what, with the lines of a signature that is there, and the name."""

    role: str
    signed: Sequence[str]
    name: str


@dataclass(frozen=True, slots=True)
class Signatures:
    """The places to sign, side by side, never alone on a page without a word above them."""

    day: str
    places: Sequence[Place]


Block = Head | Title | Facts | Heading | Text | Table | Signatures
DRAWN: Part[Callable[[str, Sequence[Block], str], bytes]] = Part("fhir_server.pdf:drawn")
"""Returns the PDF of a title, blocks, and a line at the foot of each page."""
