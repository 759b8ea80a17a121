"""The minutes of a consultation as a Composition: its draft, what it lacks, who signs it (Law 15/2023, article 64).

The result of a consultation is written down and kept in the record; there is a conclusion for each question that was
asked (Circular 49/2017/TT-BYT, article 7). Nothing here reads or writes.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from fhir_server.errors import Issue
from fhir_server.resource.person import GENDERS, name_of
from telesession import vocabulary as words
from telesession.case import Case
from telesession.narrative import paragraphs, says, table
from telesession.vocabulary import Body, Json, concept, objects, path_of, reference

TITLE = "Biên bản hội chẩn từ xa"
DOCUMENT = "urn:nhipcau:CodeSystem:document"
MINUTES = "tele-minutes"
SECTION = "urn:nhipcau:CodeSystem:minutes-section"
LOINC = "http://loinc.org"
CONSULTATION_NOTE = "11488-4"
EMPTY_REASON = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
COMPLETION = "http://terminology.hl7.org/CodeSystem/v3-DocumentCompletion"
PURPOSE = "urn:iso-astm:E1762-95:2013"
UNWRITTEN = "(chưa ghi)"

SECTIONS: Mapping[str, str] = {
    "session": "Phiên hội chẩn",
    "participants": "Thành phần tham gia",
    "patient": "Người bệnh",
    "reason": "Lý do hội chẩn",
    "summary": "Tóm tắt bệnh sử, xét nghiệm, hình ảnh",
    "diagnosis": "Chẩn đoán sơ bộ",
    "discussion": "Ý kiến thảo luận",
    "conclusions": "Kết luận",
    "recommendations": "Khuyến nghị, hướng điều trị",
    "plan": "Kế hoạch theo dõi, tái khám, chuyển tuyến",
}
"""The sections in their order; `session` and `participants` are brought up to date until somebody has signed."""
OF_SERVER = ("session", "participants")

ROLE_NAMES: Mapping[str, str] = {
    "chair": "Chủ tọa",
    "secretary": "Thư ký",
    "presenter": "Báo cáo ca bệnh",
    "expert": "Chuyên gia",
    "host": "Chủ trì phiên",
    "interpreter": "Phiên dịch",
    "relative": "Người nhà",
    "observer": "Quan sát",
}
ROLE_OF: Mapping[str, str] = {"PPRF": "chair", "SPRF": "secretary", "ATND": "secretary", "REF": "presenter",
                              "CON": "expert", "translator": "interpreter"}  # fmt: skip
"""The role that a code of Encounter.participant.type tells of, where no code of ours stands beside it."""


@dataclass(frozen=True, slots=True)
class Signing:
    """A row: the attester's mode, the role in Vietnamese, in Provenance.agent, and the purpose of the signature."""

    mode: str
    role: str
    agent: str
    purpose: str
    text: str


SIGNINGS: Mapping[str, Signing] = {
    "chair": Signing("legal", "chair", "legal", "1.2.840.10065.1.12.1.5", "Verification Signature"),
    "secretary": Signing("professional", "secretary", "author", "1.2.840.10065.1.12.1.1", "Author's Signature"),
}
"""Who signs (Decision 4152/QD-BYT: the secretary writes the minutes, the chair leads): one attester of each mode."""
MODES: Mapping[str, Signing] = {each.mode: each for each in SIGNINGS.values()}


@dataclass(frozen=True, slots=True)
class Person:
    """Who took part: a relative reference or empty, the name, what they did, what they are, where from, the permit."""

    path: str
    name: str
    role: str = ""
    title: str = ""
    unit: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What the minutes say beside the consultation itself: people, the patient, names of facilities by reference."""

    people: Sequence[Person]
    patient: Body | None
    facilities: Mapping[str, str]
    zone: tzinfo


# ---- the draft


def drafted(case: Case, known: Known, resource_id: str, now: str) -> Json:
    """Return the draft of a finished session's minutes."""
    encounter = case.encounter or {}
    made: Json = {
        "resourceType": "Composition",
        "id": resource_id,
        "status": "preliminary",
        "type": {
            "coding": [
                {"system": DOCUMENT, "code": MINUTES},
                {"system": LOINC, "code": CONSULTATION_NOTE, "display": "Consult note"},
            ],
            "text": TITLE,
        },
        "category": list(objects(case.service_request, "category")),
        "encounter": reference(f"Encounter/{encounter.get('id')}"),
        "date": now,
        "author": [reference(case.hub)],
        "title": TITLE,
        "event": [{"detail": [reference(case.path)]}],
        "section": list(_sections(case, known)),
    }
    if path_of(case.service_request.get("subject")):
        made["subject"] = reference(path_of(case.service_request.get("subject")))
    if case.hub:
        made["custodian"] = reference(case.hub)
    named(made, signers_in(known.people))
    return made


