"""FHIR XML to JSON and back, by the definitions (FHIR R4, 2.6.1 XML representation; 2.6.2 JSON representation)."""

import html
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import orjson
from lxml import etree

from fhir_server.definitions.datatype import Member, Type
from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Invalid, Issue, TooComplex, Unprocessable
from fhir_server.resource.exact import SpelledDecimal
from fhir_server.resource.parsing import STANDARD_LIMITS, Limits

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
_SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"
_XML = "{http://www.w3.org/XML/1998/namespace}"
_DIV = f"{{{XHTML}}}div"

_DOCTYPE = re.compile(r"\ufeff?(?:\s++|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL).match
_MARKUP = re.compile(
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<(?P<slash>/?)(?P<name>[^\s/>\"'!?]++)(?:[^\"'>]++|\"[^\"]*+\"|'[^']*+')*+>",
    re.DOTALL,
)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})").fullmatch
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?").fullmatch
_INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt"})

# XML 1.0, 2.2: what a document cannot hold even as a reference, and what an attribute's value must escape.
_NO_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").search
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"} | {c: f"&#{ord(c)};" for c in "\t\n\r"}
)
_NAMED_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z][A-Za-z0-9]*;")


def read_xml(
    raw: bytes, definitions: Definitions, limits: Limits = STANDARD_LIMITS
) -> tuple[dict[str, Any], tuple[Issue, ...]]:
    """Return the resource in `raw` as JSON, decimals exact, and an issue for each thing that XML of FHIR may not hold.

    What the issues are about is left out of the resource. Raise Invalid for a text that is not XML, has a DOCTYPE or
    is no resource at all, and TooComplex beyond the limits.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fatal(f"The body is not UTF-8: byte {error.start + 1} is no character.") from None
    root = parse_xml(text)
    reader = _Reader(definitions, limits, _narratives(text, root))
    kind = etree.QName(root).localname
    if kind not in definitions.resource_types:
        raise _fatal(f"The root element must be a resource of FHIR R4; {kind[:100]!r} is none.")
    return reader.resource(root, kind, 1), tuple(reader.issues)


def write_xml(resource: dict[str, Any], definitions: Definitions) -> bytes:
    """Return a resource as XML in UTF-8, elements in the order of the definitions.

    Raise Unprocessable for what XML has no place for: unknown members, values of another shape, XHTML that is no XML.
    """
    writer = _Writer(definitions)
    writer.resource(resource, "", f' xmlns="{FHIR}"')
    text = "".join(writer.parts)
    if _NO_CHARACTER(text):
        raise Unprocessable("A string holds a character that XML does not have.")
    return f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()


def _fatal(text: str) -> Invalid:
    return Invalid(Issue("fatal", "structure", text))


def parse_xml(text: str, *, keeps_comments: bool = False) -> etree._Element:
    """Parse without DTD, entities, files or network: a document type is refused before the parser sees it."""
    if _DOCTYPE(text):
        raise _fatal("The body has a DOCTYPE, which FHIR does not allow.")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=not keeps_comments,
        remove_pis=True,
    )
    try:
        return etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise _fatal(f"The body is not XML: {error.msg}.") from None


def _narratives(text: str, root: etree._Element) -> dict[etree._Element, str]:
    """Return each narrative's `div` as it stands in the text, so that nothing in it is respelled."""
    divs = {
        number: element
        for number, element in enumerate(root.iter())
        if element.tag == _DIV and (parent := element.getparent()) is not None and not _is_xhtml(parent)
    }
    found = {}
    for (start, end), element in zip(_spans(text, set(divs)), divs.values(), strict=True):
        found[element] = text[start:end] if _is_plain(element) else _respelled(element)
    return found


def _is_xhtml(element: etree._Element) -> bool:
    return str(element.tag).startswith(f"{{{XHTML}}}")


def _spans(text: str, numbers: set[int]) -> Iterator[tuple[int, int]]:
    """Yield where the elements of these numbers, in document order and none within another, start and end."""
    number, depth = -1, 0
    start = start_depth = None
    for markup in _MARKUP.finditer(text) if numbers else ():
        if markup["name"] is None:
            continue
        is_end, is_empty = bool(markup["slash"]), markup[0].endswith("/>")
        if not is_end:
            number += 1
            if number in numbers:
                start, start_depth = markup.start(), depth
        depth += -1 if is_end else not is_empty
        if start is not None and depth == start_depth and (is_end or is_empty):
            yield start, markup.end()
            start = None


def _is_plain(div: etree._Element) -> bool:
    """Whether the text of the element can stand alone: it declares its namespace and uses no prefix from around it."""
    parent = div.getparent()
    inherited = None if parent is None else parent.nsmap.get(None)
    return inherited != XHTML and not any(
        element.prefix or any(name.startswith("{") and not name.startswith(_XML) for name, _ in _attributes(element))
        for element in div.iter()
    )


