"""Rules of the law and of the ministry that a write can be checked by: warnings, or blocks where a node says so.

Each row is a rule of the list in docs/reference/telesession.md, under its number there. Texts of law were read in
secondary sources: what a node blocks is its own decision.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fhir_server.errors import Issue, Severity, Unprocessable
from fhir_server.repository.check import Around, WriteCheck, Written
from telesession import vocabulary as words
from telesession.consultation import KIND_OF
from telesession.vocabulary import Body, code, codes, objects, path_of

DIRECT = "DIRECT_TO_PATIENT"
ICD = re.compile(r"icd-?10", re.IGNORECASE).search
OID = re.compile(r"(?:urn:oid:)?(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+").fullmatch
LONGEST_UID = 64
STUDY_UID = "urn:dicom:uid"
MOST_SECONDARY = 12
PRESCRIPTION = re.compile(r"[0-9A-Za-z]{12}-([NHC])").fullmatch
"""The number of an electronic prescription (Circular 26/2025/TT-BYT): facility, seven characters, kind of medicine."""
NOT_DIRECT = frozenset({"N", "H"})
FROM_AFAR = "HC."
"""What goes before the code of the facility that prescribed from afar (Decision 4750/QD-BYT, XML2.MA_CSKCB_THUOC)."""

ALLOWED = (
    "E66 J00 J31.1 K12.0 K14.1 K06.9 M25.5 M53.1 M54.5 M05.0 M17 M47 M81 Z09 Z08 I10 I83 I87.2 I74.3 E10.9 E11.9 E12.9"
    " E13.9 E14.9 E78 N18.1 J45 J44 F28.8 F41.2 L01 L02 L66 B86 B35 B36.0 B01 B02 L20 L23 L28.2 L50 G20 F00 F01 G43"
    " G44.2 H81 B24 Z76.0 A97.0 J10 J10.1 U07.1 K29 K59 K21 B16 B18.1 H10 H16 H35.5 Z50.1"
).split()
"""Circular 30/2023/TT-BYT: what may be treated directly from afar. A category of three characters has all below it."""
ALLOWED_RANGES = (("E00", "E07"), ("A15", "A19"))

PATTERNS: Mapping[str, tuple[str, str]] = {
    "sid/cccd": (r"[0-9]{12}", "A national identity number has 12 digits."),
    "sid/national_id": (r"[0-9]{12}", "A national identity number has 12 digits."),
    "sid/bhyt": (r"[A-Z]{2}[0-9]{13}|[0-9]{10}|[0-9]{12}|TE1[0-9]{12}",
                 "An insurance number has 15 characters (two letters first), 10 digits, or 12 digits."),
    "sid/ma-cskcb": (r"[0-9A-Z]{5}", "A facility code has 5 digits or capital letters."),
}  # fmt: skip
"""The form of identifiers, by the end of their system."""

Findings = AsyncIterator[tuple[str, str]]
"""What is wrong, and where."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: its number, what it is about, and what finds where it is broken; whether it refuses on every node."""

    number: int
    types: frozenset[str]
    findings: Callable[[Body, Around], Findings]
    always: bool = False


async def _identifiers(body: Body, _around: Around) -> Findings:
    for place, each in enumerate(objects(body, "identifier")):
        for end, (pattern, text) in PATTERNS.items():
            if str(each.get("system", "")).endswith(end) and not re.fullmatch(pattern, str(each.get("value", ""))):
                yield text, f"{body['resourceType']}.identifier[{place}].value"


async def _virtual_type(body: Body, _around: Around) -> Findings:
    is_virtual = _is_virtual(body)
    is_remote = words.REMOTE_CARE in codes(body.get("type"), words.VISIT_TYPE)
    if is_virtual and not is_remote:
        yield "An Encounter of class VR has the type 14, remote care (Decision 1804/QD-BYT).", "Encounter.type"
    if is_remote and not is_virtual:
        yield "An Encounter of type 14, remote care, has the class VR.", "Encounter.class"


async def _listed(body: Body, around: Around) -> Findings:
    if not _is_virtual(body) or not await _is_direct(body, around):
        return
    listed = list(objects(body, "diagnosis"))
    main = next((each for each in listed if each.get("rank") == 1), listed[0] if listed else None)
    found = await _read(around, path_of(main.get("condition"))) if main is not None else None
    for icd in _icd(found or {}):
        if not is_allowed(icd):
            yield f"{icd} is not in the list of Circular 30/2023 for direct remote treatment.", "Encounter.diagnosis"


