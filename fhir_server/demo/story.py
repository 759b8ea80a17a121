"""The story of the demo, as far as the server itself tells it: facilities, a patient, an order of images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from importlib import resources
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from fhir_server.errors import Conflict, NotFound
from fhir_server.extension import Extension
from fhir_server.rest.node import Node
from fhir_server.telling import Story, write_absent

STATION, DISTRICT, HUB = "tram-y-te-na-hang", "benh-vien-khu-vuc-na-hang", "benh-vien-tinh-tuyen-quang"
CHAPTERS = (("facilities", HUB), ("hospital", DISTRICT), ("station", STATION))
"""The files of the story, one resource a line, each with the facility that it is of."""

PARTS: Story = {
    "station": f"Organization/{STATION}",
    "district": f"Organization/{DISTRICT}",
    "hub": f"Organization/{HUB}",
    "patient": "Patient/ly-thi-may",
    "otherPatient": "Patient/vu-a-su",
    "practitioner": "Practitioner/bac-si-hoang-van-tho",
    "radiologist": "Practitioner/bac-si-nguyen-thu-ha",
    "districtDoctor": "Practitioner/bac-si-nong-van-son",
    "stationWorker": "Practitioner/y-si-ma-thi-dung",
    "condition": "Condition/chan-thuong-nguc",
    "otherCondition": "Condition/ban-do-canh-tay",
    "observation": "Observation/huyet-ap",
    "order": "ServiceRequest/chup-ct-nguc",
    "orderTask": "Task/chup-ct-nguc",
}
EDITION, NOTE = "2", "edition of the demo's story"
MOMENT = re.compile(r'"@([+-]\d{1,4})(?:T(\d\d:\d\d))?"')
"""A day counted from the one on which the story is first told, perhaps with a time."""


class Admitted(NamedTuple):
    """Who was let in: people with their passwords, programs with their secrets."""

    users: Sequence[dict[str, Any]]
    programs: Sequence[dict[str, Any]]


async def tell_story(node: Node, extensions: Iterable[Extension] = ()) -> Story:
    """Tell the story, each extension its part after those before it; return all its parts. Told again, it stays."""
    await check_edition(node)
    today = datetime.fromtimestamp(node.clock(), ZoneInfo(node.settings.time_zone))
    for name, facility in CHAPTERS:
        text = resources.files("fhir_server.demo").joinpath(f"{name}.ndjson").read_text("utf-8")
        await write_absent(node, facility, [orjson.loads(line) for line in dated(text, today).splitlines()])
    story = dict(PARTS)
    for extension in extensions:
        story |= await extension.tells(node, story)
    return story


async def check_edition(node: Node) -> None:
    """Raise Conflict where another story was told here: what is there stays as it is, and would not fit this one."""
    kept = await node.notes.note(NOTE)
    if kept is None:
        try:
            await node.repository.read(*PARTS["hub"].split("/"))
        except NotFound:
            await node.notes.keep(NOTE, EDITION, None)
            return
    if kept != EDITION:
        raise Conflict("Another version told its story in this folder: remove the folder, or name another by --data.")


def dated(text: str, today: datetime) -> str:
    """Return a chapter with days and moments in place of what counts them from today."""

    def written(found: re.Match[str]) -> str:
        day = today.date() + timedelta(days=int(found[1]))
        if found[2] is None:
            return f'"{day.isoformat()}"'
        return f'"{datetime.combine(day, time.fromisoformat(found[2]), today.tzinfo).isoformat()}"'

    return MOMENT.sub(written, text)


def demo_facts(base: str, story: Story, admitted: Admitted) -> dict[str, Any]:
    """Return what a program that tries the demo needs to know."""
    return {"baseUrl": f"{base}/fhir", **admitted._asdict(), "story": dict(story)}
