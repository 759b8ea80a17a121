"""XML Patch: add, replace and remove at places that XPath selectors name (RFC 5261)."""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any, TypeAlias

from lxml import etree

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import Invalid, Issue, TooLarge, Unprocessable
from fhir_server.patch.operation import Operation, excerpt, nearest, refuse_too_many
from fhir_server.patch.restoring import restored
from fhir_server.patch.selector import (
    ALLOWED,
    Attribute,
    Budget,
    Found,
    Selector,
    Step,
    Text,
    attribute_name,
    read_selector,
    select,
)
from fhir_server.patch.tree import fresh
from fhir_server.resource.parsing import STANDARD_LIMITS, Limits
from fhir_server.xml_format import parse_xml, read_xml, write_xml

_MOST_VISITED = 10_000_000
_KEYS_IN_XML = 3  # an element counts its attributes too, so a resource within the limits of JSON may pass them
_DEEPEST = 200  # far enough below the depth at which the parser, reading the result, gives up
_ROOTS = ("diff", "patch")
_POSITIONS = ("prepend", "before", "after")
_SIDES = ("before", "after", "both")
_NAMESPACE = re.compile(r"namespace::([^\W\d][\w.\-]*)").fullmatch
_PLACES_FIX = (
    "The result must be XML of FHIR: put each element at its place in the definition with pos='before' or pos='after',"
    " and in the namespace http://hl7.org/fhir."
)


def patch_by_xml(
    raw: bytes, resource: dict[str, Any], definitions: Definitions, limits: Limits = STANDARD_LIMITS
) -> dict[str, Any]:
    """Return the resource as it is once its XML is patched; what the patch leaves alone stays exactly as it was.

    Raise Invalid for what is no patch, and Unprocessable for one that the resource, or FHIR, does not allow.
    """
    limits = replace(limits, keys=limits.keys * _KEYS_IN_XML)
    text = write_xml(resource, definitions)
    before, _ = read_xml(etree.tostring(_document(text, "resource"), encoding="utf-8"), definitions, limits)
    patched = apply_xml_patch(text, raw)
    try:
        after, issues = read_xml(patched, definitions, limits)
    except TooLarge:
        raise
    except Invalid as fault:
        raise Unprocessable(*fault.issues) from None
    if issues:
        raise Unprocessable(*(Issue("error", i.code, i.text, i.expression, fix=_PLACES_FIX) for i in issues))
    return dict(fresh(restored(resource, before, after)))


def apply_xml_patch(target: bytes, patch: bytes) -> bytes:
    """Return an XML document changed by all operations in turn; raise Invalid or Unprocessable when one fails.

    Comments are kept; a document type is refused in both.
    """
    editing = _Editing(_document(target, "document"))
    operations = _operations(_document(patch, "patch"))
    for index, body in enumerate(operations):
        editing.apply(body, index)
    return etree.tostring(editing.root, encoding="utf-8")


def _document(raw: bytes, what: str) -> etree._Element:
    try:
        return parse_xml(raw.decode("utf-8-sig"), keeps_comments=True)
    except UnicodeDecodeError as error:
        raise Invalid(Issue("fatal", "structure", f"The {what} is not UTF-8: byte {error.start + 1}.")) from None
    except Invalid as fault:
        texts = (issue.text.replace("The body", f"The {what}", 1) for issue in fault.issues)
        raise Invalid(*(Issue("fatal", "structure", text) for text in texts)) from None


def _operations(root: etree._Element) -> list[etree._Element]:
    if etree.QName(root).localname not in _ROOTS:
        text = f"The root element of an XML Patch is <diff>; this is <{etree.QName(root).localname[:40]}>."
        raise Invalid(Issue("error", "structure", text))
    operations = [child for child in root if _is_element(child)]
    if not operations:
        text = "The patch has no operations."
        raise Invalid(Issue("error", "structure", text, fix="Put <add>, <replace> or <remove> into it."))
    refuse_too_many(len(operations))
    return operations


