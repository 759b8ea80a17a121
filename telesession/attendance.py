"""Who took part in a consultation: those of the Appointment and of the session, each with what papers say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fhir_server.resource.person import licence_of, name_of
from telesession.case import Case
from telesession.gathering import Unwatched
from telesession.minutes import Person, role_in
from telesession.vocabulary import Body, objects, path_of

ORDER = ("chair", "host", "secretary", "presenter", "expert", "interpreter", "relative", "observer")


async def people_of(around: Unwatched, case: Case) -> list[Person]:
    """The people, chair first; once each, whatever they came as. The patient is not among them."""
    found: dict[str, Person] = {}
    for path, name, role in _named(case):
        person = await _person(around, path, name)
        key = person.path or person.name
        if not key or person.path.startswith("Patient/"):
            continue
        before = found.get(key)
        found[key] = replace(person, role=before.role or role if before else role)
    return sorted(found.values(), key=lambda each: ORDER.index(each.role) if each.role in ORDER else len(ORDER))


def _named(case: Case) -> list[tuple[str, str, str]]:
    """References, names and roles, those of the Appointment first."""
    appointment, encounter = case.appointment or {}, case.encounter or {}
    booked = [(each.get("actor"), each) for each in objects(appointment, "participant")]
    came = [(each.get("individual"), each) for each in objects(encounter, "participant")]
    listed = []
    for who, each in (*booked, *came):
        path = path_of(who)
        display = str(who.get("display", "")) if isinstance(who, Mapping) else ""
        if not path or path.partition("/")[0] in ("Practitioner", "PractitionerRole", "RelatedPerson"):
            listed.append((path, display, role_in(each.get("type"))))
    return listed


async def _person(around: Unwatched, path: str, name: str) -> Person:
    kind, _, identity = path.partition("/")
    body: Body = (await around.read(kind, identity) if identity else None) or {}
    role: Body = {}
    if kind == "PractitionerRole":
        role, path = body, path_of(body.get("practitioner")) or path
        body = await _read(around, path) or {}
    elif kind == "Practitioner":
        roles = await around.found("PractitionerRole", [("practitioner", path)], 10)
        role = next((each for each in roles if each.get("active") is not False), {})
    unit = await _read(around, path_of(role.get("organization"))) or {}
    titles = [each for one in objects(body, "qualification") if isinstance(each := one.get("code"), Mapping)]
    coded = [*titles, *objects(role, "code")]
    title = next(filter(None, (str(each.get("text") or "") for each in coded)), "")
    return Person(path, name_of(body) or name, "", title, str(unit.get("name", "")), licence_of(body))


async def _read(around: Unwatched, path: str) -> Body | None:
    kind, _, identity = path.partition("/")
    return await around.read(kind, identity) if identity else None
