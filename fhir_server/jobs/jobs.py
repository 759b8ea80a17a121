"""The jobs of a node: found as open Tasks, worked off one after another by one process (FHIR R4, 12.1 Task)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.errors import Conflict, FhirError, PreconditionFailed
from fhir_server.jobs.lease import Lease
from fhir_server.jobs.task import OPEN, REINDEX, SYSTEM, advanced, is_job, kinds_of, outputs, reindexing
from fhir_server.repository.coverage import Coverage
from fhir_server.repository.repository import Repository
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.resource.instant import Clock, instant
from fhir_server.search.plan import EVERYTHING, Plan
from fhir_server.store.protocol import Version

AT_ONCE = 50
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_REPORTS = 5.0
SECONDS_WITHOUT_WORK = 0.25
SECONDS_TO_SETTLE = 2.5
"""So long after a definition is known here, every process writes by it: they look for news every second."""

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Told how many resources have been indexed, of how many."""


def tell_nobody(_indexed: int, _total: int) -> None:
    """Go on in silence."""


class Lost(Exception):
    """The work is not this process's any more: the Task was cancelled or deleted, or the lease went to another."""


class Cancelled(Lost):
    """The Task was cancelled by a client."""


@dataclass(slots=True)
class Course:
    """Where a job is: the types, the mark of their definitions, the place in the order of commits, the count."""

    kinds: frozenset[str]
    mark: str
    total: int
    place: int = 0
    indexed: int = 0

    def begin_again(self, other: Course) -> None:
        """Be where another course begins."""
        self.mark, self.total, self.place, self.indexed = other.mark, other.total, other.place, other.indexed

    def results(self) -> dict[str, int | str]:
        """What the Task says of it."""
        return {
            "indexed": min(self.indexed, self.total), "total": self.total,
            "place": str(self.place), "definitions": self.mark,
        }  # fmt: skip


class Jobs:
    """Finds and does the jobs of a node."""

    def __init__(self, repository: Repository, coverage: Coverage, lease: Lease, clock: Clock) -> None:
        self._repository = repository
        self._coverage = coverage
        self._lease = lease
        self._clock = clock

    async def follow(self, seconds: float = SECONDS_BETWEEN_LOOKS) -> None:
        """Do what is to be done again and again, until it is cancelled."""
        while True:
            try:
                await self.work()
            except Exception:
                log.exception("a job failed; it is tried again")
            await asyncio.sleep(seconds)

    async def work(self) -> None:
        """Begin jobs for what the index lacks, and go on with those that are open, if no other process does."""
        tasks = await self._open()
        lacking = self._coverage.pending.difference(*map(kinds_of, tasks))
        if lacking:
            await self.request(lacking, f"reindex-{self._coverage.round_mark(lacking)}")
            tasks = await self._open()
        for task in tasks:
            if not await self.do(task["id"]):
                return

    async def request(self, kinds: Collection[str], task_id: str) -> None:
        """Make the Task of a job; one that is there stays as it is, so that a cancelled one is not begun anew."""
        body = reindexing(task_id, kinds, self._now())
        try:
            await self._repository.write([Write("PUT", "Task", task_id, sent=_sent(body), unless_exists=True)])
        except PreconditionFailed:
            return

    async def do(self, task_id: str, tell: Progress = tell_nobody) -> bool:
        """Work on a Task until it is done or no longer this process's to do; False if another process works."""
        if not await self._lease.take(task_id):
            return False
        try:
            await Reindexing(self._repository, self._coverage, self._lease, self._now, task_id, tell).run()
        except Lost as lost:
            log.info("Task/%s is left: %s", task_id, lost)
        finally:
            await self._lease.give_up()
        await self._coverage.refresh()
        return True

    async def _open(self) -> list[dict[str, Any]]:
        pairs = [("code", f"{SYSTEM}|{REINDEX}"), ("status", ",".join(OPEN)), ("_sort", "_lastUpdated")]
        page = await self._repository.page(self._repository.query(("Task",), pairs).plan, AT_ONCE)
        return [orjson.loads(version.body or b"{}") for version in page.matches]

    def _now(self) -> str:
        return instant(int(self._clock() * 1000))