def renewed(minutes: Json, case: Case, known: Known) -> Json:
    """Return a draft with what the session has become since; one that somebody signed stays as it is."""
    if is_begun(minutes):
        return minutes
    fresh = {code_of(each): each for each in _sections(case, known) if code_of(each) in OF_SERVER}
    sections = [fresh.get(code_of(each), each) for each in objects(minutes, "section")]
    return {**minutes, "section": sections}


def named(minutes: Json, signers: Mapping[str, Person]) -> None:
    """Say in minutes who is to sign them: those roles that are given, the others as they were."""
    kept = {str(each.get("mode")): each for each in objects(minutes, "attester")}
    for role, person in signers.items():
        party = {"reference": person.path, "display": person.name or person.path}
        kept[SIGNINGS[role].mode] = {"mode": SIGNINGS[role].mode, "party": party}
        if role == "secretary":
            minutes["author"] = [party]
    listed = [kept[each.mode] for each in SIGNINGS.values() if each.mode in kept]
    if listed:
        minutes["attester"] = listed


def signers_in(people: Sequence[Person]) -> dict[str, Person]:
    """The chair and the secretary, as far as the consultation names them: the first of each."""
    found: dict[str, Person] = {}
    for each in people:
        if each.role in SIGNINGS and each.path.startswith("Practitioner/"):
            found.setdefault(each.role, each)
    return found


def role_in(types: object) -> str:
    """The role that the types of a participant tell of; empty for none."""
    listed = types if isinstance(types, list) else []
    if own := words.code(listed, words.ROLE):
        return own
    codes = (str(coding.get("code")) for each in listed if isinstance(each, dict) for coding in objects(each, "coding"))
    return next((ROLE_OF[code] for code in codes if code in ROLE_OF), "")


def questions_of(request: Body) -> tuple[str, ...]:
    """What is asked: the texts of orderDetail; where there are none, of the notes; else of the reasons."""
    for name in ("orderDetail", "note", "reasonCode", "reasonReference"):
        texts = dict.fromkeys(filter(None, (_text_of(each) for each in objects(request, name))))
        if texts:
            return tuple(texts)
    return ()


def _text_of(value: Body) -> str:
    codings = (str(each.get("display") or each.get("code") or "") for each in objects(value, "coding"))
    return str(value.get("text") or value.get("display") or next(codings, "")).strip()


def _sections(case: Case, known: Known) -> Iterator[Json]:
    request = case.service_request
    asked = [_text_of(each) for name in ("reasonCode", "reasonReference") for each in objects(request, name)]
    notes = [str(each.get("text", "")) for each in (*objects(request, "note"), *objects(case.task or {}, "note"))]
    told = [each for each in notes if each.strip() not in questions_of(request)]
    coded = [f"{each.get('code')} {each.get('display') or ''}".strip() for reason in objects(request, "reasonCode")
             for each in objects(reason, "coding")]  # fmt: skip
    yield _section("session", table(_session_rows(case, known)))
    headings = ("STT", "Họ và tên", "Vai trò", "Chức danh", "Đơn vị", "Số GPHN")
    rows = [
        (str(place), each.name, ROLE_NAMES.get(each.role, each.role), each.title, each.unit, each.licence)
        for place, each in enumerate(known.people, 1)
    ]
    seen = [reference(each.path) for each in known.people if each.path]
    yield _section("participants", table(rows, headings) if rows else None, seen)
    if known.patient is not None:
        yield _section("patient", table(_patient_rows(known.patient)))
    yield _section("reason", _written(asked), [dict(each) for each in objects(request, "reasonReference")])
    yield _section("summary", _written(told), [dict(each) for each in objects(request, "supportingInfo")])
    yield _section("diagnosis", _written(coded))
    yield _section("discussion", None)
    conclusions = [{"title": each, **_unwritten()} for each in questions_of(request)]
    yield {"title": SECTIONS["conclusions"], "code": concept(SECTION, "conclusions"),
           **({"section": conclusions} if conclusions else _unwritten())}  # fmt: skip
    yield _section("recommendations", None)
    yield _section("plan", None)


def _section(code: str, text: Json | None, entries: Sequence[Json] = ()) -> Json:
    made: Json = {"title": SECTIONS[code], "code": concept(SECTION, code)}
    if text is None and entries:
        made["text"] = paragraphs(UNWRITTEN)
    else:
        made |= _unwritten() if text is None else {"text": text}
    if entries:
        made["entry"] = list(entries)
    return made


