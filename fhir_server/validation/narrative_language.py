"""Sections of a narrative by language, where a profile controls them (FHIR extension narrative-language-control).

`_no` allows none, `_yes` wants some, `_resource` wants one in the resource's language, and any other code is a language
that must be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.parsers import expat

from fhir_server.validation.item import Item
from fhir_server.validation.run import Run
from fhir_server.validation.slicing import ItemCheck, fault_at

LANGUAGE_ATTRIBUTES = ("lang", "xml:lang")


def narrative_language_check(wanted: Sequence[str], profile: str) -> ItemCheck:
    """The check of a Narrative's language sections."""

    def check(item: Item, run: Run) -> None:
        div = item.value.get("div") if item.value.__class__ is dict else None
        if div.__class__ is not str:
            return
        found = language_sections(div)
        fault = found is not None and language_fault(wanted, found, run.resource.get("language"))
        if fault:
            run.report(fault_at(item, "business-rule", fault, profile))

    return check


def language_fault(wanted: Sequence[str], found: Sequence[str], language: Any) -> str | None:
    """What is wrong with the languages of a narrative's sections."""
    listed = ", ".join(found)
    if "_no" in wanted:
        return f"The narrative must not have sections by language, found {listed}." if found else None
    if not found and wanted:
        return "The narrative must have sections by language, each a div with lang and xml:lang."
    needed = [language if code == "_resource" else code for code in wanted if code != "_yes"]
    missing = [code for code in needed if isinstance(code, str) and code not in found]
    return f"The narrative must have a section in {', '.join(missing)}, found {listed}." if missing else None


def language_sections(div: str) -> list[str] | None:
    """The languages of the sections right below a narrative's div; None when it cannot be read."""
    found: list[str] = []
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        language = next((attributes[a] for a in LANGUAGE_ATTRIBUTES if a in attributes), None)
        if depth == 2 and language is not None:
            found.append(language)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(div, True)  # noqa: FBT003 expat takes it by position
    except expat.ExpatError:
        return None
    return found
