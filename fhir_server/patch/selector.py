"""The XPath that selects what an XML Patch changes, as far as RFC 5261 allows it (section 4.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lxml import etree

from fhir_server.xml_format import FHIR, XHTML

PREFIXES: Mapping[str, str] = {"f": FHIR, "h": XHTML, "xml": "http://www.w3.org/XML/1998/namespace"}
"""The prefixes that need no declaration: those of FHIR's own examples, and XML's."""

ALLOWED = (
    "Write a path of child elements such as f:Patient/f:name[1]/f:given, with tests [1], [@id='a'], [f:use='a'] or"
    " [.='a'], ending perhaps in @value, text() or comment()."
)

_LONGEST = 4000
_NAME = r"[^\W\d][\w.\-]*"
_QUALIFIED = rf"(?:(?P<prefix>{_NAME}):)?(?P<name>{_NAME})"
_STEP = re.compile(rf"(?:(?P<prefix>{_NAME}):)?(?P<name>{_NAME}|\*)(?![(:])").match
_TEST = re.compile(
    rf"\[\s*(?:(?P<position>[1-9][0-9]{{0,8}})"
    rf"|(?:(?P<self>\.)|(?P<at>@)?{_QUALIFIED})\s*=\s*(?:'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\"))\s*\]"
).match
_LEAF = re.compile(rf"(?:@{_QUALIFIED}|(?P<kind>text|comment)\(\)(?:\[(?P<position>[1-9][0-9]{{0,8}})\])?)\Z").match
_ATTRIBUTE = re.compile(rf"{_QUALIFIED}\Z").match


@dataclass(frozen=True, slots=True)
class Condition:
    """What a step must meet besides its name: its position, or the text of itself, a child or an attribute."""

    kind: Literal["position", "self", "child", "attribute"]
    name: str = ""
    text: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """Child elements of a name, in the form of lxml, that meet all tests in turn."""

    name: str
    tests: tuple[Condition, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is meant in the selected element: an attribute, a text or a comment; position 0 means any."""

    kind: Literal["attribute", "text", "comment"]
    name: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class Selector:
    """Steps from the document down, and the leaf that they end in, if not in an element."""

    steps: tuple[Step, ...]
    leaf: Leaf | None


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that an element has."""

    element: etree._Element
    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text node: the `text` of an element or the `tail` behind it."""

    holder: etree._Element
    side: Literal["text", "tail"]


Found: TypeAlias = "etree._Element | Attribute | Text"  # noqa: SLF001 the name of the type in lxml


class Budget:
    """How much the selectors of one patch may still visit."""

    def __init__(self, most: int) -> None:
        self.left = most

    def charge(self, count: int) -> None:
        """Count what was visited; raise OverflowError beyond the budget."""
        self.left -= count
        if self.left < 0:
            raise OverflowError


