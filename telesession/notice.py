"""Notices of what happens to a consultation, as Communications without a word about the patient (FHIR R4, 12.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from telesession import vocabulary as words
from telesession.case import Case, Moment
from telesession.consultation import Event
from telesession.vocabulary import Body, Json, concept, objects, path_of, reference


@dataclass(frozen=True, slots=True)
class Notice:
    """A row: its code, its text, and who gets it: `hub`, `requester`, `people` of the Appointment, those in `roles`."""

    code: str
    text: str
    to: tuple[str, ...]
    roles: frozenset[str] = frozenset()


RING = Notice("ring", "Ca cấp cứu chờ tiếp nhận", ("hub",))
STARTING = Notice("starting", "Phiên tư vấn sắp bắt đầu", ("hub", "requester", "people"))

NOTICES: Mapping[Event, Notice] = {
    "submit": Notice("requested", "Có yêu cầu tư vấn mới", ("hub",)),
    "accept": Notice("accepted", "Yêu cầu tư vấn đã được tiếp nhận", ("requester",)),
    "reject": Notice("rejected", "Yêu cầu tư vấn bị từ chối", ("requester",)),
    "ask": Notice("question", "Tuyến trên cần thêm thông tin", ("requester",)),
    "answer": Notice("answer", "Thông tin đã được bổ sung", ("hub",)),
    "book": Notice("booked", "Phiên tư vấn đã được đặt lịch", ("hub", "requester", "people")),
    "reschedule": Notice("changed", "Phiên tư vấn đã đổi lịch", ("hub", "requester", "people")),
    "cancel": Notice("cancelled", "Phiên tư vấn đã bị hủy", ("hub", "requester", "people")),
    "finish": Notice("minutes", "Biên bản chờ ký", ("hub", "people"), frozenset({"chair", "secretary"})),
}
"""The notice of each event; no event has two, and a repeated message gives none."""


def announce(case: Case, notice: Notice, moment: Moment, more: tuple[str, ...] = ()) -> Json | None:
    """Take in the Communication of a notice, to more recipients where they are given; None where nobody gets it."""
    recipients = tuple(dict.fromkeys((*more, *_recipients(case, notice))))
    if not recipients:
        return None
    about = [
        case.path,
        *(f"{each['resourceType']}/{each['id']}" for each in (case.appointment, case.encounter) if each),
    ]
    made = case.make(
        "Communication",
        moment.new_id(),
        status="completed",
        category=[concept(words.NOTICE, notice.code)],
        priority=str(case.service_request.get("priority") or "routine"),
        about=[reference(path) for path in about],
        sent=moment.now,
        recipient=[reference(path) for path in recipients],
        payload=[{"contentString": _text(case, notice)}],
    )
    if case.patient:
        made["subject"] = reference(case.patient)
    return made


def _text(case: Case, notice: Notice) -> str:
    appointment = case.appointment
    start = appointment.get("start") if appointment is not None else None
    return f"{notice.text}: {start}." if start and "people" in notice.to else f"{notice.text}."


def _recipients(case: Case, notice: Notice) -> Iterator[str]:
    if "hub" in notice.to and case.hub:
        yield case.hub
    if "requester" in notice.to:
        yield from (f"Organization/{each}" for each in case.facilities[:1])
    if "people" in notice.to:
        sites = (path_of(task.get("owner")) for task in case.of("Task") if list(objects(task, "partOf")))
        yield from filter(None, sites)
        for appointment in filter(None, [case.appointment]):
            yield from _people(appointment, notice.roles)


def _people(appointment: Body, roles: frozenset[str]) -> Iterator[str]:
    for each in objects(appointment, "participant"):
        path = path_of(each.get("actor"))
        if path.partition("/")[0] not in (*words.PEOPLE, "Patient"):
            continue
        if not roles or not roles.isdisjoint(words.codes(each.get("type"), words.ROLE)):
            yield path


def told_of(communication: Body) -> Json:
    """What a viewer is told of a notice: what it is, and about what; nothing of the patient."""
    about = {path_of(each).partition("/")[0]: path_of(each) for each in objects(communication, "about")}
    text = next((str(each.get("contentString", "")) for each in objects(communication, "payload")), "")
    return {
        "notice": words.code(communication.get("category"), words.NOTICE),
        "text": text,
        "sent": communication.get("sent"),
        "priority": communication.get("priority"),
        "communication": f"Communication/{communication.get('id')}",
        "request": about.get("ServiceRequest"),
        "appointment": about.get("Appointment"),
        "encounter": about.get("Encounter"),
    }


def recipients_of(communication: Body) -> frozenset[str]:
    """Who gets a notice, as references."""
    return frozenset(filter(None, map(path_of, objects(communication, "recipient"))))
