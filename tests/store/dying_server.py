"""`nhipcau serve` on MongoDB, whose processes kill themselves at a step of the commit log, again and again.

Arguments: the URL of the database, a folder, how many processes. Each death is a line in `deaths` in the folder; where
there is a file `calm`, nobody dies any more.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from fhir_server import app, workers
from fhir_server.app import Origin, application
from fhir_server.cli import listening, run
from fhir_server.definitions.registry import r4
from fhir_server.resource.instant import Clock
from fhir_server.settings import Settings
from fhir_server.store.commit_log import Append, End, Insert, Mark, Step
from fhir_server.store.mongodb.carrier import Carrier
from fhir_server.store.mongodb.connection import Database
from fhir_server.store.mongodb.form import Document
from fhir_server.store.mongodb.store import MongoStore
from fhir_server.store.opening import MongoDatabase, Place

MOST_STEPS = 60


class DyingCarrier(Carrier):
    """Dies before or after a step that writes, or in the middle of inserting, after so many steps."""

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database)
        self._folder = folder
        self._left = random.randint(4, MOST_STEPS)
        self._when = random.choice(("before", "within", "after"))

    async def carry_out(self, step: Step, until: float) -> Any:
        if not isinstance(step, Append | End | Insert | Mark):
            return await super().carry_out(step, until)
        self._left -= 1
        self._die(step, "before")
        reply = await super().carry_out(step, until)
        self._die(step, "after")
        return reply

    async def _insert_versions(self, by: str, kind: str, documents: list[Document]) -> None:
        await super()._insert_versions(by, kind, documents)
        self._die(Insert, "within")

    def _die(self, step: object, when: str) -> None:
        if self._left > 0 or when != self._when or (self._folder / "calm").exists():
            return
        name = step.__name__ if isinstance(step, type) else type(step).__name__
        with (self._folder / "deaths").open("a") as deaths:
            deaths.write(f"{when} {name}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, folder: Path, processes: int) -> None:
    async def opened(_place: Place, clock: Clock) -> MongoStore:
        random.seed(os.urandom(8))
        return await MongoStore.open(
            url, clock, is_single=True, carrier=lambda database: DyingCarrier(database, folder)
        )

    app.opened = opened  # type: ignore[attr-defined,assignment] # the one thing that differs from the program
    workers.LEAST_SECONDS = 0.0
    listener = listening("127.0.0.1", 0)
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    origin = Origin(folder, bases=(f"{base}/fhir",), database=MongoDatabase(url, is_single=True))
    definitions = r4().extended()
    sys.stdout.write(f"{base}/fhir\n")
    sys.stdout.flush()
    run(listener, lambda: application(definitions, Settings(validation="off"), origin), processes)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
