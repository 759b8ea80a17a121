"""A process that writes as fast as it can and says what was acknowledged, until it is killed."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import orjson

from fhir_server.store.protocol import Change, Content, Numbered, Request, Unmet
from fhir_server.store.sqlite.store import SqliteStore

TAG, LEVEL, SUBJECT = 8, 16, 24
PARAMETERS = (
    Numbered("Patient.tag", TAG, "token"),
    Numbered("Observation.level", LEVEL, "number"),
    Numbered("Observation.subject", SUBJECT, "reference"),
)
CLIENTS = 16
MOST_WAITING = 150


def resource(kind: str, resource_id: str, *rows: tuple[int, str | int, str | int]) -> Change:
    """A resource whose body says which rows it has."""
    before = f'{{"resourceType":"{kind}","id":"{resource_id}","meta":{{'.encode()
    return Change("PUT", kind, resource_id, Content(before, b'},"rows":' + orjson.dumps(rows) + b"}"), rows)


def request(chance: random.Random, name: str) -> Request:
    """Two resources that stand or fall together, made, changed or ended."""
    number = chance.randrange(4)
    patient, observation = f"{name}p{number}", f"{name}o{number}"
    if chance.random() < 0.15:
        return Request((Change("DELETE", "Patient", patient), Change("DELETE", "Observation", observation)))
    tag, level = f"tag{chance.randrange(5)}", chance.randrange(20)
    return Request(
        (
            resource("Patient", patient, (TAG, tag, "urn:tags"), (TAG, f"{name}{tag}", "")),
            resource("Observation", observation, (LEVEL, level, level), (SUBJECT, patient, "Patient")),
        )
    )


async def client(store: SqliteStore, seed: int, name: str) -> None:
    """Write, and print each acknowledgement as a line."""
    chance = random.Random(seed)
    while True:
        try:
            committed = await store.commit(request(chance, name))
        except Unmet:
            continue
        made = [(o.version.type, o.version.id, o.version.version) for o in committed.outcomes if o.version]
        os.write(1, orjson.dumps([committed.t, made], option=orjson.OPT_APPEND_NEWLINE))


async def main(path: str, seed: int) -> None:
    """Open the store and write until the end."""
    store = SqliteStore(Path(path), most_waiting=MOST_WAITING)
    await store.number(PARAMETERS)
    await asyncio.gather(*(client(store, seed * CLIENTS + n, f"s{seed % 7}c{n}") for n in range(CLIENTS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