class _Editing:
    """A document being patched."""

    def __init__(self, root: etree._Element) -> None:
        self.root = root
        self._budget = Budget(_MOST_VISITED)

    def apply(self, body: etree._Element, index: int) -> None:
        """Apply one operation (RFC 5261, section 4)."""
        name = etree.QName(body).localname
        if name not in _OPERATIONS:
            text = f"<{name[:40]}> is no operation; they are {', '.join(f'<{each}>' for each in _OPERATIONS)}"
            raise Operation(index).malformed(text)
        source = body.get("sel")
        if source is None:
            raise Operation(index, name).malformed("it has no attribute sel, which says what is meant")
        operation = Operation(index, f"{name} {excerpt(source)}")
        allowed, apply = _OPERATIONS[name]
        if unknown := [name for name in _attributes(body) if name not in allowed]:
            raise operation.malformed(f"the attribute {unknown[0][:40]} is not allowed", nearest(unknown[0], allowed))
        try:
            selector = read_selector(source, _namespaces(body))
        except ValueError as fault:
            raise operation.malformed(f"sel {fault}", ALLOWED) from None
        apply(self, body, self._only(selector, operation), operation)

    def _only(self, selector: Selector, operation: Operation) -> Found:
        try:
            found, missed = select(selector, self.root, self._budget)
        except OverflowError:
            raise operation.too_costly() from None
        if len(found) > 1:
            text = f"it selects {len(found)} nodes, and must select one"
            raise operation.refused(text, "Choose one by its position, such as f:name[1].")
        if not found:
            raise operation.refused(_nothing(selector, missed), _hint(missed))
        return found[0]

    def add(self, body: etree._Element, found: Found, operation: Operation) -> None:
        """RFC 5261, section 4.3."""
        position, kind = body.get("pos"), body.get("type")
        if isinstance(found, Attribute | Text):
            raise operation.refused("it selects no element, and only to those can be added")
        if kind is not None:
            self._add_typed(kind, body, found, operation)
            return
        if position is not None and position not in _POSITIONS:
            raise operation.malformed(f"pos must be one of {', '.join(_POSITIONS)}, and is {excerpt(position)!r}")
        if found is self.root and position in ("before", "after"):
            raise operation.refused("nothing can stand beside the root element")
        if position in (None, "prepend") and not _is_element(found):
            raise operation.refused("a comment can hold nothing", "Add before or after it, by pos.")
        self._refuse_depth(found, body, operation)
        _PLACES[position](found, body.text or "", [deepcopy(child) for child in body])

    def _add_typed(self, kind: str, body: etree._Element, element: etree._Element, operation: Operation) -> None:
        text = _plain(body, operation)
        if prefix := _NAMESPACE(kind):
            self._declare(prefix[1], text, element, operation)
            return
        if not kind.startswith("@"):
            raise operation.malformed(f"type must be '@name' or 'namespace::prefix', and is {excerpt(kind)!r}")
        try:
            name = attribute_name(kind[1:], _namespaces(body))
            is_new = name not in element.attrib
            if is_new:
                element.set(name, text)
        except ValueError as fault:
            raise operation.malformed(f"type {fault}") from None
        if not is_new:
            raise operation.refused(f"the element already has the attribute {kind[1:]}", "Replace it instead.")

    def _declare(self, prefix: str, uri: str, element: etree._Element, operation: Operation) -> None:
        if prefix in ("xml", "xmlns"):
            raise operation.malformed(f"the prefix {prefix} is XML's own")
        if prefix in element.nsmap:
            raise operation.refused(f"the prefix {prefix} is already declared there")
        if not uri.strip():
            raise operation.malformed("it must hold the URI of the namespace")
        namespaces: dict[Any, str] = dict(_namespaces(element))
        namespaces[prefix] = uri
        try:
            declaring = etree.Element(element.tag, _attributes(element), namespaces)
        except ValueError as fault:
            raise operation.malformed(f"the namespace cannot be declared ({fault})") from None
        declaring.text, declaring.tail = element.text, element.tail
        declaring.extend(list(element))
        self._exchange(element, declaring)

    def replace(self, body: etree._Element, found: Found, operation: Operation) -> None:
        """RFC 5261, section 4.4: a node by one of its own kind."""
        if isinstance(found, Attribute):
            found.element.set(found.name, _plain(body, operation))
        elif isinstance(found, Text):
            setattr(found.holder, found.side, _plain(body, operation) or None)
        else:
            nodes = [child for child in body if _is_element(child) == _is_element(found)]
            if len(nodes) != 1 or len(body) != 1 or _texts(body).strip():
                kind = "element" if _is_element(found) else "comment"
                raise operation.malformed(f"it must hold one {kind} to replace the {kind}, and nothing else")
            self._refuse_depth(found, body, operation)
            copy = deepcopy(nodes[0])
            copy.tail = found.tail
            self._exchange(found, copy)

    def remove(self, body: etree._Element, found: Found, operation: Operation) -> None:
        """RFC 5261, section 4.5; white space that `ws` names is taken along where there is some."""
        side = body.get("ws")
        if side is not None and side not in _SIDES:
            raise operation.malformed(f"ws must be one of {', '.join(_SIDES)}, and is {excerpt(side)!r}")
        if len(body) or _texts(body).strip():
            raise operation.malformed("a <remove> must be empty")
        if isinstance(found, Attribute):
            del found.element.attrib[found.name]
        elif isinstance(found, Text):
            setattr(found.holder, found.side, None)
        elif found is self.root:
            raise operation.refused("the root element cannot be removed", "Delete the resource by a DELETE of its URL.")
        else:
            _detach(found, side, operation)

    def _exchange(self, old: etree._Element, new: etree._Element) -> None:
        parent = old.getparent()
        if parent is None:
            self.root = new
        else:
            parent.replace(old, new)

    def _refuse_depth(self, place: etree._Element, body: etree._Element, operation: Operation) -> None:
        level = deepest = sum(1 for _ in place.iterancestors())
        for event, _ in etree.iterwalk(body, events=("start", "end")):
            level += 1 if event == "start" else -1
            deepest = max(deepest, level)
        if deepest > _DEEPEST:
            raise operation.too_large(f"the document would be nested more than {_DEEPEST} levels deep")