def _written(lines: Sequence[str]) -> Json | None:
    text = "\n".join(dict.fromkeys(filter(None, lines)))
    return paragraphs(text) if text.strip() else None


def _unwritten() -> Json:
    return {"text": paragraphs(UNWRITTEN), "emptyReason": concept(EMPTY_REASON, "notstarted")}


def _session_rows(case: Case, known: Known) -> Iterator[tuple[str, str]]:
    encounter = case.encounter or {}
    yield "Mã phiên", str(encounter.get("id", ""))
    asking = f"Organization/{case.facilities[0]}" if case.facilities else path_of(case.service_request.get("requester"))
    yield "Cơ sở đề nghị hội chẩn", known.facilities.get(asking, asking)
    yield "Cơ sở hội chẩn", known.facilities.get(case.hub, case.hub)
    sites = [path_of(task.get("owner")) for task in case.of("Task") if list(objects(task, "partOf"))]
    if sites:
        yield "Các điểm cầu khác", "; ".join(known.facilities.get(each, each) for each in sites)
    yield "Mức độ", "Đột xuất" if case.service_request.get("priority") in words.EMERGENCY else "Thường kỳ"
    period = encounter.get("period")
    for label, name in (("Bắt đầu", "start"), ("Kết thúc", "end")):
        moment = period.get(name) if isinstance(period, Mapping) else None
        yield label, spoken(str(moment), known.zone) if moment else "…"


def _patient_rows(patient: Body) -> Iterator[tuple[str, str]]:
    numbers = [str(each.get("value", "")) for each in objects(patient, "identifier")]
    places = (
        str(each.get("text") or ", ".join(map(str, each.get("line", ())))) for each in objects(patient, "address")
    )
    yield "Họ và tên", name_of(patient)
    yield "Ngày sinh", "/".join(reversed(str(patient.get("birthDate", "")).split("-")))
    yield "Giới tính", GENDERS.get(str(patient.get("gender", "")), "")
    yield "Mã người bệnh", "; ".join(filter(None, numbers)) or str(patient.get("id", ""))
    if place := next(filter(None, places), ""):
        yield "Địa chỉ", place


def spoken(moment: str, zone: tzinfo) -> str:
    """A moment as it is written in Vietnamese; itself where it is none."""
    try:
        return datetime.fromisoformat(moment).astimezone(zone).strftime("%H giờ %M, ngày %d/%m/%Y")
    except ValueError:
        return moment


# ---- what there is of it


def is_minutes(body: Body | None) -> bool:
    """Whether a Composition is the minutes of a consultation."""
    return body is not None and MINUTES in words.codes(body.get("type"), DOCUMENT)


def code_of(section: Body) -> str:
    """The code of a section; empty for one of somebody else's."""
    return words.code(section.get("code"), SECTION) or ""


def request_of(minutes: Body) -> str:
    """The id of the ServiceRequest that minutes are about; empty where they name none."""
    named_there = (path_of(each) for event in objects(minutes, "event") for each in objects(event, "detail"))
    return next((path.partition("/")[2] for path in named_there if path.startswith("ServiceRequest/")), "")


def is_begun(minutes: Body) -> bool:
    """Whether somebody has signed."""
    return any("time" in each for each in objects(minutes, "attester"))


def is_signed(minutes: Body) -> bool:
    """Whether chair and secretary have signed."""
    signed_by = {each.get("mode") for each in objects(minutes, "attester") if "time" in each}
    return minutes.get("status") in ("final", "amended") and signed_by >= set(MODES)


def lacking(minutes: Body, questions: Sequence[str]) -> Iterator[Issue]:
    """Yield what minutes lack to be signed: a conclusion for each question, a chair and a secretary."""
    concluded = dict(_concluded(minutes))
    for question in questions:
        if not concluded.get(question.strip()):
            text = f"The question “{question}” has no conclusion."
            fix = "Write it in a section with the question as its title, below the section `conclusions`."
            yield Issue("error", "required", text, ("Composition.section",), fix=fix)
    for title, is_written in concluded.items():
        if not is_written and title not in {each.strip() for each in questions}:
            yield Issue("error", "required", f"“{title}” has no conclusion.", ("Composition.section",))
    modes = [each.get("mode") for each in objects(minutes, "attester")]
    for role, signing in SIGNINGS.items():
        if modes.count(signing.mode) != 1:
            text = f"The minutes name no {role} to sign them, or several."
            fix = f"Call $tele-draft-minutes on the ServiceRequest with the parameter {role}."
            yield Issue("error", "required", text, ("Composition.attester",), fix=fix)


