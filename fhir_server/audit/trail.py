"""The ledger of a node as a trail of accesses: sealed again and again, and read as AuditEvents."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import orjson
from joserfc.jwk import OKPKey

from fhir_server.audit.seal import AT_ONCE, CHECKPOINT_MARK, checkpoint, last_sealed, removal
from fhir_server.resource.instant import Clock
from fhir_server.store.protocol import FIRST_DIGEST, Store

KEY_FILE = "audit.key"
CHECKPOINTS_FILE = "audit-checkpoints.ndjson"
SECONDS_BETWEEN_SEALS = 3600.0
DAY = 86_400.0

log = logging.getLogger(__name__)


class Trail:
    """Seals what was entered since the last checkpoint, and removes what is older than so many days.

    `folder` holds the key, and a copy of every checkpoint.
    """

    def __init__(self, store: Store, folder: Path, clock: Clock, days: int) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._days = days
        self._looked = 0.0
        self._number = 0
        self._digest = FIRST_DIGEST

    async def follow(self, seconds: float = SECONDS_BETWEEN_SEALS) -> None:
        """Seal again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.seal()
                if self._clock() - self._looked >= DAY:
                    self._looked = self._clock()
                    await self.forget()
            except Exception:
                log.exception("the ledger could not be sealed; it is tried again")

    async def seal(self) -> int:
        """Enter a checkpoint for all that is entered; return how many entries it is the first to seal."""
        fresh, count = 0, 0
        while True:
            stretch = await self._store.ledger(self._number, AT_ONCE)
            if not stretch.entries:
                break
            fresh += sum(CHECKPOINT_MARK not in entry.text for entry in stretch.entries)
            count += len(stretch.entries)
            self._number, self._digest = stretch.entries[-1].number, stretch.after
        if not fresh:
            return 0
        entry = checkpoint(self._number, self._digest, int(self._clock() * 1000), signing_key(self._folder))
        await self._store.record([entry])
        await asyncio.to_thread(self._keep, entry)
        return count

    async def forget(self) -> int:
        """Remove the stretches that were sealed so many days ago, and sign that; return how many entries that was."""
        key, now = signing_key(self._folder), self._clock()
        seal = await last_sealed(self._store.ledger, key, int((now - self._days * DAY) * 1000))
        if seal is None:
            return 0
        first = (await self._store.ledger(0, 1)).entries[0].number
        # Signed first: removed and not answered for would look like the work of somebody else.
        await self._store.record([removal(seal, int(now * 1000), key)])
        return await self._store.forget(seal.number) - first + 1

    def _keep(self, entry: bytes) -> None:
        told = {"n": self._number, "h": self._digest.hex(), **orjson.loads(entry)}
        with (self._folder / CHECKPOINTS_FILE).open("ab") as file:
            file.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
            file.flush()
            os.fsync(file.fileno())


def kept_checkpoints(file: Path) -> Mapping[int, str]:
    """The digests by number that a file of checkpoints has; none where there is no file."""
    if not file.exists():
        return {}
    lines = (orjson.loads(line) for line in file.read_bytes().splitlines() if line.strip())
    return {int(each["n"]): str(each["h"]) for each in lines}


def signing_key(folder: Path) -> OKPKey:
    """The key that a node seals with, made when its folder has none; processes that start together agree on one."""
    file = folder / KEY_FILE
    if not file.exists():
        with NamedTemporaryFile(dir=folder, prefix=KEY_FILE) as made:
            made.write(orjson.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)))
            made.flush()
            with suppress(FileExistsError):
                file.hardlink_to(made.name)
    return OKPKey.import_key(orjson.loads(file.read_bytes()))
