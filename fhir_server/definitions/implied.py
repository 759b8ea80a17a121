"""Value sets that nobody wrote down: code systems imply them by their URLs (FHIR R4, 4.2.1 SNOMED CT, 4.2.2 LOINC).

`[system]?fhir_vs` is all of a system; SNOMED CT has subtrees and reference sets, LOINC answer lists and parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fhir_server.definitions.code_system import CodeSystem
from fhir_server.definitions.value_set import Filter, Include, ValueSet

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
LOINC_SETS = f"{LOINC}/vs"
MARK = "?fhir_vs"
EDITION = re.compile(rf"{re.escape(SNOMED)}(?:/[0-9]+(?:/version/[0-9]+)?)?")
SUBTREE = re.compile(r"=isa/([0-9]+)")
REFERENCE_SET = re.compile(r"=refset(?:/([0-9]+))?")
LOINC_SET = re.compile(rf"{re.escape(LOINC_SETS)}/(L[LP][0-9]+-[0-9])")
REFSET = "refset"
"""Stands for an operator that no filter has: what is in a reference set is not told by the concepts."""

FindSystem = Callable[[str], CodeSystem | None]


def implied_value_set(canonical: str, find_system: FindSystem) -> ValueSet | None:
    """The value set that a canonical means by how it is written; None for one that means none."""
    if canonical == LOINC_SETS:
        return _of(canonical, Include(LOINC, None, None, (), ()))
    in_loinc = LOINC_SET.fullmatch(canonical)
    if in_loinc is not None:
        name = "LIST" if in_loinc[1].startswith("LL") else "ancestor"
        return _of(canonical, Include(LOINC, None, None, (Filter(name, "=", in_loinc[1]),), ()))
    system, mark, query = canonical.partition(MARK)
    if not mark:
        return None
    if EDITION.fullmatch(system):
        filters = _of_snomed(query)
        version = None if system == SNOMED else system
        return None if filters is None else _of(canonical, Include(SNOMED, version, None, filters, ()))
    if query or find_system(system) is None:
        return None
    return _of(canonical, Include(system, None, None, (), ()))


def _of_snomed(query: str) -> tuple[Filter, ...] | None:
    if not query:
        return ()
    subtree = SUBTREE.fullmatch(query)
    if subtree is not None:
        return (Filter("concept", "is-a", subtree[1]),)
    members = REFERENCE_SET.fullmatch(query)
    return None if members is None else (Filter("concept", REFSET, members[1] or ""),)


def value_set_of_system(canonical: str, system: str) -> ValueSet:
    """All codes of a system, under the name that it gives that (CodeSystem.valueSet)."""
    return _of(canonical, Include(system, None, None, (), ()))


def _of(canonical: str, part: Include) -> ValueSet:
    return ValueSet(canonical, part.version, "", immutable=False, include=(part,), exclude=(), status="active")
