"""Narratives of sections, written and read: paragraphs, and tables of cells (FHIR R4, 2.4 Narrative)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from html.parser import HTMLParser

from telesession.vocabulary import Json

XHTML = "http://www.w3.org/1999/xhtml"
BREAKING = frozenset(
    {"p", "div", "br", "li", "ul", "ol", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre"}
)

Row = tuple[str, ...]


def paragraphs(text: str) -> Json:
    """The narrative of a text, each line a paragraph."""
    return _narrative("".join(f"<p>{escape(line)}</p>" for line in map(str.strip, text.splitlines()) if line))


def table(rows: Iterable[Sequence[str]], headings: Sequence[str] = ()) -> Json:
    """The narrative of a table."""
    head = f"<thead>{_row(headings, 'th')}</thead>" if headings else ""
    body = "".join(_row(row, "td") for row in rows)
    return _narrative(f"<table>{head}<tbody>{body}</tbody></table>")


def _narrative(inside: str) -> Json:
    return {"status": "additional", "div": f'<div xmlns="{XHTML}">{inside}</div>'}


def _row(cells: Sequence[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(each)}</{tag}>' for each in cells)}</tr>"


class _Reader(HTMLParser):
    """Gathers lines of text, and the rows of tables; whatever is no well-formed XHTML is read as far as it goes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = []
        self.rows: list[Row] = []
        self._line = ""
        self._cells: list[str] | None = None

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        if tag == "tr":
            self._end_line()
            self._cells = []
        elif tag in ("td", "th") and self._cells is not None:
            self._cells.append("")
        elif tag in BREAKING:
            self._break()

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr" and self._cells is not None:
            self.rows.append(tuple(" ".join(each.split()) for each in self._cells))
            self._cells = None
        elif tag in BREAKING:
            self._break()

    def handle_data(self, data: str) -> None:
        if self._cells:
            self._cells[-1] += data
        elif self._cells is None:
            self._line += data

    def finish(self) -> None:
        """Take in what came last."""
        self.close()
        self._end_line()

    def _break(self) -> None:
        if self._cells:
            self._cells[-1] += " "
        elif self._cells is None:
            self._end_line()

    def _end_line(self) -> None:
        if line := " ".join(self._line.split()):
            self.lines.append(line)
        self._line = ""


def read(narrative: object) -> tuple[str, tuple[Row, ...]]:
    """The text of a narrative, a line for each paragraph, and the rows of its tables."""
    div = narrative.get("div") if isinstance(narrative, dict) else None
    if not isinstance(div, str):
        return "", ()
    reader = _Reader()
    reader.feed(div)
    reader.finish()
    return "\n".join(reader.lines), tuple(reader.rows)


def says(narrative: object) -> Iterator[str]:
    """Yield all that a narrative says, lines first, then cells."""
    text, rows = read(narrative)
    yield from text.splitlines()
    yield from (cell for row in rows for cell in row if cell)
