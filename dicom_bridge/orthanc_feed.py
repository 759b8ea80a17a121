"""What happens to instances in Orthanc, made into changes of the index: its feed, and comparing.

Orthanc tells of what comes, never of what goes, and of an instance that is overwritten as if it came; so the feed is
followed, and the instances are counted, and compared where the count is not ours (and once a day).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Protocol

from dicom_bridge.archive import Refused
from dicom_bridge.orthanc import Orthanc
from dicom_bridge.orthanc_links import Link, Links
from dicom_bridge.process_lock import locking
from fhir_server.errors import FhirError, Unavailable

LOCK = "following.lock"
ADOPTED_AT_ONCE = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between looks at the feed, counts and comparisons; for a storing of our own; for what is `missing`.

    An instance that is overwritten is missing for a moment.
    """

    looks: float = 0.5
    own: float = 1.0
    counts: float = 10.0
    missing: float = 20.0
    comparisons: float = 86_400.0


class Adopter(Protocol):
    """Who enters what came, and takes out what went."""

    async def adopt(self, name: str, known: Link | None) -> None:
        """Enter an instance of Orthanc."""
        ...

    async def vanished(self, link: Link) -> None:
        """Take out one that Orthanc has no more."""
        ...


class Feed:
    """Follows one Orthanc; one process at a time does, whoever holds the lock of the folder."""

    def __init__(self, adopter: Adopter, orthanc: Orthanc, links: Links, folder: Path, pace: Pace) -> None:
        self._adopter, self._orthanc, self._links = adopter, orthanc, links
        self._folder = folder
        self._pace = pace
        self._missing: dict[str, float] = {}
        self._counted = self._compared = float("-inf")
        self._is_away = False

    async def follow(self) -> None:
        """Follow until cancelled."""
        with locking(self._folder / LOCK) as take:
            while True:
                if take():
                    await self._look_once()
                await asyncio.sleep(self._pace.looks)

    async def _look_once(self) -> None:
        try:
            await self.look()
        except Unavailable as failure:
            if not self._is_away:
                log.warning("%s", failure)
            self._is_away = True
            self._counted = float("-inf")
        except (FhirError, OSError, Refused):
            log.exception("what came to Orthanc could not be entered; it is tried again")
        else:
            self._is_away = False

    async def look_again(self) -> None:
        """Compare at the next look."""
        self._compared = float("-inf")

    async def look(self) -> None:
        """Enter what came since the last look; take out what went."""
        place = await asyncio.to_thread(self._links.place)
        if await self._orthanc.last_change() < place:
            # It is another Orthanc, or an emptied one: its order begins anew.
            place, self._compared = 0, float("-inf")
        while not (news := await self._orthanc.news(place)).is_all or news.instances:
            await self._heard(news.instances)
            place = news.last
            await asyncio.to_thread(self._links.keep_place, place)
            if news.is_all:
                break
        now = monotonic()
        if now - self._counted >= self._pace.counts:
            self._counted = now
            differs = await self._orthanc.count() != await asyncio.to_thread(self._links.count)
            if differs or self._missing or now - self._compared >= self._pace.comparisons:
                await self.compare(now)

    async def _heard(self, names: Collection[str]) -> None:
        """Enter what is not known, or came again."""
        known = await asyncio.to_thread(self._links.of, names)
        if len(known) < len(names) or any(link.is_told for link in known.values()):
            # What this server stores itself is linked in a moment.
            await asyncio.sleep(self._pace.own)
            known = await asyncio.to_thread(self._links.of, names)
        await asyncio.to_thread(self._links.told, [name for name, link in known.items() if not link.is_told])
        await self._adopt({name: known.get(name) for name in names if name not in known or known[name].is_told})

    async def _adopt(self, links: dict[str, Link | None]) -> None:
        room = asyncio.Semaphore(ADOPTED_AT_ONCE)

        async def adopt(name: str, link: Link | None) -> None:
            async with room:
                await self._adopter.adopt(name, link)

        await asyncio.gather(*(adopt(name, link) for name, link in links.items()))

    async def compare(self, now: float) -> None:
        """Enter what is in Orthanc and not known; take out what is known and was not in Orthanc for a while."""
        known = await asyncio.to_thread(self._links.names)
        there = await self._orthanc.instances()
        self._compared = now
        if unknown := there - known:
            await self._heard(sorted(unknown))
        self._missing = {name: self._missing.get(name, now) for name in known - there}
        gone = [name for name, since in self._missing.items() if now - since >= self._pace.missing]
        for name, link in (await asyncio.to_thread(self._links.of, gone)).items():
            await self._adopter.vanished(link)
            del self._missing[name]