def _is_element(node: Any) -> bool:
    """Whether a node is no comment."""
    return isinstance(node.tag, str)


def _nothing(selector: Selector, missed: Step | None) -> str:
    if missed is None:
        leaf = selector.leaf
        what = f"attribute {leaf.name}" if leaf and leaf.name else (leaf.kind if leaf else "node")
        return f"it selects nothing: there is no such {what}"
    return f"it selects nothing: no element meets {excerpt(missed.source)!r}"


def _hint(missed: Step | None) -> str | None:
    if missed is None or not missed.name.startswith("{}"):
        return None
    return "The name has no namespace: write f: before it, or declare xmlns='http://hl7.org/fhir' in the patch."


def _namespaces(body: etree._Element) -> dict[str | None, str]:
    return {prefix: str(uri) for prefix, uri in body.nsmap.items()}


def _attributes(element: etree._Element) -> dict[str, str]:
    return {str(name): str(value) for name, value in element.attrib.items()}


def _texts(body: etree._Element) -> str:
    return "".join([body.text or "", *(child.tail or "" for child in body)])


def _plain(body: etree._Element, operation: Operation) -> str:
    """The content of an operation that may hold only text."""
    if len(body):
        raise operation.malformed("it must hold only text here")
    return body.text or ""


def _write_before(element: etree._Element, text: str) -> None:
    """Put text right before an element."""
    previous, parent = element.getprevious(), element.getparent()
    if previous is not None:
        previous.tail = (previous.tail or "") + text or None
    elif parent is not None:
        parent.text = (parent.text or "") + text or None


def _write_last(element: etree._Element, text: str) -> None:
    """Put text at the end of an element."""
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text or None
    else:
        element.text = (element.text or "") + text or None


def _append(element: etree._Element, text: str, nodes: list[etree._Element]) -> None:
    _write_last(element, text)
    element.extend(nodes)


def _prepend(element: etree._Element, text: str, nodes: list[etree._Element]) -> None:
    rest = element.text or ""
    if nodes:
        element.text = text or None
        nodes[-1].tail = (nodes[-1].tail or "") + rest or None
        element[:0] = nodes
    else:
        element.text = text + rest or None


def _insert_before(element: etree._Element, text: str, nodes: list[etree._Element]) -> None:
    _write_before(element, text)
    parent = element.getparent()
    assert parent is not None
    at = parent.index(element)
    parent[at:at] = nodes


def _insert_after(element: etree._Element, text: str, nodes: list[etree._Element]) -> None:
    rest, parent = element.tail or "", element.getparent()
    assert parent is not None
    if nodes:
        element.tail = text or None
        nodes[-1].tail = (nodes[-1].tail or "") + rest or None
        at = parent.index(element) + 1
        parent[at:at] = nodes
    else:
        element.tail = text + rest or None


def _detach(element: etree._Element, side: str | None, operation: Operation) -> None:
    """Take an element out, without the text behind it."""
    parent, previous = element.getparent(), element.getprevious()
    assert parent is not None
    before = (parent.text if previous is None else previous.tail) or ""
    after = element.tail or ""
    if (side in ("before", "both") and before.strip()) or (side in ("after", "both") and after.strip()):
        raise operation.refused(f"ws='{side}' asks to remove white space, and there is text")
    before = "" if side in ("before", "both") else before
    after = "" if side in ("after", "both") else after
    parent.remove(element)
    if previous is None:
        parent.text = before + after or None
    else:
        previous.tail = before + after or None


_PLACES: Mapping[str | None, Callable[[etree._Element, str, list[etree._Element]], None]] = {
    None: _append,
    "prepend": _prepend,
    "before": _insert_before,
    "after": _insert_after,
}
_Apply: TypeAlias = "Callable[[_Editing, etree._Element, Found, Operation], None]"  # noqa: SLF001 the name of the type in lxml
_OPERATIONS: Mapping[str, tuple[tuple[str, ...], _Apply]] = {
    "add": (("sel", "pos", "type"), _Editing.add),
    "replace": (("sel",), _Editing.replace),
    "remove": (("sel", "ws"), _Editing.remove),
}
"""The attributes that each operation may have, and how it is applied."""