def _respelled(div: etree._Element) -> str:
    without_prefix: dict[Any, str] = {None: XHTML}
    plain = etree.Element(_DIV, nsmap=without_prefix)
    plain.text = div.text
    plain.attrib.update(div.attrib)
    plain.extend(list(div))
    etree.cleanup_namespaces(plain)
    return etree.tostring(plain, encoding="unicode", with_tail=False)


class _Reader:
    """One document being read; `issues` grows with what it holds and may not."""

    def __init__(self, definitions: Definitions, limits: Limits, narratives: dict[etree._Element, str]) -> None:
        self._definitions = definitions
        self._limits = limits
        self._narratives = narratives
        self._orders: dict[str, dict[str, int]] = {}
        self._keys = 0
        self.issues: list[Issue] = []

    def resource(self, element: etree._Element, path: str, depth: int) -> dict[str, Any]:
        kind = etree.QName(element).localname
        self._check_namespace(element, FHIR, path)
        return {"resourceType": kind} | self._object(element, self._definitions.type(kind), path, depth)

    def _object(self, element: etree._Element, kind: Type, path: str, depth: int) -> dict[str, Any]:
        if depth > self._limits.depth and (kind.kind != "primitive" or len(element)):
            raise TooComplex(
                Issue("error", "too-long", f"The body is nested more than {self._limits.depth} levels deep.")
            )
        out = self._attributes(element, kind, path)
        self._refuse_text(element, path)
        order = self._order(kind)
        last = 0
        for child in element:
            member = self._member(child, kind, path)
            if member is None:
                continue
            if order[member.name] < last:
                self._fault(child, path, f"the element {member.key} must stand further in front")
            last = max(last, order[member.name])
            self._read(child, member, out, path, depth)
        self._keys += len(out)
        if self._keys > self._limits.keys:
            raise TooComplex(Issue("error", "too-long", f"The body has more than {self._limits.keys} members."))
        return _without_padding(out)

    def _order(self, kind: Type) -> dict[str, int]:
        """Return the place of each element among those of its type."""
        if kind.name not in self._orders:
            self._orders[kind.name] = {name: place for place, name in enumerate(kind.names)}
        return self._orders[kind.name]

    def _attributes(self, element: etree._Element, kind: Type, path: str) -> dict[str, Any]:
        out = {}
        for name, value in _attributes(element):
            member = kind.members.get(name)
            if member is not None and member.element.xml_attribute:
                out[member.key] = value
            elif not name.startswith(_SCHEMA_INSTANCE):
                self._fault(element, path, f"the attribute {name} is not allowed")
        return out

    def _member(self, child: etree._Element, kind: Type, path: str) -> Member | None:
        name = etree.QName(child).localname
        member = kind.members.get(name)
        if member is None or member.element.xml_attribute:
            self._fault(child, path, f"there is no element {name}")
            return None
        self._check_namespace(child, XHTML if member.type == "xhtml" else FHIR, path)
        return member

    def _read(self, child: etree._Element, member: Member, out: dict[str, Any], path: str, depth: int) -> None:
        key, beside = member.key, f"_{member.key}"
        before = len(out.get(key, ())) if member.many else 0
        place = f"{path}.{member.name}" + (f".ofType({member.type})" if member.choice else "")
        place += f"[{before}]" if member.many else ""
        if not member.many and (key in out or beside in out):
            self._fault(child, path, f"the element {key} may appear only once")
            return
        value, extra = self._value(child, member, place, depth + 2 if member.many else depth + 1)
        is_primitive = self._definitions.type(member.type).kind == "primitive"
        if value is None and extra is None:
            return
        if member.many:
            out.setdefault(key, []).append(value)
            if is_primitive:
                out.setdefault(beside, []).append(extra)
            return
        if value is not None:
            out[key] = value
        if extra is not None:
            out[beside] = extra

    def _value(self, child: etree._Element, member: Member, path: str, depth: int) -> tuple[Any, Any]:
        """Return the JSON value of an element, and for a primitive the object that stands beside it or None."""
        kind = self._definitions.type(member.type)
        if member.type == "xhtml":
            return self._narratives.get(child), None
        if kind.kind == "resource":
            return self._wrapped(child, path, depth), None
        inner = self._object(child, kind, path, depth)
        if kind.kind != "primitive":
            return inner, None
        text = inner.pop("value", None)
        value = None if text is None else _json_value(text, member.type)
        return value, inner if inner or value is None else None

    def _wrapped(self, element: etree._Element, path: str, depth: int) -> dict[str, Any] | None:
        """Return the resource that an element like `contained` has as its only child."""
        self._refuse_text(element, path)
        for name, _ in _attributes(element):
            self._fault(element, path, f"the attribute {name} is not allowed")
        children = list(element)
        kind = etree.QName(children[0]).localname if children else ""
        if len(children) != 1 or kind not in self._definitions.resource_types:
            self._fault(element, path, "the element must hold one resource")
            return None
        return self.resource(children[0], path, depth)

    def _check_namespace(self, element: etree._Element, wanted: str, path: str) -> None:
        name = etree.QName(element)
        if name.namespace != wanted:
            self._fault(element, path, f"the element {name.localname} must be in the namespace {wanted}")

    def _refuse_text(self, element: etree._Element, path: str) -> None:
        texts = [element.text, *(child.tail for child in element)]
        found = next((text.strip() for text in texts if text and not text.isspace()), None)
        if found is not None:
            self._fault(element, path, f"text is not allowed here, but there is {found[:40]!r}")

    def _fault(self, element: etree._Element, path: str, text: str) -> None:
        self.issues.append(Issue("error", "structure", f"In {path}, line {element.sourceline}, {text}.", (path,)))


