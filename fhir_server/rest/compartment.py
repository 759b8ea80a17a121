"""The compartments of several patients at once, and the patients in a Group (FHIR R4, 3.1.2 compartments, 8.14)."""

from __future__ import annotations

from fhir_server.errors import TooCostly
from fhir_server.repository.repository import Repository
from fhir_server.resource.parsing import parse
from fhir_server.resource.reference import parse_reference
from fhir_server.search.plan import EVERYTHING, And, Ids, Not, Or, Predicate, Row, Test

PATIENT = "Patient"
SOMEBODY = "$"
"""Stands for the id of any patient; no resource has it."""

OF_SOMEBODY = Test("v", "=", SOMEBODY)


def in_compartment(repository: Repository, kind: str, ids: tuple[str, ...] | None) -> Predicate:
    """Return what finds the resources of a type in the compartments of these patients, or of any."""
    return of_patients(repository.query((kind,), (), compartment=(PATIENT, SOMEBODY)).plan.arms[kind], ids)


def of_patients(predicate: Predicate, ids: tuple[str, ...] | None) -> Predicate:
    """What is asked about SOMEBODY, asked about these patients, or about any."""
    match predicate:
        case Ids(values) if SOMEBODY in values:
            return EVERYTHING if ids is None else Ids(ids)
        case Row(number, tests) if OF_SOMEBODY in tests:
            of_them = () if ids is None else (Test("v", "in", ids),)
            return Row(number, (*of_them, *(test for test in tests if test != OF_SOMEBODY)))
        case And(items) | Or(items):
            return type(predicate)(tuple(of_patients(item, ids) for item in items))
        case Not(item):
            return Not(of_patients(item, ids))
        case _:
            return predicate


async def members(repository: Repository, base: str, group_id: str, most: int) -> tuple[str, ...]:
    """Return the ids of the patients in a Group, and in the groups in it; raise TooCostly for more than `most`."""
    found: dict[str, None] = {}
    seen = {group_id}
    waiting = [group_id]
    while waiting:
        group = parse((await repository.read("Group", waiting.pop())).body or b"")
        for member in group.get("member", ()):
            reference = parse_reference(str(member.get("entity", {}).get("reference", "")))
            if member.get("inactive") or reference.base not in (None, base) or reference.id is None:
                continue
            if reference.type == PATIENT:
                found[reference.id] = None
            elif reference.type == "Group" and reference.id not in seen:
                seen.add(reference.id)
                waiting.append(reference.id)
        if len(found) > most or len(seen) > most:
            raise TooCostly(f"The Group has more than {most:,} members. Ask for smaller groups.")
    return tuple(found)
