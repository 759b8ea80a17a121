"""Where XHTML elements may stand and what they may carry, as conformance tools read it (FHIR R4, 2.4.0.1)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from xml.parsers import expat

NAMESPACE = "http://www.w3.org/1999/xhtml"
SEPARATOR = "}"
PREFIX = NAMESPACE + SEPARATOR
XML = "http://www.w3.org/XML/1998/namespace" + SEPARATOR

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
INLINE = frozenset("a b em i strong small big sub sup code tt dfn q var abbr acronym cite bdo kbd samp".split())
TEXTUAL = INLINE | frozenset({"p", "pre", "address", "span", "caption", "dd", "dt", *HEADINGS})
BLOCKS = frozenset({"div", "pre", "table", "ul", "ol"})
BLOCKS_OF_P = frozenset({"div", "blockquote", "table", "ol", "ul", "p"})
EMPTY = frozenset({"br", "img", "hr", "area"})
ELEMENTS = TEXTUAL | BLOCKS | BLOCKS_OF_P | EMPTY | frozenset(
    "li dl map colgroup col thead tr tfoot tbody th td".split()
)  # fmt: skip
PARENTS: Mapping[str, frozenset[str]] = {
    "tr": frozenset({"table", "thead", "tfoot", "tbody"}),
    "tbody": frozenset({"table"}),
    "thead": frozenset({"table"}),
    "tfoot": frozenset({"table"}),
    "caption": frozenset({"table"}),
    "colgroup": frozenset({"table"}),
    "col": frozenset({"colgroup", "table"}),
    "th": frozenset({"tr", "thead", "tfoot"}),
    "td": frozenset({"tr", "thead", "tfoot"}),
    "li": frozenset({"ul", "ol"}),
    "dd": frozenset({"dl"}),
    "dt": frozenset({"dl"}),
}
CHILDREN: Mapping[str, frozenset[str]] = {
    "table": frozenset({"tbody", "tr", "caption", "thead", "tfoot", "col", "colgroup"}),
    "tr": frozenset({"td", "th"}),
    "tbody": frozenset({"tr"}),
    "thead": frozenset({"tr"}),
    "tfoot": frozenset({"tr"}),
    "ul": frozenset({"li"}),
    "ol": frozenset({"li"}),
    "dl": frozenset({"dd", "dt"}),
    "map": frozenset({"area"}),
}
WORDLESS = frozenset(CHILDREN) | EMPTY
ATTRIBUTES = frozenset(
    "title style class id lang dir accesskey tabindex span width align valign char charoff abbr axis headers scope"
    " rowspan colspan".split()
)
OWN_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "a": frozenset("href name charset type hreflang rel rev shape coords".split()),
    "img": frozenset("src border alt longdesc height width usemap ismap".split()),
    "blockquote": frozenset({"cite"}),
    "q": frozenset({"cite"}),
    "map": frozenset({"name"}),
    "area": frozenset("shape coords href nohref alt".split()),
    "table": frozenset("summary width border frame rules cellspacing cellpadding".split()),
    "pre": frozenset({"space"}),
    "td": frozenset({"nowrap"}),
}
NO_ATTRIBUTES: frozenset[str] = frozenset()
URL_CHARACTERS = re.compile(r"[\w;?:@&=+$.,/%\-~#\[\]!'()*|]*").fullmatch
MEDIA_TYPE = re.compile(r"\s*[\w.+*-]+/[\w.+*-]+(\s*;.*)?").fullmatch
SCHEME = re.compile(r"([a-z][a-z0-9_\[\]]*):[^ ]+", re.ASCII).fullmatch
LITERAL_SCHEMES = frozenset({"urn", "cid"})
ROOM_FOR_TAGS = 4096
MOST_PROBLEMS = 10

SOUND: set[tuple[str, ...]] = set()
"""Tags found right where they stood: the parent's name, the tag's, its attributes'."""


def structure_problems(div: str) -> list[str]:
    """What is wrong with the structure of a narrative that is well-formed."""
    reader = Reader()
    reader.parser.Parse(div, True)  # noqa: FBT003 the parser takes it by position only
    return reader.found[:MOST_PROBLEMS]