def read_selector(text: str, namespaces: Mapping[str | None, str]) -> Selector:
    """Return the selector in `text`, whose names without prefix are in the default namespace (RFC 5261, 4.2.1).

    Raise ValueError with what is wrong.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters")
    text = text.strip()
    at = 1 if text.startswith("/") else 0
    steps: list[Step] = []
    while True:
        if steps and (leaf := _LEAF(text, at)):
            return Selector(tuple(steps), _leaf(leaf, namespaces))
        step = _STEP(text, at)
        if step is None:
            raise ValueError(f"is not such a path: what starts at {text[at : at + 40]!r} is not allowed")
        name, start = element_name(step["prefix"], step["name"], namespaces), at
        tests, at = _tests(text, step.end(), namespaces)
        steps.append(Step(name, tests, text[start:at]))
        if at == len(text):
            return Selector(tuple(steps), None)
        if text[at] != "/":
            raise ValueError(f"is not such a path: what starts at {text[at : at + 40]!r} is not allowed")
        at += 1


def element_name(prefix: str | None, name: str, namespaces: Mapping[str | None, str]) -> str:
    """The name of an element as lxml has it; raise ValueError for an unknown prefix."""
    namespace = _namespace(prefix, namespaces) if prefix else namespaces.get(None, "")
    if name == "*" and prefix is None:
        return "*"
    return f"{{{namespace}}}{name}"


def attribute_name(text: str, namespaces: Mapping[str | None, str]) -> str:
    """The name of an attribute as lxml has it; raise ValueError for what is no name."""
    found = _ATTRIBUTE(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not the name of an attribute")
    return _attribute(found, namespaces)


def _attribute(found: re.Match[str], namespaces: Mapping[str | None, str]) -> str:
    name = str(found["name"])
    return f"{{{_namespace(found['prefix'], namespaces)}}}{name}" if found["prefix"] else name


def _namespace(prefix: str, namespaces: Mapping[str | None, str]) -> str:
    found = namespaces.get(prefix) or PREFIXES.get(prefix)
    if found is None:
        raise ValueError(f"uses the prefix {prefix!r}, which the patch does not declare")
    return found


def _leaf(found: re.Match[str], namespaces: Mapping[str | None, str]) -> Leaf:
    position = int(found["position"] or 0)
    if found["kind"] is None:
        return Leaf("attribute", _attribute(found, namespaces))
    return Leaf("text" if found["kind"] == "text" else "comment", position=position)


def _tests(text: str, at: int, namespaces: Mapping[str | None, str]) -> tuple[tuple[Condition, ...], int]:
    tests = []
    while found := _TEST(text, at):
        at = found.end()
        wanted = found["single"] if found["single"] is not None else found["double"] or ""
        if found["position"]:
            tests.append(Condition("position", position=int(found["position"])))
        elif found["self"]:
            tests.append(Condition("self", text=wanted))
        elif found["at"]:
            tests.append(Condition("attribute", _attribute(found, namespaces), wanted))
        else:
            tests.append(Condition("child", element_name(found["prefix"], found["name"], namespaces), wanted))
    return tuple(tests), at


def select(selector: Selector, root: etree._Element, budget: Budget) -> tuple[list[Found], Step | None]:
    """Return what is selected in the document of `root`, and the first step that found nothing.

    Raise OverflowError when the budget is spent.
    """
    first, *further = selector.steps
    level = _passing([root] if _is_named(root, first.name) else [], first, budget)
    if not level:
        return [], first
    for step in further:
        level = [child for parent in level for child in _passing(list(parent.iterchildren(step.name)), step, budget)]
        if not level:
            return [], step
    if selector.leaf is None:
        return list(level), None
    leaf = selector.leaf
    return [found for element in level for found in _leaves(element, leaf, budget)], None


def _is_named(element: etree._Element, wanted: str) -> bool:
    name = etree.QName(element)
    space = f"{{{name.namespace or ''}}}"
    return wanted in ("*", f"{space}*", f"{space}{name.localname}")


def _passing(elements: list[etree._Element], step: Step, budget: Budget) -> list[etree._Element]:
    budget.charge(1 + len(elements))
    for test in step.tests:
        if test.kind == "position":
            elements = elements[test.position - 1 : test.position]
        else:
            elements = [element for element in elements if _passes(element, test, budget)]
    return elements


def _passes(element: etree._Element, test: Condition, budget: Budget) -> bool:
    budget.charge(1)
    if test.kind == "attribute":
        return element.get(test.name) == test.text
    candidates = [element] if test.kind == "self" else element.iterchildren(test.name)
    return any(_text(each, budget) == test.text for each in candidates)


def _text(element: etree._Element, budget: Budget) -> str:
    """The text of an element and all within it."""
    pieces = [str(piece) for piece in element.itertext()]
    budget.charge(len(pieces))
    return "".join(pieces)


def _leaves(element: etree._Element, leaf: Leaf, budget: Budget) -> list[Found]:
    budget.charge(1 + len(element))
    found: list[Found]
    if leaf.kind == "attribute":
        return [Attribute(element, leaf.name)] if leaf.name in element.attrib else []
    if leaf.kind == "comment":
        found = list(element.iterchildren(etree.Comment))
    else:
        own: list[Found] = [Text(element, "text")] if element.text else []
        found = own + [Text(child, "tail") for child in element if child.tail]
    return found[leaf.position - 1 : leaf.position] if leaf.position else found
