"""Papers as PDF on A4 with Vietnamese text: each block of fhir_server/page.py has its row in a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import getRegisteredFontNames, registerFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import CondPageBreak, KeepTogether, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from fhir_server.page import Block, Facts, Head, Heading, Signatures, Table, Text, Title

FONTS = Path(__file__).parent / "fonts"
PLAIN, BOLD, ITALIC = "DejaVuSerifCondensed", "DejaVuSerifCondensed-Bold", "DejaVuSerifCondensed-Italic"
LEFT, RIGHT, ENDS = 25 * mm, 18 * mm, 18 * mm
WIDTH = A4[0] - LEFT - RIGHT

TEXT = ParagraphStyle("text", fontName=PLAIN, fontSize=10.5, leading=15, spaceAfter=1.5)
TITLE = ParagraphStyle("title", TEXT, fontName=BOLD, fontSize=15, leading=20, alignment=1, spaceBefore=10)
BELOW = ParagraphStyle("below", TEXT, fontName=ITALIC, alignment=1, spaceAfter=8)
HEADINGS = {
    1: ParagraphStyle("heading", TEXT, fontName=BOLD, fontSize=11, spaceBefore=7, keepWithNext=1),
    2: ParagraphStyle("subheading", TEXT, fontName=ITALIC, spaceBefore=3, keepWithNext=1),
}
CENTRED = ParagraphStyle("centred", TEXT, alignment=1, spaceAfter=0)
STRONG = ParagraphStyle("strong", CENTRED, fontName=BOLD)
SLANTED = ParagraphStyle("slanted", CENTRED, fontName=ITALIC)
DAY = ParagraphStyle("day", SLANTED, alignment=2)
CELL = ParagraphStyle("cell", TEXT, fontSize=9.5, leading=12.5, spaceAfter=0)
COLUMN = ParagraphStyle("column", CELL, fontName=BOLD, alignment=1)
MARK = ParagraphStyle("mark", CENTRED, fontSize=8.5, leading=11.5, textColor=colors.Color(0.05, 0.3, 0.55))
TIGHT = [
    ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), 2),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]
LINED = [
    ("GRID", (0, 0), (-1, -1), 0.5, colors.Color(0.35, 0.35, 0.35)),
    ("BACKGROUND", (0, 0), (-1, 0), colors.Color(0.93, 0.94, 0.96)),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]


def drawn(title: str, blocks: Sequence[Block], foot: str = "") -> bytes:
    """Return a PDF of the blocks, with `foot` and the page's number at the end of each page.

    The same arguments make the same bytes.
    """
    for name in {PLAIN, BOLD, ITALIC}.difference(getRegisteredFontNames()):
        registerFont(TTFont(name, str(FONTS / f"{name}.ttf")))
    story = [flowable for block in blocks for flowable in FLOWABLES[type(block)](block)]
    out = BytesIO()
    margins = {"leftMargin": LEFT, "rightMargin": RIGHT, "topMargin": ENDS, "bottomMargin": ENDS}
    document = SimpleDocTemplate(out, pagesize=A4, title=title, author="", invariant=1, lang="vi", **margins)

    def numbered(canvas: Any, _document: Any) -> None:
        canvas.setFont(PLAIN, 8)
        canvas.drawString(LEFT, 11 * mm, foot)
        canvas.drawRightString(A4[0] - RIGHT, 11 * mm, f"Trang {canvas.getPageNumber()}")

    document.build(story, onFirstPage=numbered, onLaterPages=numbered)
    return out.getvalue()


def _head(head: Head) -> Iterator[Any]:
    left = [Paragraph(escape(line), CENTRED if place else STRONG) for place, line in enumerate(head.left)]
    right = [Paragraph(escape(line), STRONG) for line in head.right[:-1]]
    right += [Paragraph(f'<u width="0.8" offset="-3">{escape(line)}</u>', STRONG) for line in head.right[-1:]]
    yield Grid([[left, right]], colWidths=[WIDTH * 0.44, WIDTH * 0.56], style=TIGHT)


def _title(title: Title) -> Iterator[Any]:
    yield Paragraph(escape(title.text), TITLE)
    yield Paragraph(escape(title.below), BELOW) if title.below else Spacer(1, 3 * mm)


def _facts(facts: Facts) -> Iterator[Any]:
    for label, value in facts.pairs:
        if value:
            yield Paragraph(f'{escape(label)}: <font name="{BOLD}">{escape(value)}</font>', TEXT)


def _heading(heading: Heading) -> Iterator[Any]:
    yield Paragraph(escape(heading.text), HEADINGS[heading.level])


def _text(text: Text) -> Iterator[Any]:
    for line in text.text.strip().splitlines():
        yield Paragraph(escape(line) or "&nbsp;", TEXT)


def _table(table: Table) -> Iterator[Any]:
    rows = [[Paragraph(escape(each), COLUMN) for each in table.headings]]
    rows += [[Paragraph(escape(each), CELL) for each in row] for row in table.rows]
    yield Grid(rows, colWidths=[WIDTH * share for share in table.widths], style=LINED, repeatRows=1, splitInRow=1)
    yield Spacer(1, 2 * mm)


def _signatures(signatures: Signatures) -> Iterator[Any]:
    cells = []
    for place in signatures.places:
        marks = [Paragraph(escape(line), MARK) for line in place.signed] or [Spacer(1, 18 * mm)]
        space = Spacer(1, 3 * mm)
        cells.append([
            Paragraph(escape(place.role), STRONG), space, *marks, space, Paragraph(escape(place.name), STRONG),
        ])  # fmt: skip
    yield CondPageBreak(60 * mm)
    widths = [WIDTH / len(cells)] * len(cells)
    yield KeepTogether([
        Spacer(1, 5 * mm), Paragraph(escape(signatures.day), DAY), Spacer(1, 2 * mm),
        Grid([cells], colWidths=widths, style=TIGHT),
    ])  # fmt: skip


FLOWABLES: Mapping[type[Any], Callable[[Any], Iterator[Any]]] = {
    Head: _head,
    Title: _title,
    Facts: _facts,
    Heading: _heading,
    Text: _text,
    Table: _table,
    Signatures: _signatures,
}
