"""The patient and encounter that a program works with, found with the eyes of whoever logged in (SMART launch)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

from fhir_server.access.caller import Caller
from fhir_server.access.scope import parse_scopes
from fhir_server.auth.event import Ask
from fhir_server.auth.page import WORDS
from fhir_server.auth.person import Person
from fhir_server.auth.session import Language, Session

MOST_FOUND = 10
IS_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
SCOPES = parse_scopes("user/Patient.rs user/Encounter.rs user/RelatedPerson.rs")
OWN = ("Patient", "RelatedPerson")


class Choice(NamedTuple):
    """Something to choose: its id, its name, and what tells it from others."""

    id: str
    name: str
    facts: tuple[str, ...]


def eyes_of(person: Person, session: Session, client: str) -> Caller:
    """Return the caller who looks for a patient: the person, not the program."""
    return Caller(
        kind="person",
        subject=person.login,
        scopes=SCOPES,
        roles=frozenset(person.roles),
        fhir_user=person.fhir_user or None,
        organizations=person.organizations,
        client=client,
        authenticated_at=session.at,
        assurance=session.assurance,
    )


async def own_patient(ask: Ask, caller: Caller) -> str:
    """Return the id of the patient whom the person is, or is related to; empty for others."""
    kind, _, name = (caller.fhir_user or "").partition("/")
    if kind == "Patient":
        return name
    if kind == "RelatedPerson":
        status, found = await ask(caller, f"RelatedPerson/{name}")
        reference = str((found.get("patient") or {}).get("reference", "")) if status == 200 else ""
        return reference.removeprefix("Patient/") if reference.startswith("Patient/") else ""
    return ""


async def patient_of(ask: Ask, caller: Caller, name: str, language: Language) -> Choice | None:
    """Return a patient whom the person may see; None for any other."""
    if IS_ID(name) is None:
        return None
    status, found = await ask(caller, f"Patient/{name}")
    return patient_choice(found, language) if status == 200 else None


async def patients_like(ask: Ask, caller: Caller, text: str, language: Language) -> list[Choice]:
    """Return patients by name or identifier."""
    wanted = " ".join(text.split())
    if not wanted:
        return []
    by = "identifier" if any(each.isdigit() for each in wanted) else "name"
    words = [wanted] if by == "identifier" else wanted.split(" ")[:6]
    query = "&".join(f"{by}={quote(_escaped(word))}" for word in words)
    status, bundle = await ask(caller, f"Patient?{query}&_sort=name&_count={MOST_FOUND}")
    return [patient_choice(each, language) for each in _resources(bundle)] if status == 200 else []


async def encounters_of(ask: Ask, caller: Caller, patient: str, language: Language) -> list[Choice]:
    """Return a patient's last encounters."""
    status, bundle = await ask(caller, f"Encounter?patient={quote(patient)}&_sort=-date&_count={MOST_FOUND}")
    return [encounter_choice(each, language) for each in _resources(bundle)] if status == 200 else []


async def has_encounter(ask: Ask, caller: Caller, patient: str, name: str) -> bool:
    """Whether an encounter is this patient's, and the person may see it."""
    if IS_ID(name) is None:
        return False
    status, found = await ask(caller, f"Encounter/{name}")
    return status == 200 and (found.get("subject") or {}).get("reference") == f"Patient/{patient}"


def patient_choice(patient: dict[str, Any], language: Language) -> Choice:
    """Return a patient as one is recognised: name, sex, date of birth, identifiers."""
    facts = []
    if gender := patient.get("gender"):
        facts.append(WORDS[f"gender.{gender}"][language])
    if born := patient.get("birthDate"):
        facts.append(WORDS["patient.born"][language].format(date=as_read(born)))
    facts += [str(each["value"]) for each in patient.get("identifier", ()) if each.get("value")][:3]
    return Choice(patient["id"], name_of(patient) or WORDS["patient.unnamed"][language], tuple(facts))


def encounter_choice(encounter: dict[str, Any], language: Language) -> Choice:
    """Return an encounter as one is recognised: when, of which kind, where."""
    began = (encounter.get("period") or {}).get("start", "")
    kinds = [kind.get("text") or _display(kind.get("coding", ())) for kind in encounter.get("type", ())]
    facts = [str(encounter.get("status", "")), *kinds, (encounter.get("serviceProvider") or {}).get("display", "")]
    name = WORDS["encounter.one"][language].format(date=as_read(began[:10]))
    return Choice(encounter["id"], name.strip(), tuple(filter(None, facts)))


def _display(codings: Iterable[dict[str, Any]]) -> str:
    return next((str(each["display"]) for each in codings if each.get("display")), "")


def name_of(resource: dict[str, Any]) -> str:
    """Return a name as it is written: the text, or family and given names in Vietnamese order."""
    names = resource.get("name") or [{}]
    chosen = next((each for each in names if each.get("use") == "official"), names[0])
    return str(chosen.get("text") or " ".join(filter(None, [chosen.get("family"), *(chosen.get("given") or ())])))


def as_read(date: str) -> str:
    """Return a date as it is read in Viet Nam."""
    return "/".join(reversed(date.split("-")))


def _escaped(text: str) -> str:
    return re.sub(r"([\\,$|])", r"\\\1", text)


def _resources(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    entries = bundle.get("entry", ())
    return [each["resource"] for each in entries if each.get("search", {}).get("mode") == "match"]