class Reindexing:
    """One job at work: resources get the rows that they should have, in the order of commits."""

    def __init__(
        self,
        repository: Repository,
        coverage: Coverage,
        lease: Lease,
        now: Callable[[], str],
        task_id: str,
        tell: Progress,
    ) -> None:
        self._repository = repository
        self._coverage = coverage
        self._lease = lease
        self._now = now
        self._id = task_id
        self._tell = tell
        self._task: dict[str, Any] = {}
        self._version = 0
        self._reported = 0.0
        self._begun_at = 0.0

    async def run(self) -> None:
        """Do all that is left; raise Lost where it is not this process's any more."""
        await self._look()
        kinds = kinds_of(self._task)
        if not kinds or not kinds <= self._coverage.types:
            await self._save("failed", {}, "Its inputs of the code type must name resource types.")
            return
        course = await self._course(kinds)
        try:
            await self._finish(course)
        except Cancelled:
            await self._tell_where_it_ended(course)
            raise

    async def _finish(self, course: Course) -> None:
        kinds = course.kinds
        while True:
            await self._save("in-progress", course.results())
            while not await self._is_through(course):
                await self._step(course)
            if await self._coverage.complete(kinds, course.mark):
                break
            course.begin_again(await self._begun(kinds))
        await self._save("completed", course.results())
        self._tell(course.total, course.total)

    async def _tell_where_it_ended(self, course: Course) -> None:
        """Say so in the Task, which no process works on any more; what its client wrote there stays."""
        results = course.results()
        body = advanced(
            self._task, "cancelled", self._now(), results, f"Cancelled: {results['indexed']} of {course.total} indexed."
        )
        body |= {"statusReason": self._task["statusReason"]} if "statusReason" in self._task else {}
        with suppress(Conflict):
            await self._repository.write([Write("PUT", "Task", self._id, sent=_sent(body), match=(self._version,))])

    async def _course(self, kinds: frozenset[str]) -> Course:
        """Where an interrupted job was, if definitions are still the same."""
        course = await self._begun(kinds)
        known = outputs(self._task)
        if known.get("definitions") == course.mark and str(known.get("place", "")).isdecimal():
            course.place, course.indexed = int(known["place"]), int(known.get("indexed", 0))
        return course

    async def _begun(self, kinds: frozenset[str]) -> Course:
        self._begun_at = time.monotonic()
        total = sum([await self._repository.count(Plan({kind: EVERYTHING})) for kind in sorted(kinds)])
        return Course(kinds, self._coverage.mark(kinds), total)

    async def _is_through(self, course: Course) -> bool:
        """Index the next resources; true when there are none and none can come that others indexed by older rules."""
        if self._coverage.mark(course.kinds) != course.mark:
            return True
        settled = time.monotonic() >= self._begun_at + SECONDS_TO_SETTLE
        stretch = await self._repository.reindex(course.kinds, course.place, AT_ONCE)
        course.place = stretch.place
        course.indexed += stretch.indexed
        self._tell(min(course.indexed, course.total), course.total)
        if stretch.read == 0 and not settled:
            await asyncio.sleep(SECONDS_WITHOUT_WORK)
        return stretch.read == 0 and settled

    async def _step(self, course: Course) -> None:
        """Between two parts of the work: is it still ours, and who should hear of it."""
        if not await self._lease.renew(self._id, min(course.indexed, course.total), course.total):
            raise Lost("another process works on it")
        version = await self._current()
        if version.version != self._version:
            await self._look()
        if time.monotonic() - self._reported > SECONDS_BETWEEN_REPORTS:
            await self._save("in-progress", course.results())

    async def _look(self) -> None:
        version = await self._current()
        self._task, self._version = orjson.loads(version.body or b"{}"), version.version
        if self._task.get("status") not in OPEN or not is_job(self._task, REINDEX):
            raise (Cancelled if self._task.get("status") == "cancelled" else Lost)(
                f"its status is {self._task.get('status')}"
            )

    async def _current(self) -> Version:
        try:
            return await self._repository.read("Task", self._id)
        except FhirError as gone:
            raise Lost("it was deleted") from gone

    async def _save(self, status: str, results: Mapping[str, int | str], reason: str | None = None) -> None:
        """Write the Task; where a client has just changed it, that counts."""
        while True:
            body = advanced(self._task, status, self._now(), results, reason)
            write = Write("PUT", "Task", self._id, sent=_sent(body), match=(self._version,))
            try:
                (saved,) = await self._repository.write([write])
            except Conflict:
                await self._look()
                continue
            if saved.version is not None:
                self._task, self._version = body, saved.version.version
            self._reported = time.monotonic()
            return


def _sent(body: dict[str, Any]) -> Sent:
    return Sent(body, orjson.dumps(body))
