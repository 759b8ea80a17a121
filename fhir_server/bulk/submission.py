"""What was submitted, kept in a folder each: who sends, which manifests, what became of them (Bulk Data 4.0 ballot).

    {id}/request.json          the submission: its status and its manifests, in the order in which they came
    {id}/manifest-{n}/         the work on one of them: done.json, outcome.ndjson, what it changed
    open/{id}                  there while something is to be done
    place                      the number of the last manifest of all

A manifest replaces another when it is stored itself; a submission that is stopped withdraws all of its own.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from fhir_server.access.caller import Caller
from fhir_server.errors import Conflict, Invalid, Issue, NotFound, Throttled
from fhir_server.jobs.folder import DONE, REQUEST, Job, Jobs, caller_as_json, caller_from, put

IN_PROGRESS, COMPLETED, STOPPED = "in-progress", "completed", "stopped"
OPEN, PLACE, LOCK = "open", "place", "lock"
UNDONE = "undone.json"
STORED = 200
MOST_OPEN = 50
MOST_MANIFESTS = 1000
STEP = 2
"""Between the places of two manifests there is one more, for what takes back the first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of $bulk-submit; empty texts for what it does not name."""

    system: str
    submitter: str
    submission: str
    status: str
    url: str = ""
    replaces: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def id_of(self, caller: Caller) -> str:
        """The id of the submission's folder: another caller's is another one."""
        name = orjson.dumps([caller.kind, caller.subject, self.system, self.submitter, self.submission])
        return str(uuid5(NAMESPACE_URL, name.decode()))


@dataclass(frozen=True, slots=True)
class Delivery:
    """A manifest of a submission: the how manyeth, where it is, its place in the order of all."""

    number: int
    url: str
    place: int
    replaces: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Submission:
    """One submission."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.id = job.id
        state = job.request()
        self.status: str = state["status"]
        self.name: str = state["submission"]
        self.node: str = state["node"]
        self.caller = caller_from(state["caller"])
        self.deliveries = [
            Delivery(**{**each, "headers": tuple(tuple(pair) for pair in each["headers"])})
            for each in state["deliveries"]
        ]

    def folder(self, delivery: Delivery) -> Path:
        """Where the work on a manifest is."""
        return self.job.folder / f"manifest-{delivery.number}"

    def done(self, delivery: Delivery) -> dict[str, Any] | None:
        """What became of a manifest; None while nothing did."""
        return _read(self.folder(delivery) / DONE)

    def is_stored(self, delivery: Delivery) -> bool:
        """Whether a manifest was stored, whatever came after it."""
        done = self.done(delivery)
        return done is not None and done["status"] == STORED

    def is_withdrawn(self, delivery: Delivery) -> bool:
        """Whether a manifest counts no more: its submission was stopped, or another has replaced it."""
        later = (each for each in self.deliveries if each.replaces == delivery.number)
        return self.status == STOPPED or any(self.is_stored(each) for each in later)

    def is_undone(self, delivery: Delivery) -> bool:
        """Whether what a withdrawn manifest brought was taken back."""
        return (self.folder(delivery) / UNDONE).exists()

    @property
    def waiting(self) -> list[Delivery]:
        """The manifests that are to be stored."""
        return [each for each in self.deliveries if self.done(each) is None]

    @property
    def to_undo(self) -> list[Delivery]:
        """The manifests that are to be taken back, the last first."""
        found = [each for each in self.deliveries if self.is_stored(each) and self.is_withdrawn(each)]
        return [each for each in reversed(found) if not self.is_undone(each)]

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is to be done."""
        return not self.waiting and not self.to_undo


class Submissions:
    """All submissions that a node has received. Everything here blocks for a moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs = Jobs(folder)

    def accept(self, asked: Asked, caller: Caller, node: str, now: int) -> Submission:
        """Keep what a call asks for; raise Conflict, Invalid, Throttled, or OSError where the disk is full."""
        with self._locked():
            job = Job(self._folder / asked.id_of(caller))
            if not job.exists:
                job.folder.mkdir(mode=0o700, exist_ok=True)
                state = {
                    "system": asked.system, "submitter": asked.submitter, "submission": asked.submission,
                    "status": IN_PROGRESS, "node": node, "caller": caller_as_json(caller), "deliveries": [],
                }  # fmt: skip
            else:
                state = job.request()
            self._change(state, asked, job, caller, now)
            put(job.folder / REQUEST, state)
            (self._folder / OPEN).mkdir(exist_ok=True)
            (self._folder / OPEN / job.id).touch()
            return Submission(job)

    def _change(self, state: dict[str, Any], asked: Asked, job: Job, caller: Caller, now: int) -> None:
        if state["status"] == STOPPED and asked.status != STOPPED:
            raise Conflict(f"The submission {asked.submission[:80]} was stopped: begin another one.")
        if asked.url:
            self._deliver(state, asked, job, now)
        if state["status"] != COMPLETED or asked.status == STOPPED:
            state["status"] = asked.status
        state["caller"] = caller_as_json(caller)

    def _deliver(self, state: dict[str, Any], asked: Asked, job: Job, now: int) -> None:
        """Add a manifest, unless it is there: then it is tried again where it was refused."""
        known: dict[str, dict[str, Any]] = {each["url"]: each for each in state["deliveries"]}
        again = known.get(asked.url)
        replaced = self._replaced(asked, known)
        if again is not None:
            folder = job.folder / f"manifest-{again['number']}"
            done = _read(folder / DONE)
            if done is None or done["status"] != STORED:
                (folder / DONE).unlink(missing_ok=True)
                again["headers"] = asked.headers
                return
            if asked.url != asked.replaces:
                return
        if state["status"] == COMPLETED:
            raise Conflict(f"The submission {asked.submission[:80]} was said to be complete: begin another one.")
        if len(state["deliveries"]) >= MOST_MANIFESTS:
            raise Throttled(f"A submission has {MOST_MANIFESTS} manifests at most: begin another one.")
        if self._open_manifests(state, job) >= MOST_OPEN:
            raise Throttled(f"{MOST_OPEN} manifests of this submission wait: wait for some.")
        delivery = Delivery(len(state["deliveries"]), asked.url, self._next_place(now), replaced, asked.headers)
        state["deliveries"].append(asdict(delivery))

    def _replaced(self, asked: Asked, known: Mapping[str, Mapping[str, Any]]) -> int | None:
        if not asked.replaces:
            return None
        if asked.replaces not in known:
            text = f"replacesManifestUrl: {asked.replaces[:200]} is no manifest of this submission."
            raise Invalid(Issue("error", "not-found", text))
        return int(known[asked.replaces]["number"])

    def _open_manifests(self, state: Mapping[str, Any], job: Job) -> int:
        listed: Sequence[Mapping[str, Any]] = state["deliveries"]
        return sum(not (job.folder / f"manifest-{each['number']}" / DONE).exists() for each in listed)

    def _next_place(self, now: int) -> int:
        last = _read(self._folder / PLACE) or {"place": 0}
        place = max(now, int(last["place"]) + STEP)
        put(self._folder / PLACE, {"place": place})
        return place

    def of(self, submission_id: str) -> Submission:
        """The submission with an id; raise NotFound."""
        try:
            return Submission(self._jobs.job(submission_id))
        except NotFound:
            raise NotFound("There is no such submission.") from None

    def open(self) -> list[Submission]:
        """The submissions with something to be done, the first one first."""
        folder = self._folder / OPEN
        names = sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime) if folder.exists() else []
        return [Submission(Job(self._folder / each.name)) for each in names]

    def rest(self, submission_id: str) -> None:
        """Look at a submission no more, unless something has come meanwhile."""
        with self._locked():
            if self.of(submission_id).is_at_rest:
                (self._folder / OPEN / submission_id).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return found