class Reader:
    """Follows the tags of one narrative."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.path = [""]
        self.parser = expat.ParserCreate(namespace_separator=SEPARATOR)
        self.parser.ordered_attributes = True
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text

    def start(self, name: str, attributes: list[str]) -> None:
        """Judge a tag by where it stands and what it carries."""
        path = self.path
        tag = (path[-1], name, *attributes[::2]) if attributes else (path[-1], name)
        if tag not in SOUND:
            self.judge(tag)
        short = name[len(PREFIX) :]
        if short in BLOCKS or short in BLOCKS_OF_P or short in INLINE:
            self.judge_place(short)
        if attributes and short in ("a", "img"):
            self.judge_links(short, attributes)
        path.append(short)

    def end(self, name: str) -> None:
        """Leave a tag."""
        self.path.pop()

    def text(self, data: str) -> None:
        """Judge text by where it stands."""
        parent = self.path[-1]
        if parent in WORDLESS and (parent in EMPTY or not data.isspace()):
            self.found.append(f"<{parent}> may not hold text.")

    def judge(self, tag: tuple[str, ...]) -> None:
        """Judge the names in a tag and its parent, and remember them when they are right."""
        before = len(self.found)
        parent, name = tag[0], tag[1].removeprefix(PREFIX)
        if not tag[1].startswith(PREFIX) or name not in ELEMENTS:
            self.found.append(f"<{name.rpartition(SEPARATOR)[2]}> is not among the elements that a narrative may have.")
        own = OWN_ATTRIBUTES.get(name, NO_ATTRIBUTES)
        for attribute in tag[2:]:
            if attribute not in ATTRIBUTES and attribute not in own and not attribute.startswith(XML):
                self.found.append(f"<{name}> may not have the attribute {attribute.rpartition(SEPARATOR)[2]}.")
        self.judge_parent(parent, name)
        if len(self.found) == before:
            if len(SOUND) >= ROOM_FOR_TAGS:
                SOUND.clear()
            SOUND.add(tag)

    def judge_parent(self, parent: str, name: str) -> None:
        """Judge an element by the one that it stands in."""
        if not parent:
            return
        parents, children = PARENTS.get(name), CHILDREN.get(parent)
        if (parents is not None and parent not in parents) or (children is not None and name not in children):
            self.found.append(f"<{name}> may not stand in <{parent}>.")
        elif parent in EMPTY:
            self.found.append(f"<{parent}> may not hold anything.")

    def judge_place(self, name: str) -> None:
        """Judge an element by all that are around it."""
        path = self.path
        if name in BLOCKS and not TEXTUAL.isdisjoint(path):
            self.found.append(f"<{name}> may not stand in text.")
        elif name in BLOCKS_OF_P and "p" in path:
            self.found.append(f"<{name}> may not stand in <p>.")
        elif name in INLINE and name in path:
            self.found.append(f"<{name}> may not stand in <{name}>.")

    def judge_links(self, name: str, attributes: list[str]) -> None:
        """Judge the address of a link or an image."""
        wanted = "href" if name == "a" else "src"
        for at in range(0, len(attributes), 2):
            if attributes[at] == wanted:
                problem = url_problem(attributes[at + 1]) or (link_problem(attributes[at + 1]) if name == "a" else None)
                if problem is not None:
                    self.found.append(problem)


def url_problem(url: str) -> str | None:
    """What is wrong with an address, None when nothing is."""
    if not url.strip():
        return "An address is empty."
    if url.startswith("data:"):
        return data_problem(url[len("data:") :])
    return None if URL_CHARACTERS(url) else f"The address {url!r} holds characters that must be escaped."


def data_problem(rest: str) -> str | None:
    """What is wrong with a data: address."""
    parts = rest.split(",")
    if len(parts) != 2 or not parts[1]:
        return "A data: address has a type, a comma and the data."
    kind, mark, _ = parts[0].partition(";base64")
    if mark and not is_base64(parts[1]):
        return "The data of an address is not valid base64."
    return None if not kind.strip() or MEDIA_TYPE(kind) else f"{kind!r} is not a media type."


def is_base64(text: str) -> bool:
    """True for strict base64."""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def link_problem(url: str) -> str | None:
    """What is wrong with the scheme of a link."""
    scheme = SCHEME(url)
    if scheme is not None and scheme[1] in LITERAL_SCHEMES:
        return f"A link must lead to something that can be opened, not to {url!r}."
    return None