def _attributes(element: etree._Element) -> Iterator[tuple[str, str]]:
    for name, value in element.attrib.items():
        yield str(name), str(value)


def _without_padding(out: dict[str, Any]) -> dict[str, Any]:
    """Leave out the arrays of nulls beside arrays of primitives, where they say nothing."""
    empty = [key for key, value in out.items() if type(value) is list and all(item is None for item in value)]
    for key in empty:
        del out[key]
    return out


def _json_value(text: str, kind: str) -> Any:
    """Return a primitive's value as JSON has it; text of a wrong form stays text, which validation will refuse."""
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind in _INTEGERS:
        return int(text) if _INTEGER(text) else text
    if kind == "decimal":
        return SpelledDecimal(text) if _DECIMAL(text) else text
    return text


class _Writer:
    """One resource being written; `parts` grows with its text."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self.parts: list[str] = []

    def resource(self, resource: Any, path: str, attributes: str) -> None:
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        if not isinstance(kind, str) or kind not in self._definitions.resource_types:
            raise _unwritable(path or "the resource", "must be a resource of FHIR R4")
        self._element(kind, resource, self._definitions.type(kind), path or kind, attributes)

    def _element(self, tag: str, value: Any, kind: Type, path: str, attributes: str = "") -> None:
        if not isinstance(value, dict):
            raise _unwritable(path, "must be an object")
        present = {key.removeprefix("_") for key in value if key != "resourceType" or kind.kind != "resource"}
        if unknown := present - kind.members.keys():
            raise _unwritable(path, f"has a member that FHIR does not know, {min(unknown)[:100]!r}")
        members = [member for key, member in kind.members.items() if key in present]
        for member in members:
            if member.element.xml_attribute:
                if f"_{member.key}" in value:
                    raise _unwritable(path, f"cannot have a _{member.key} beside its {member.key}")
                attributes += f' {member.key}="{_attribute(value[member.key], path)}"'
        self.parts.append(f"<{tag}{attributes}>")
        for member in members:
            if not member.element.xml_attribute:
                key = member.key
                self._member(member, value.get(key), value.get(f"_{key}"), f"{path}.{key}")
        if self.parts[-1] == f"<{tag}{attributes}>":
            self.parts[-1] = f"<{tag}{attributes}/>"
        else:
            self.parts.append(f"</{tag}>")

    def _member(self, member: Member, value: Any, extra: Any, path: str) -> None:
        if member.many:
            for side in (value, extra):
                if side is not None and not isinstance(side, list):
                    raise _unwritable(path, "must be an array")
            for each, beside in zip_longest(value or (), extra or ()):
                self._one(member, each, beside, path)
        elif value is not None or extra is not None:
            self._one(member, value, extra, path)

    def _one(self, member: Member, value: Any, extra: Any, path: str) -> None:
        kind = self._definitions.type(member.type)
        if extra is not None and (kind.kind != "primitive" or member.type == "xhtml"):
            raise _unwritable(path, f"cannot have a _{member.key} beside it")
        if member.type == "xhtml":
            self.parts.append(_div(value, path))
        elif kind.kind == "primitive":
            if isinstance(extra, dict) and "value" in extra:
                raise _unwritable(path, "cannot have its value twice")
            text = "" if value is None else f' value="{_attribute(value, path)}"'
            self._element(member.key, {} if extra is None else extra, kind, path, text)
        elif kind.kind == "resource":
            self.parts.append(f"<{member.key}>")
            self.resource(value, path, "")
            self.parts.append(f"</{member.key}>")
        else:
            self._element(member.key, value, kind, path)


def _unwritable(path: str, what: str) -> Unprocessable:
    return Unprocessable(Issue("error", "structure", f"{path} {what}: it cannot be written as XML.", (path,)))


def _attribute(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, SpelledDecimal):
        return value.spelling
    if isinstance(value, bool | int | float):
        return orjson.dumps(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    raise _unwritable(path, "must be a primitive value")


def _div(value: Any, path: str) -> str:
    """Return a narrative as it is, once it is known to be XML in the namespace of XHTML."""
    if not isinstance(value, str):
        raise _unwritable(path, "must be a string")
    text = _NAMED_ENTITY.sub(lambda entity: html.unescape(entity[0]), value.strip())
    try:
        tag = parse_xml(text).tag
    except Invalid as fault:
        raise _unwritable(path, f"is no XHTML ({fault})") from None
    if tag == "div":
        return text.replace("<div", f'<div xmlns="{XHTML}"', 1)
    if tag != _DIV or not text.startswith("<div"):
        raise _unwritable(path, "must be one div of XHTML")
    return text
