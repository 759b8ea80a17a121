"""The official patch tests for R4: JSON Patch, XML Patch and FHIRPath Patch, each with its result or its refusal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lxml import etree

from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError
from fhir_server.patch.apply import apply_patch
from fhir_server.patch.json_patch import apply_json_patch
from fhir_server.patch.xml_patch import apply_xml_patch
from fhir_server.xml_format import XHTML, read_xml
from tests.conformance.result import Result

FOLDER = Path("conformance") / "patch-r4"
FHIR_CASES = "fhir-patch-tests.xml"


def run(shared: Path) -> list[Result]:
    """Run every test of the three suites."""
    folder = shared / FOLDER
    return [*json_results(folder), *xml_results(folder), *fhirpath_results(folder)]


def outcome(name: str, wanted: Any, make: Callable[[], Any]) -> Result:
    """Whether what is made is what is wanted, where None wants a refusal."""
    try:
        found = make()
    except FhirError as error:
        return Result(name, wanted is None, f"refused: {error}")
    return Result(name, wanted is not None and found == wanted, f"expected {wanted}, found {found}")


def json_results(folder: Path) -> Iterator[Result]:
    """The tests of JSON Patch, most from the appendix of RFC 6902."""
    for case in json.loads((folder / "json-patch-tests.json").read_bytes()):
        document, patch = case["doc"], case["patch"]
        make = partial(apply_json_patch, document, patch)
        yield outcome(f"json: {case['comment']}", case.get("expected"), make)


def xml_results(folder: Path) -> Iterator[Result]:
    """The tests of XML Patch, most from the appendix of RFC 5261."""
    for case in cases(folder / "xml-patch-tests.xml"):
        target, patch, wanted = content(case, "target"), alone(case, "patch"), content(case, "patched")
        make = partial(patched_xml, target, patch)
        yield outcome(f"xml: {case.get('name')}", compared(wanted) if wanted else None, make)


def fhirpath_results(folder: Path) -> Iterator[Result]:
    """The tests of FHIRPath Patch."""
    for case in cases(folder / FHIR_CASES):
        resource, patch, output = content(case, "input"), content(case, "diff"), content(case, "output")
        make = partial(patched_resource, resource, patch)
        wanted = tidy(read_xml(output, r4())[0]) if output else None
        yield outcome(f"fhirpath: {case.get('name')}", wanted, make)


def patched_xml(target: bytes, patch: bytes) -> Any:
    """A document after an XML Patch."""
    return compared(apply_xml_patch(target, patch))


def patched_resource(resource: bytes, patch: bytes) -> dict[str, Any]:
    """A resource after a FHIRPath Patch."""
    return tidy(apply_patch("fhirpath", patch, read_xml(resource, r4())[0], r4()))


def cases(path: Path) -> list[etree._Element]:
    """The tests of a file."""
    return list(etree.parse(path).getroot().iterchildren("case"))


def content(case: etree._Element, name: str) -> bytes:
    """The document within an element of a test; empty where there is none."""
    holder = case.find(name)
    found = [] if holder is None else list(holder.iterchildren("*"))
    return etree.tostring(found[0], with_tail=False, encoding="utf-8") if found else b""


def alone(case: etree._Element, name: str) -> bytes:
    """An element of a test as a document; its name may be in any namespace."""
    return etree.tostring(next(case.iterchildren(f"{{*}}{name}")), with_tail=False, encoding="utf-8")


def compared(raw: bytes) -> Any:
    """A document as nested values, without the white space between elements."""
    return values(etree.fromstring(raw))


def values(element: etree._Element) -> Any:
    """The name, declarations, attributes and content of an element."""
    texts = [(element.text or "").strip()]
    for child in element:
        texts += [values(child), (child.tail or "").strip()]
    prefixes = sorted((prefix or "", uri) for prefix, uri in element.nsmap.items())
    return str(element.tag), prefixes, sorted(element.attrib.items()), [text for text in texts if text]


def tidy(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource whose narrative has no white space between its tags: the suite's files differ in that."""
    text = resource.get("text")
    if not isinstance(text, dict) or "div" not in text:
        return resource
    div = etree.fromstring(text["div"])
    assert XHTML in div.tag
    return resource | {"text": text | {"div": values(div)}}
