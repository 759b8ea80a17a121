"""The story of the demo, stored by one transaction that can be repeated without effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from fhir_server.rest.exchange import Exchange
from fhir_server.rest.node import Node

STATION, HUB = "tram-y-te-na-hang", "benh-vien-tinh-tuyen-quang"
Story = dict[str, str]
"""The ids of the story's main resources, by what they are in it."""

PARTS: Story = {
    "station": f"Organization/{STATION}",
    "hub": f"Organization/{HUB}",
    "patient": "Patient/ly-thi-may",
    "practitioner": "Practitioner/bac-si-hoang-van-tho",
    "request": "ServiceRequest/hoi-chan-da-lieu",
    "task": "Task/hoi-chan-da-lieu",
    "appointment": "Appointment/hoi-chan-da-lieu",
    "encounter": "Encounter/hoi-chan-da-lieu",
    "observation": "Observation/huyet-ap",
    "report": "DiagnosticReport/ket-luan-hoi-chan",
}


async def load_story(node: Node) -> Story:
    """Store the story; return the ids of its parts."""
    text = resources.files("fhir_server.demo").joinpath("story.json").read_bytes()
    exchange = Exchange("POST", (), headers={b"content-type": b"application/fhir+json"}, body=text, request_id="demo")
    reply = await node.dispatch(exchange)
    if reply.status != 200:
        raise RuntimeError(f"the story of the demo is refused: {reply.body.decode()[:2000]}")
    return PARTS


def demo_facts(base: str, story: Story, users: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a program that tries the demo needs to know."""
    return {"baseUrl": f"{base}/fhir", "users": list(users), "story": story}
