"""The part of consultations in the story of a demo: one is booked for now, another waits for the hub's answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node
from fhir_server.telling import Story, write_absent
from telesession.vocabulary import ACTIVITY

MINUTES, STEP = 60, 5
"""How long the consultation takes; it begins at the last full step of minutes before now."""
NEXT: Mapping[str, str] = {"draft": "submit", "requested": "accept", "accepted": "book"}
"""What brings a consultation of the story from a state on to its session."""
NOW, WAITING = "hoi-chan-chan-thuong-nguc", "hoi-chan-ban-do-canh-tay"
PLACES = (("practitioner", "chair"), ("radiologist", "expert"), ("districtDoctor", "presenter"),
          ("stationWorker", "presenter"))  # fmt: skip
"""Who of the story takes part, and as what."""
Json = dict[str, Any]


async def tell(node: Node, story: Story) -> Story:
    """Ask for both consultations, bring one to a session that can be joined now; nothing without facilities."""
    if not {"station", "district", "hub", "patient", "practitioner"} <= story.keys():
        return {}
    district, station = (story[each].rpartition("/")[2] for each in ("district", "station"))
    authored = datetime.fromtimestamp(node.clock(), ZoneInfo(node.settings.time_zone)) - timedelta(minutes=40)
    await write_absent(node, district, [request_of(story, authored)])
    await write_absent(node, station, [other_of(story, authored)])
    if (await facts_of(node, WAITING, "state", "GET"))["state"] == "draft":
        await facts_of(node, WAITING, "submit")
    facts = await booked(node, story)
    return {
        "request": f"ServiceRequest/{NOW}",
        "otherRequest": f"ServiceRequest/{WAITING}",
        **{name: facts[name] for name in ("task", "appointment", "encounter") if name in facts},
    }


async def booked(node: Node, story: Story) -> Mapping[str, str]:
    """Bring the consultation to where it is booked; one whose time went by unused is moved to now."""
    facts = await facts_of(node, NOW, "state", "GET")
    while event := NEXT.get(facts["state"]):
        await facts_of(node, NOW, event, items=invited(node, story) if event == "book" else ())
        facts = await facts_of(node, NOW, "state", "GET")
    if facts["state"] == "booked":
        kind, _, identity = facts["appointment"].partition("/")
        appointment = orjson.loads((await node.repository.read(kind, identity)).body or b"{}")
        if datetime.fromisoformat(appointment["end"]).timestamp() <= node.clock():
            await facts_of(node, NOW, "reschedule", items=span_of(node))
    return facts


async def facts_of(
    node: Node, request: str, event: str, method: str = "POST", items: tuple[Json, ...] = ()
) -> Mapping[str, str]:
    """Call an operation of a consultation; return the values of what it answers, by name."""
    body = orjson.dumps({"resourceType": "Parameters", "parameter": list(items)}) if items else b""
    headers = {b"content-type": b"application/fhir+json"}
    exchange = Exchange(method, ("ServiceRequest", request, f"$tele-{event}"), headers=headers, body=body)
    reply = await node.dispatch(exchange)
    if reply.status != 200:
        raise RuntimeError(f"the demo's $tele-{event} is refused: {reply.body.decode()[:2000]}")
    found = {}
    for item in orjson.loads(reply.body)["parameter"]:
        value = next(each for key, each in item.items() if key.startswith("value"))
        found[item["name"]] = value["reference"] if isinstance(value, dict) else str(value)
    return found


def span_of(node: Node) -> tuple[Json, ...]:
    """The hour that has just begun, as parameters."""
    now = datetime.fromtimestamp(node.clock(), ZoneInfo(node.settings.time_zone)).replace(second=0, microsecond=0)
    start = now - timedelta(minutes=now.minute % STEP)
    span = {"start": start, "end": start + timedelta(minutes=MINUTES)}
    return tuple({"name": name, "valueInstant": at.isoformat()} for name, at in span.items())


def invited(node: Node, story: Story) -> tuple[Json, ...]:
    """When, who and which site beside the two facilities, as parameters of $tele-book."""
    return (
        *span_of(node),
        *({"name": "participant", "part": [linked("actor", story[who]), {"name": "role", "valueCode": role}]}
          for who, role in PLACES if who in story),
        linked("site", story["station"]),
    )  # fmt: skip


def linked(name: str, reference: str) -> Json:
    """A parameter that refers to something."""
    return {"name": name, "valueReference": {"reference": reference}}


def request_of(story: Story, authored: datetime) -> Json:
    """The request of the district hospital about the patient whose chest was scanned."""
    named = {
        "reasonReference": [{"reference": story[each]} for each in ("condition",) if each in story],
        "supportingInfo": [{"reference": story[each]} for each in ("imagingStudy",) if each in story],
    }
    return {
        **asked(NOW, story["patient"], story["district"], story["hub"], authored),
        **{name: value for name, value in named.items() if value},
        "priority": "urgent",
        "reasonCode": [{"text": "Chấn thương ngực kín: có gãy đốt sống ngực không, có cần chuyển tuyến không?"}],
    }


def other_of(story: Story, authored: datetime) -> Json:
    """The request of the station, which nobody has answered yet."""
    return {
        **asked(WAITING, story["otherPatient"], story["station"], story["hub"], authored),
        "priority": "routine",
        "reasonCode": [{"text": "Ban đỏ, ngứa ở cẳng tay hai tuần, chưa đỡ sau điều trị tại trạm"}],
    }


def asked(identity: str, patient: str, requester: str, hub: str, authored: datetime) -> Json:
    """A request for a case conference, not yet sent."""
    return {
        "resourceType": "ServiceRequest",
        "id": identity,
        "status": "draft",
        "intent": "order",
        "category": [{"coding": [{"system": ACTIVITY, "code": "HCTV-KCB"}]}],
        "code": {"text": "Hội chẩn từ xa"},
        "subject": {"reference": patient},
        "authoredOn": authored.isoformat(timespec="seconds"),
        "requester": {"reference": requester},
        "performer": [{"reference": hub}],
    }
