"""Where XHTML elements may stand and what they may carry, as conformance tools read it (FHIR R4, 2.4.0.1)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from xml.parsers import expat

from fhir_server.xhtml import PREFIX, VALUED, XML_PREFIX, NotXhtml, Reader, check_root, has_content, local

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
LINKS = {f"{PREFIX}a": "href", f"{PREFIX}img": "src"}
URL_CHARACTERS = re.compile(r"[\w;?:@&=+$.,/%\-~#\[\]!'()*|]*").fullmatch
MEDIA_TYPE = re.compile(r"\s*[\w.+*-]+/[\w.+*-]+(\s*;.*)?").fullmatch
SCHEME = re.compile(r"([a-z][a-z0-9_\[\]]*):[^ ]+", re.ASCII).fullmatch
LITERAL_SCHEMES = frozenset({"urn", "cid"})
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# Words right after a tag that opens a list or table, or closes a part of one, or within an element that holds nothing.
STRAY_WORDS = re.compile(
    r"<(?:table|tr|tbody|thead|tfoot|ul|ol|dl|map)(?:\s[^>]*)?(?<!/)>\s*[^<\s]"
    r"|</(?:tr|td|th|li|tbody|thead|tfoot|dd|dt|caption|colgroup)>\s*[^<\s]"
    r"|<(?:br|img|hr|area)(?:\s[^>]*)?(?<!/)>[^<]"
).search
TAGS = re.compile(r"<[^>]*>").findall
ROOM_FOR_TEMPLATES = 512
LONGEST_TEMPLATE = 8192
ROOM_FOR_PLACES = 4096
MOST_PROBLEMS = 10
START = 0

PLACES: dict[tuple[object, ...], int] = {}
"""Tags found right where they stood: the number of the place around, the tag and its attributes, to its own number."""
PATHS: list[tuple[str, ...]] = [()]
"""The names of the elements around each place, the place's own last."""
TEMPLATES: set[str] = set()
"""All tags of narratives found right, each with its attributes: what programs write differs in the words alone."""


def is_sound(div: str) -> bool:
    """True when there is nothing wrong with a narrative."""
    return StrictReader().is_sound(div) if (template := template_of(div)) is None else follows(template, div)


def template_of(div: str) -> str | None:
    """The tags of a narrative; None where `>` stands for itself somewhere, so that they cannot be told by it."""
    tags = TAGS(div)
    if len(tags) != div.count(">") or "<!" in div:
        return None
    template = "".join(tags)
    return template if len(template) <= LONGEST_TEMPLATE else None


def follows(template: str, div: str) -> bool:
    """True when a narrative with these tags is right; the tags are remembered then."""
    if template not in TEMPLATES:
        if not StrictReader().is_sound(div):
            return False
        if len(TEMPLATES) >= ROOM_FOR_TEMPLATES:
            TEMPLATES.clear()
        TEMPLATES.add(template)
        return True
    plain = div.replace("\n", " ").replace("\r", " ").replace("\t", " ").isprintable()
    if not plain or "&" in div or div[:1] != "<" or div[-1:] != ">":  # else tags that are right make it XML
        try:
            expat.ParserCreate().Parse(div, True)  # noqa: FBT003 the parser takes it by position only
        except (expat.ExpatError, ValueError):
            return False
    return STRAY_WORDS(div) is None and has_content(div)


def structure_problems(div: str) -> list[str]:
    """What is wrong with the structure of a narrative that is well-formed and harmless."""
    reader = StrictReader()
    reader.is_sound(div)
    return reader.wrong[:MOST_PROBLEMS]


class StrictReader(Reader):
    """Follows the tags of one narrative; places and tags met before cost a look-up each."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.places = [START]
        self.parser.EndElementHandler = self.end

    def is_sound(self, div: str) -> bool:
        """True when there is nothing wrong with a narrative; `wrong` then says what is, if it is but the structure."""
        try:
            self.parser.Parse(div, True)  # noqa: FBT003 the parser takes it by position only
        except (NotXhtml, expat.ExpatError, ValueError):
            return False
        if STRAY_WORDS(COMMENT.sub("", div) if "<!--" in div else div):
            self.wrong.append("Text stands where only elements may.")
        return not self.found and not self.wrong and has_content(div)

    def start(self, name: str, attributes: list[str]) -> None:
        """Judge a tag by where it stands and what it carries."""
        places = self.places
        key = (places[-1], name, *attributes[::2]) if attributes else (places[-1], name)
        place = PLACES.get(key)
        places.append(self.judge_tag(key, name, attributes) if place is None else place)
        if attributes:
            for at in range(0, len(attributes), 2):
                if attributes[at] in VALUED:
                    self.judge_value(attributes[at], attributes[at + 1])
            if name in LINKS:
                self.judge_link(LINKS[name], attributes)

    def end(self, name: str) -> None:
        """Leave a tag."""
        self.places.pop()

    def judge_tag(self, key: tuple[object, ...], name: str, attributes: list[str]) -> int:
        """Judge a tag that was not met here before, and give its place a number; remember it when it is right."""
        path = PATHS[self.places[-1]]
        if not path:
            check_root(name)
        short = local(name)
        found = [*tag_problems(name, short, attributes), *place_problems(short, path)]
        self.wrong += found
        if len(PATHS) >= ROOM_FOR_PLACES and len(self.places) == 1:
            PLACES.clear()
            del PATHS[1:]
        PATHS.append((*path, short))
        if not found:
            PLACES[key] = len(PATHS) - 1
        return len(PATHS) - 1

    def judge_link(self, wanted: str, attributes: list[str]) -> None:
        """Judge the address of a link or an image."""
        for at in range(0, len(attributes), 2):
            if attributes[at] == wanted:
                url = attributes[at + 1]
                problem = url_problem(url) or (link_problem(url) if wanted == "href" else None)
                if problem is not None:
                    self.wrong.append(problem)


def tag_problems(name: str, short: str, attributes: list[str]) -> list[str]:
    """What is wrong with the names in a tag."""
    found = []
    if not name.startswith(PREFIX) or short not in ELEMENTS:
        found.append(f"<{short}> is not among the elements that a narrative may have.")
    own = OWN_ATTRIBUTES.get(short, NO_ATTRIBUTES)
    found.extend(
        f"<{short}> may not have the attribute {local(attribute)}."
        for attribute in attributes[::2]
        if attribute not in ATTRIBUTES and attribute not in own and not attribute.startswith(XML_PREFIX)
    )
    return found


def place_problems(name: str, path: tuple[str, ...]) -> list[str]:
    """What is wrong with where an element stands."""
    if not path:
        return []
    parent = path[-1]
    parents, children = PARENTS.get(name), CHILDREN.get(parent)
    if (parents is not None and parent not in parents) or (children is not None and name not in children):
        return [f"<{name}> may not stand in <{parent}>."]
    if parent in EMPTY:
        return [f"<{parent}> may not hold anything."]
    if name in BLOCKS and not TEXTUAL.isdisjoint(path):
        return [f"<{name}> may not stand in text."]
    if name in BLOCKS_OF_P and "p" in path:
        return [f"<{name}> may not stand in <p>."]
    return [f"<{name}> may not stand in <{name}>."] if name in INLINE and name in path else []


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