async def _minuted(body: Body, around: Around) -> Findings:
    if body.get("status") != "completed" or list(objects(body, "partOf")):
        return
    path = path_of(body.get("focus"))
    request = await _read(around, path)
    if request is None or KIND_OF.get(code(request.get("category"), words.ACTIVITY) or "") in (None, "training"):
        return
    for encounter in await around.found("Encounter", [("based-on", path)]):
        found = await around.found("Composition", [("encounter", f"Encounter/{encounter['id']}")])
        if encounter.get("status") == "finished" and not found:
            yield "A consultation is closed with its minutes: a Composition about the Encounter.", "Task.status"


async def _study(body: Body, around: Around) -> Findings:
    uids = [str(each.get("value", "")) for each in objects(body, "identifier") if each.get("system") == STUDY_UID]
    if not uids or not all(OID(uid) and len(uid.removeprefix("urn:oid:")) <= LONGEST_UID for uid in uids):
        yield "An ImagingStudy has its Study Instance UID, of 64 characters at most.", "ImagingStudy.identifier"
    if not list(objects(body, "modality")) and not any(each.get("modality") for each in objects(body, "series")):
        yield "An ImagingStudy names its modality.", "ImagingStudy.modality"
    for path in map(path_of, objects(body, "basedOn")):
        request = await _read(around, path)
        if request is not None and path_of(request.get("subject")) != path_of(body.get("subject")):
            yield f"The study is of another patient than {path}.", "ImagingStudy.subject"


async def _licensed(body: Body, around: Around) -> Findings:
    if not any(each.endswith("RAD") for each in _codes_of(body.get("category"))):
        return
    for path in map(path_of, objects(body, "resultsInterpreter")):
        person = await _read(around, path)
        if person is not None and person["resourceType"] == "PractitionerRole":
            person = await _read(around, path_of(person.get("practitioner")))
        if person is not None and person["resourceType"] == "Practitioner" and not _has_licence(person):
            yield f"{path} has no practising certificate (CCHN, GPHN) here.", "DiagnosticReport.resultsInterpreter"


async def _coded(body: Body, _around: Around) -> Findings:
    if len(list(objects(body, "diagnosis"))) > MOST_SECONDARY + 1:
        yield f"An Encounter has one main diagnosis and {MOST_SECONDARY} others at most.", "Encounter.diagnosis"


async def _one_at_a_time(body: Body, around: Around) -> Findings:
    if not _is_virtual(body) or body.get("status") != "in-progress":
        return
    own = path_of(body.get("serviceProvider"))
    for path in {path_of(each.get("individual")) for each in objects(body, "participant")}:
        if path.partition("/")[0] not in ("Practitioner", "PractitionerRole"):
            continue
        asked = [("participant", path), ("status", "in-progress"), ("class", f"{words.ACT}|{words.VIRTUAL}")]
        for other in await around.found("Encounter", asked):
            if other["id"] != body.get("id") and path_of(other.get("serviceProvider")) != own:
                yield f"{path} is in another facility's session now (Law 15/2023, article 36).", "Encounter.participant"
                break


async def _no_narcotics(body: Body, around: Around) -> Findings:
    kinds = {found[1] for each in _numbers(body) if (found := PRESCRIPTION(each))}
    if kinds & NOT_DIRECT and await _is_direct(await _encounter_of(body, around), around):
        yield ("Narcotic and psychotropic medicines (N, H) are not prescribed in direct remote care.",
               "MedicationRequest.identifier")  # fmt: skip


async def _prescribed_afar(body: Body, around: Around) -> Findings:
    encounter = await _encounter_of(body, around)
    if (
        body.get("status") not in ("active", "completed")
        or not _is_virtual(encounter)
        or await _is_direct(encounter, around)
    ):
        return
    for name in ("requester", "recorder", "authoredOn"):
        if not body.get(name):
            yield f"A prescription of a remote consultation has its {name} (Decision 4750/QD-BYT).", "MedicationRequest"
    asked = await _facility_of(path_of(body.get("requester")), around)
    own = await _facility_of(path_of(body.get("recorder")), around)
    told = {each for each in map(str, _notes(body)) if each.startswith(FROM_AFAR)}
    if asked is not None and own is not None and asked["id"] != own["id"] and not told:
        yield "A medicine ordered by another facility has a note HC. with its code.", "MedicationRequest.note"
    codes_of_facility = {f"{FROM_AFAR}{each}" for each in _facility_codes(asked or {})}
    for each in told:
        if not re.fullmatch(r"HC\.[0-9A-Z]{5}", each) or (codes_of_facility and each not in codes_of_facility):
            yield f"{each[:20]!r} is not HC. with the code of the facility that prescribed.", "MedicationRequest.note"


