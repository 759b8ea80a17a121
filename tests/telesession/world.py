"""Two facilities, a patient and a doctor, for the tests of consultations; requests and operations on them."""

from __future__ import annotations

from typing import Any

import httpx

from telesession.vocabulary import ACTIVITY
from tests.access.world import World, consent, for_hub, of, organization, person, program, to

Json = dict[str, Any]

CALLERS = (
    person("worker", "commune-worker", "station"),
    person("coordinator", "coordinator", "hub"),
    person("doctor", "doctor", "hub"),
    person("stranger", "doctor", "elsewhere"),
    program("his", "station"),
    program("his-hub", "hub"),
    program("his-elsewhere", "elsewhere"),
)


class Country(World):
    """The server with its callers, as consultations need them."""

    def people(self) -> None:
        """Facilities, the doctors of the hub, a patient of the station who agreed to share."""
        for caller in CALLERS:
            self.table.callers[caller.subject] = caller
        for name in ("station", "hub", "elsewhere"):
            self.put("", organization(name))
        for name in ("worker", "coordinator", "doctor", "stranger"):
            self.put("", of("Practitioner", name, name=[{"family": name}]))
        self.put("his", of("Patient", "may", name=[{"family": "Lý"}], gender="female"))
        self.put("his", consent("sharing", "may", for_hub()))

    def request(self, caller: str = "his", activity: str = "HCTV-KCB", **more: Any) -> str:
        """The id of a new request of the station."""
        return str(self.post(caller, service_request(activity, **more))["id"])

    def tell(self, caller: str, request: str, event: str, *items: Json) -> httpx.Response:
        """Call an operation of a consultation with these parameters."""
        body = {"resourceType": "Parameters", "parameter": list(items)} if items else None
        return self.ask(caller, "POST", f"ServiceRequest/{request}/$tele-{event}", body)

    def happen(self, caller: str, request: str, event: str, *items: Json) -> Json:
        """What an operation answers that is accepted, by the names of its parameters."""
        answer = self.tell(caller, request, event, *items)
        assert answer.status_code == 200, answer.text
        return facts(answer)

    def state(self, request: str, caller: str = "") -> Json:
        """Where a consultation is."""
        answer = self.get(caller, f"ServiceRequest/{request}/$tele-state")
        assert answer.status_code == 200, answer.text
        return facts(answer)

    def through(self, request: str, *events: str) -> None:
        """Bring a consultation through events, each by whom it is for."""
        for event in events:
            self.happen(*(("his" if event in STATION else "coordinator"), request, event), *FACTS.get(event, ()))


def text(name: str, value: str) -> Json:
    return {"name": name, "valueString": value}


def at(start: str, end: str) -> list[Json]:
    return [{"name": "start", "valueInstant": start}, {"name": "end", "valueInstant": end}]


def link(name: str, path: str) -> Json:
    return {"name": name, "valueReference": to(path)}


def participant(path: str, role: str) -> Json:
    parts = [{"name": "actor", "valueReference": to(path)}, {"name": "role", "valueCode": role}]
    return {"name": "participant", "part": parts}


def service_request(activity: str = "HCTV-KCB", **more: Any) -> Json:
    made = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "category": [{"coding": [{"system": ACTIVITY, "code": activity}]}],
        "subject": to("Patient/may"),
        "performer": [to("Organization/hub")],
        "requester": to("Organization/station"),
        "reasonCode": [{"text": "Ban đỏ ở cẳng tay"}],
    }
    return {name: value for name, value in {**made, **more}.items() if value is not None}


def facts(answer: httpx.Response) -> Json:
    """The values of a Parameters by name; of `allowed` and `changed`, all of them."""
    found: Json = {"allowed": [], "changed": []}
    for item in answer.json().get("parameter", []):
        value = next(each for key, each in item.items() if key.startswith("value"))
        value = value.get("reference") if isinstance(value, dict) else value
        if item["name"] in ("allowed", "changed"):
            found[item["name"]].append(value)
        else:
            found[item["name"]] = value
    return found


STATION = ("submit", "answer")
START, END = "2026-12-01T09:00:00+07:00", "2026-12-01T09:30:00+07:00"
FACTS = {
    "reject": (text("reason", "Ngoài khả năng"),),
    "ask": (text("question", "Xét nghiệm máu?"),),
    "answer": (text("answer", "Đã gửi"),),
    "book": (*at(START, END), participant("Practitioner/doctor", "chair")),
    "reschedule": at("2026-12-02T09:00:00+07:00", "2026-12-02T09:30:00+07:00"),
    "cancel": (text("reason", "Người bệnh đã chuyển viện"),),
}