def _concluded(minutes: Body) -> Iterator[tuple[str, bool]]:
    for section in objects(minutes, "section"):
        if code_of(section) == "conclusions":
            for each in objects(section, "section"):
                yield str(each.get("title", "")).strip(), is_written(each)


def is_written(section: Body) -> bool:
    """Whether a section says anything yet."""
    said = [each for each in says(section.get("text")) if each != UNWRITTEN]
    return "emptyReason" not in section and bool(said)


# ---- signing


def form(minutes: Body) -> Json:
    """What is signed of minutes: all but status and the times of signing, which the signatures themselves change."""
    attesters = [{name: value for name, value in each.items() if name != "time"}
                 for each in objects(minutes, "attester")]  # fmt: skip
    kept = {name: value for name, value in minutes.items() if name not in ("status", "text", "meta")}
    return {**kept, "attester": attesters} if attesters else kept


def signed_by(minutes: Body, modes: Sequence[str], now: str) -> Json:
    """Return minutes that the attesters of these modes have signed; final when both have."""
    attesters = [{**each, "time": now} if each.get("mode") in modes else each for each in objects(minutes, "attester")]
    body = {**minutes, "attester": attesters}
    is_whole = {each.get("mode") for each in attesters if "time" in each} >= set(MODES)
    if is_whole and body.get("status") == "preliminary":
        body["status"] = "final"
    return body


def provenance(
    minutes: Body, version: int, signing: Signing, party: Body, facility: str, jws: str, program: str = ""
) -> Json:
    """Return who signed which version of minutes, in which role, and by which program (FHIR R4, 6.3 Provenance)."""
    who = dict(party)
    agent: Json = {"type": concept(PARTICIPANT, signing.agent), "role": [concept(words.ROLE, signing.role)], "who": who}
    if facility:
        agent["onBehalfOf"] = reference(f"Organization/{facility}")
    moment = next(each["time"] for each in objects(minutes, "attester") if each.get("mode") == signing.mode)
    return {
        "resourceType": "Provenance",
        "target": [reference(f"Composition/{minutes['id']}/_history/{version}")],
        "recorded": moment,
        "activity": concept(COMPLETION, "LA"),
        "agent": [agent, *([_program(program)] if program else [])],
        "signature": [
            {
                "type": [{"system": PURPOSE, "code": signing.purpose, "display": signing.text}],
                "when": moment,
                "who": who,
                "targetFormat": "application/fhir+json",
                "sigFormat": "application/jose",
                "data": b64encode(jws.encode()).decode(),
            }
        ],
    }


def _program(name: str) -> Json:
    return {"type": concept(PARTICIPANT, "enterer"), "who": {"display": name}}


def tokens_in(trail: Body) -> Iterator[tuple[Body, str]]:
    """Yield the signatures of a Provenance, each with its JWS; empty for one that is none."""
    for signature in objects(trail, "signature"):
        data: Any = signature.get("data")
        try:
            yield signature, b64decode(str(data), validate=True).decode()
        except ValueError:
            yield signature, ""


# ---- what plain writes may do


def refusal(former: Body | None, body: Body) -> Issue | None:
    """Why a plain write of minutes is refused; None where it is not."""
    if former is not None and _content(former) == _content(body):
        return None
    status, was = str(body.get("status")), None if former is None else str(former.get("status"))
    if status == "entered-in-error" and former is not None and form(former) == form(body):
        return None
    if is_begun(body):
        text = "Signatures are given by $tele-sign alone, and hold for what was signed."
        fix = "Leave out Composition.attester.time: the changed minutes are signed anew."
        return Issue("error", "business-rule", text, ("Composition.attester.time",), fix=fix)
    fitting = ("preliminary",) if was in (None, "preliminary") else ("amended",)
    if status not in fitting:
        text = f"Minutes that are {was or 'new'} do not become {status} by a plain write."
        fix = f"The status of changed minutes is {fitting[0]}; $tele-sign makes them final."
        return Issue("error", "business-rule", text, ("Composition.status",), fix=fix)
    if former is not None and (
        where := next((each for each in FIXED if _fixed(former, each) != _fixed(body, each)), "")
    ):
        text = f"Composition.{where} of minutes stays as $tele-draft-minutes made it."
        return Issue("error", "business-rule", text, (f"Composition.{where}",))
    return None


FIXED = ("attester", "encounter", "event", "subject", "type")
"""What says whose minutes these are, of what, and who signs them."""


def _content(body: Body) -> Json:
    return {name: value for name, value in body.items() if name not in ("text", "meta")}


def _fixed(body: Body, name: str) -> Any:
    return form(body).get(name)