RULES: tuple[Rule, ...] = (
    Rule(1, frozenset({"Patient", "Organization"}), _identifiers),
    Rule(3, frozenset({"Encounter"}), _virtual_type),
    Rule(4, frozenset({"Encounter"}), _listed),
    Rule(5, frozenset({"MedicationRequest"}), _no_narcotics, always=True),
    Rule(6, frozenset({"Task"}), _minuted),
    Rule(7, frozenset({"ImagingStudy"}), _study),
    Rule(8, frozenset({"DiagnosticReport"}), _licensed),
    Rule(10, frozenset({"Encounter"}), _coded),
    Rule(11, frozenset({"Encounter"}), _one_at_a_time),
    Rule(13, frozenset({"MedicationRequest"}), _prescribed_afar),
)


class Rules:
    """The checks of writes by these rules; those whose number is in `blocking` refuse what they find."""

    def __init__(self, blocking: Collection[int]) -> None:
        self._blocking = frozenset(blocking)

    def checks(self) -> Sequence[WriteCheck]:
        """The rows for the door of the server."""
        types = frozenset(kind for rule in RULES for kind in rule.types)
        return (WriteCheck(types, self.check, sees_former=False),)

    async def check(self, written: Written, around: Around) -> Sequence[Issue]:
        """The warnings of what is written; raise Unprocessable for what this node blocks."""
        if written.body is None:
            return ()
        body = {**written.body, "id": written.id}
        found: list[Issue] = []
        for rule in RULES:
            if written.type in rule.types:
                async for text, where in rule.findings(body, around):
                    refuses = rule.always or rule.number in self._blocking
                    severity: Severity = "error" if refuses else "warning"
                    found.append(Issue(severity, "business-rule", f"{text} (rule {rule.number})", (where,)))
        if errors := [issue for issue in found if issue.is_error]:
            raise Unprocessable(*errors)
        return found


def is_allowed(icd: str) -> bool:
    """Whether a code of ICD-10 is in the list of Circular 30/2023, itself or by its category."""
    category = icd[:3]
    if any(first <= category <= last for first, last in ALLOWED_RANGES):
        return True
    return icd in ALLOWED or category in ALLOWED


def _numbers(body: Body) -> Iterator[str]:
    group = body.get("groupIdentifier")
    for each in (*objects(body, "identifier"), *([group] if isinstance(group, Mapping) else [])):
        yield str(each.get("value", ""))


def _notes(body: Body) -> Iterator[str]:
    for each in objects(body, "note"):
        yield str(each.get("text", "")).strip()


async def _encounter_of(body: Body, around: Around) -> Body:
    path = path_of(body.get("encounter"))
    return (await _read(around, path) if path.startswith("Encounter/") else None) or {}


async def _facility_of(path: str, around: Around) -> Body | None:
    """The Organization that a reference names, itself or by a PractitionerRole."""
    found = await _read(around, path) if path.startswith(("PractitionerRole/", "Organization/")) else None
    if found is not None and found["resourceType"] == "PractitionerRole":
        return await _read(around, path_of(found.get("organization")))
    return found


def _facility_codes(organization: Body) -> Iterator[str]:
    for each in objects(organization, "identifier"):
        if str(each.get("system", "")).endswith("sid/ma-cskcb"):
            yield str(each.get("value", ""))


def _is_virtual(encounter: Body) -> bool:
    kind = encounter.get("class")
    return isinstance(kind, Mapping) and kind.get("code") == words.VIRTUAL


async def _is_direct(encounter: Body, around: Around) -> bool:
    for path in map(path_of, objects(encounter, "basedOn")):
        request = await _read(around, path)
        if request is not None and DIRECT in codes(request.get("category"), words.MODE):
            return True
    return False


def _icd(condition: Body) -> Iterator[str]:
    concept = condition.get("code")
    for coding in objects(concept, "coding") if isinstance(concept, Mapping) else ():
        if ICD(str(coding.get("system", ""))):
            yield str(coding.get("code", ""))


def _codes_of(concepts: object) -> Iterator[str]:
    for each in concepts if isinstance(concepts, list) else ():
        for coding in objects(each, "coding") if isinstance(each, Mapping) else ():
            yield str(coding.get("code", ""))


def _has_licence(person: Body) -> bool:
    qualified = (each for one in objects(person, "qualification") for each in objects(one, "identifier"))
    listed = [*objects(person, "identifier"), *qualified]
    return any(str(each.get("system", "")).endswith(("cchn", "gphn")) for each in listed)


async def _read(around: Around, path: str) -> Body | None:
    kind, _, name = path.partition("/")
    return await around.read(kind, name) if name and "/" not in name else None
