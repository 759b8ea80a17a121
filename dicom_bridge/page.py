"""Pages of PDF with Vietnamese text: a title, what it is about, paragraphs under headings."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import getRegisteredFontNames, registerFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

FONT = "DejaVuSans"
FILE = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
TITLE = ParagraphStyle("title", fontName=FONT, fontSize=15, leading=20, alignment=1, spaceAfter=8)
HEADING = ParagraphStyle("heading", fontName=FONT, fontSize=11, leading=15, spaceBefore=8, spaceAfter=2)
TEXT = ParagraphStyle("text", fontName=FONT, fontSize=10, leading=14)


def drawn(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[tuple[str, str]]) -> bytes:
    """Return a PDF: the title, facts as lines of a label and a value, then sections of a heading and a text.

    The same arguments make the same bytes.
    """
    if FONT not in getRegisteredFontNames():
        registerFont(TTFont(FONT, str(FILE)))
    story = [Paragraph(escape(title), TITLE)]
    story += [Paragraph(f"{escape(label)}: {escape(value)}", TEXT) for label, value in facts if value]
    story.append(Spacer(1, 4 * mm))
    for heading, text in sections:
        if text.strip():
            story.append(Paragraph(escape(heading), HEADING))
            story += [Paragraph(escape(line) or "&nbsp;", TEXT) for line in text.strip().splitlines()]
    out = BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 20 * mm)
    SimpleDocTemplate(out, pagesize=A4, title=title, author="", invariant=1, lang="vi", **margins).build(story)
    return out.getvalue()
