"""Narrative content: the XHTML that FHIR allows in `Narrative.div` (FHIR R4, 2.4.0.1 and constraints txt-1, txt-2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from xml.parsers import expat

NAMESPACE = "http://www.w3.org/1999/xhtml"
SEPARATOR = "}"
PREFIX = NAMESPACE + SEPARATOR
XML_PREFIX = "http://www.w3.org/XML/1998/namespace" + SEPARATOR
REMEMBERED_TAGS = 2048
LONGEST_TAG = 200
OPENING = f'<div xmlns="{NAMESPACE}"'
START_TAG = re.compile(r"<([^/>][^>]*)")
WHOLE_TAG = re.compile(
    r"""(?:div\s+xmlns="http://www\.w3\.org/1999/xhtml"|[A-Za-z][A-Za-z0-9]*)"""
    r"""(?:\s+(?!xmlns)[A-Za-z][A-Za-z:]*\s*=\s*(?:"[^"<>]*"|'[^'<>]*'))*\s*/?"""
)
"""A start tag that ends at its first `>` and keeps to the one namespace."""
SOUND_TAGS: set[str] = set()
"""Tags, as they were written in narratives that were found sound."""
MOST_PROBLEMS = 20

ELEMENTS = frozenset(
    "a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd del dfn div dl dt"
    " em h1 h2 h3 h4 h5 h6 hr i img ins kbd li map ol p pre q s samp small span strong sub sup table tbody td"
    " tfoot th thead tr tt u ul var".split()
)
ATTRIBUTES = frozenset(
    "abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff"
    " charset cite class color colspan compact coords datetime dir face frame headers height href hreflang"
    " hspace id idref ismap lang longdesc name nohref nowrap rel rev rowspan rules scope shape size space span"
    " src start style summary tabindex title type usemap valign value vspace width".split()
)
LINKS = frozenset({"href", "src", "cite", "longdesc", "usemap"})
SCHEME = re.compile(r"[\x00-\x20]*([A-Za-z][A-Za-z0-9+.\-\s]*):")
ACTIVE_SCHEMES = frozenset({"javascript", "vbscript", "livescript", "mocha"})
ACTIVE_STYLE = re.compile(r"expression\s*\(|javascript\s*:|@import|-moz-binding|behavior\s*:", re.IGNORECASE)
CONTENT = re.compile(r">\s*[^<\s]")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
IMAGE = re.compile(r"<(?:[A-Za-z_][\w.-]*:)?img\s[^>]*\bsrc\s*=")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a narrative; `rule` is the constraint that it breaks, None where it is no XHTML at all."""

    rule: str | None
    text: str


class NotXhtml(Exception):
    """Raised inside the parser to stop at something that no narrative may hold."""


@lru_cache(maxsize=4)
def problems(div: str) -> tuple[Problem, ...]:
    """What is wrong with the content of `Narrative.div`, at most twenty findings; nothing for a sound one.

    Two constraints ask this of each narrative, so the last answers are kept.
    """
    if not div.startswith(OPENING):
        return judged(div)
    tags = set(START_TAG.findall(div))
    if tags <= SOUND_TAGS and is_well_formed(div) and has_content(div):
        return ()
    found = judged(div)
    if not found:
        remember(tags)
    return found


def remember(tags: set[str]) -> None:
    """Keep the tags of a sound narrative, so that another made of the same ones needs no look at each."""
    if len(SOUND_TAGS) > REMEMBERED_TAGS:
        SOUND_TAGS.clear()
    SOUND_TAGS.update(tag for tag in tags if len(tag) <= LONGEST_TAG and WHOLE_TAG.fullmatch(tag))


def is_well_formed(div: str) -> bool:
    """True for XML."""
    try:
        expat.ParserCreate().Parse(div, True)  # noqa: FBT003 the parser takes it by position only
    except (expat.ExpatError, ValueError):
        return False
    return True


def judged(div: str) -> tuple[Problem, ...]:
    """What a look at each tag finds."""
    reader = Reader()
    try:
        reader.parser.Parse(div, True)  # noqa: FBT003 the parser takes it by position only
    except NotXhtml as fault:
        return (Problem(None, str(fault)),)
    except expat.ExpatError as fault:
        return (Problem(None, unreadable(div, fault)),)
    except ValueError:
        return (Problem(None, "The narrative holds characters that cannot be encoded"),)
    if not has_content(div):
        reader.found.append(Problem("txt-2", "The narrative has neither text nor an image"))
    return tuple(reader.found[:MOST_PROBLEMS])


def has_content(div: str) -> bool:
    """True when a narrative that parses shows some text or an image."""
    if "<!--" in div:
        div = COMMENT.sub("", div)
    if "<![CDATA[" in div:
        div = div.replace("<![CDATA[", "").replace("]]>", "")
    return CONTENT.search(div) is not None or ("img" in div and IMAGE.search(div) is not None)


def unreadable(div: str, fault: expat.ExpatError) -> str:
    """Why the text is not XML."""
    reason = expat.ErrorString(fault.code)
    if fault.code == expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]:
        line = div.splitlines()[fault.lineno - 1] if fault.lineno <= div.count("\n") + 1 else ""
        entity = re.match(r"&[^;\s]*;", line.encode()[fault.offset :].decode(errors="replace"))
        return f"Invalid entity {entity.group()} in the XHTML" if entity else "Invalid entity in the XHTML"
    return f"The XHTML is not well-formed: {reason} (line {fault.lineno}, column {fault.offset + 1})"


class Reader:
    """Looks at each tag once; tags whose names were judged sound before cost a set look-up."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.is_root = True
        self.parser = expat.ParserCreate(namespace_separator=SEPARATOR)
        self.parser.ordered_attributes = True
        self.parser.StartElementHandler = self.start
        self.parser.StartDoctypeDeclHandler = refuse_document_type
        self.parser.ProcessingInstructionHandler = refuse_instruction

    def start(self, name: str, attributes: list[str]) -> None:
        """Judge a start tag."""
        if self.is_root:
            self.is_root = False
            check_root(name)
        if attributes:
            shape = (name, *attributes[::2])
            if shape not in SOUND:
                self.judge(shape)
            for index in range(0, len(attributes), 2):
                if attributes[index] in VALUED:
                    self.judge_value(attributes[index], attributes[index + 1])
        elif name not in SOUND:
            self.judge((name,))

    def judge(self, shape: tuple[str, ...]) -> None:
        """Judge the names in a tag, and remember them when they are sound."""
        before = len(self.found)
        name = shape[0]
        if not name.startswith(PREFIX):
            self.found.append(Problem("txt-1", f"The element {local(name)} is not in the namespace of XHTML"))
        elif name[len(PREFIX) :] not in ELEMENTS:
            self.found.append(Problem("txt-1", f"Invalid element name in the XHTML ('{local(name)}')"))
        for attribute in shape[1:]:
            if attribute not in ATTRIBUTES and not attribute.startswith(XML_PREFIX):
                text = f"Invalid attribute name in the XHTML ('{local(attribute)}' on '{local(name)}')"
                self.found.append(Problem("txt-1", text))
        if len(self.found) == before:
            if len(SOUND) > REMEMBERED_TAGS:
                SOUND.clear()
            SOUND.add(shape if len(shape) > 1 else name)

    def judge_value(self, attribute: str, value: str) -> None:
        """Judge the value of a link or a style."""
        if attribute == "style":
            if ACTIVE_STYLE.search(value):
                self.found.append(Problem("txt-1", "Active content in a style of the XHTML"))
            return
        scheme = SCHEME.match(value)
        if scheme and re.sub(r"\s", "", scheme.group(1)).lower() in ACTIVE_SCHEMES:
            self.found.append(Problem("txt-1", f"Active content in '{attribute}' of the XHTML"))


VALUED = LINKS | {"style"}
SOUND: set[str | tuple[str, ...]] = set()
"""Tags seen and found sound: names of elements, and tuples with the names of attributes."""


def local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition(SEPARATOR)[2]


def check_root(name: str) -> None:
    """A narrative is one div in the namespace of XHTML."""
    if local(name) != "div":
        raise NotXhtml(f"The narrative starts with '{local(name)}', not with a div")
    if not name.startswith(PREFIX):
        raise NotXhtml(f"The div of the narrative is not in the namespace {NAMESPACE}")


def refuse_document_type(*arguments: object) -> None:
    """A document type could define entities."""
    raise NotXhtml("A narrative may not have a document type")


def refuse_instruction(target: str, data: str) -> None:
    """A processing instruction is no content."""
    raise NotXhtml("A narrative may not have processing instructions")
