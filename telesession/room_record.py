"""A room as the text that outlives a restart, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from telesession.room import Limits, Participant, Person, Room

Json = dict[str, Any]


def text_of(room: Room, owner: str, address: str) -> str:
    """The text of a room, with the process that it is in."""
    told = {"owner": owner, "address": address, "room": asdict(room)}
    return orjson.dumps(told).decode()


def owner_in(text: str) -> tuple[str, str]:
    """The process that a room is in: its name, and the address that other processes reach it at."""
    told = orjson.loads(text)
    return told["owner"], told["address"]


def room_in(text: str) -> Room:
    """The room that was written so."""
    told: Json = orjson.loads(text)["room"]
    participants = {key: _participant(each) for key, each in told["participants"].items()}
    return Room(**{**told, "limits": Limits(**told["limits"]), "participants": participants})


def _participant(told: Json) -> Participant:
    stays = tuple((start, end) for start, end in told["stays"])
    return Participant(
        **{**told, "person": Person(**told["person"]), "stays": stays, "publishes": tuple(told["publishes"])}
    )
