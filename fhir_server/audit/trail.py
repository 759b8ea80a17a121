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

from fhir_server.audit.account import CHECKPOINT
from fhir_server.audit.seal import AT_ONCE, checkpoint
from fhir_server.resource.instant import Clock
from fhir_server.store.protocol import FIRST_DIGEST, Store

KEY_FILE = "audit.key"
CHECKPOINTS_FILE = "audit-checkpoints.ndjson"
SECONDS_BETWEEN_SEALS = 3600.0

log = logging.getLogger(__name__)


class Trail:
    """Seals what was entered since the last checkpoint. `folder` holds the key, and a copy of every checkpoint."""

    def __init__(self, store: Store, folder: Path, clock: Clock) -> None:
        self._store = store
        self._folder = folder
        self._clock = clock
        self._number = 0
        self._digest = FIRST_DIGEST

    async def follow(self, seconds: float = SECONDS_BETWEEN_SEALS) -> None:
        """Seal again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.seal()
            except Exception:
                log.exception("the ledger could not be sealed; it is tried again")

    async def seal(self) -> int:
        """Enter a checkpoint for all that is entered; return how many entries it is the first to seal."""
        before, fresh = self._number, 0
        while True:
            stretch = await self._store.ledger(self._number, AT_ONCE)
            if not stretch.entries:
                break
            fresh += sum(b'"k":"%b"' % CHECKPOINT.encode() not in entry.text for entry in stretch.entries)
            self._number, self._digest = stretch.entries[-1].number, stretch.after
        if not fresh:
            return 0
        entry = checkpoint(self._number, self._digest, int(self._clock() * 1000), signing_key(self._folder))
        await self._store.record([entry])
        await asyncio.to_thread(self._keep, entry)
        return self._number - before

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
