"""Work that makes or takes files: one folder each, with what was asked, how far it is, and what came of it.

    request.json    what was asked, and by whom
    journal         how far the work is, written after the files
    lock            held by the process that works on it
    done.json       the manifest's lists, or the failure
    *.ndjson.gz     the resources, or files of other forms

Whatever a process of this machine does to a folder, others see; who dies lets go of the lock.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.access.scope import parse_scopes
from fhir_server.errors import NotFound

REQUEST = "request.json"
DONE = "done.json"
JOURNAL = "journal"
LOCK = "lock"
IS_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}").fullmatch
IS_FILE = re.compile(r"[A-Za-z0-9_]+\.(?:deleted\.)?[0-9]+\.[a-z]+").fullmatch
PACKED = ".gz"


class Job:
    """One piece of work; `id` is that of its status URL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = folder.name

    @property
    def exists(self) -> bool:
        """Whether it is there, and was not cancelled."""
        return (self.folder / REQUEST).exists()

    @property
    def begun(self) -> float:
        """When it was asked for, in seconds since 1970."""
        return (self.folder / REQUEST).stat().st_mtime

    def request(self) -> dict[str, Any]:
        """What was asked, as it is kept."""
        found: dict[str, Any] = orjson.loads((self.folder / REQUEST).read_bytes())
        return found

    def done(self) -> dict[str, Any] | None:
        """What came of it; None while it is worked on."""
        try:
            found: dict[str, Any] = orjson.loads((self.folder / DONE).read_bytes())
        except FileNotFoundError:
            return None
        return found

    def finish(self, told: dict[str, Any]) -> None:
        """Say what came of it, durably."""
        put(self.folder / DONE, told)

    def file(self, name: str, ending: str = PACKED) -> Path:
        """The file of a name, which is packed unless its ending says otherwise; raise NotFound."""
        path = self.folder / f"{name}{ending}"
        if IS_FILE(name) is None or not path.exists():
            raise NotFound("There is no such file of this export.")
        return path

    def remove(self) -> None:
        """Take everything away, at once for whoever asks."""
        gone = self.folder.with_name(f".{self.id}")
        with suppress(FileNotFoundError):
            self.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the right to work on it; False where another process has it, or it is gone."""
        try:
            lock = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            yield False
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(lock)


class Jobs:
    """All work of a kind of a node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, job_id: str, asked: Mapping[str, Any]) -> Job:
        """Keep what is asked, so that it is worked on whatever happens; raise OSError where the disk is full."""
        job = Job(self._folder / job_id)
        job.folder.mkdir(mode=0o700, parents=True)
        put(job.folder / REQUEST, asked)
        return job

    def job(self, job_id: str) -> Job:
        """The work with an id; raise NotFound."""
        job = Job(self._folder / job_id)
        if IS_ID(job_id) is None or not job.exists:
            raise NotFound("There is no such export: it was cancelled, has expired, or never was.")
        return job

    def all(self) -> list[Job]:
        """All of it, the oldest first."""
        found = [Job(each) for each in self._folder.iterdir() if IS_ID(each.name)] if self._folder.exists() else []
        return sorted((job for job in found if job.exists), key=lambda job: (job.begun, job.id))


def put(path: Path, body: Any) -> None:
    """Write a JSON file whole or not at all."""
    made = path.with_name(f".{path.name}")
    with made.open("wb") as file:
        file.write(orjson.dumps(body))
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)


def caller_as_json(caller: Caller) -> dict[str, Any]:
    """Return a caller as it is kept in a file, without the token."""
    kept = asdict(replace(caller, scopes=parse_scopes(""), token=""))
    return kept | {"scopes": caller.scopes.text, "roles": sorted(caller.roles)}


def caller_from(body: Mapping[str, Any]) -> Caller:
    """Return a caller that was kept."""
    if body["kind"] == "local":
        return LOCAL
    lists = {"roles": frozenset(body["roles"]), "organizations": tuple(body["organizations"])}
    return Caller(**{**body, "scopes": parse_scopes(body["scopes"]), **lists})
