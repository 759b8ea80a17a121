"""Follows the archive's feed of changes, and keeps an ImagingStudy right for each study, or a Task for a person."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from uuid import NAMESPACE_URL, uuid4, uuid5
from zoneinfo import ZoneInfo

import orjson

from dicom_bridge.archive import Change, DicomArchive, Uids
from dicom_bridge.dicom_value import DCM
from dicom_bridge.imaging_study import Setting, imaging_study
from dicom_bridge.lookup import Body, Kept, Lookup, any_of, parsed
from dicom_bridge.matching import Header, Match, NoMatch, has_two_people, header_of, identifiers_of, match
from dicom_bridge.process_lock import locking
from dicom_bridge.study_note import StudyNote, StudyNotes
from dicom_bridge.work_item import RESOLVE, SYSTEM, Waiting, ended, is_waiting, study_of, task_of
from fhir_server.access.caller import LOCAL
from fhir_server.resource.instant import now
from fhir_server.rest.node import Node

NUMBERS_AT_ONCE = 100
ALARMS = ("wrong-person", "two-patients")
CONNECTION = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
REQUIRES_TOKEN = "http://fhir.org/argonaut/smart-imaging/StructureDefinition/requires-access-token"  # noqa: S105
NAME = "imaging-studies"
FOLLOWING, TURN = "synchronizer.lock", "study.lock"
SECONDS_TO_TURN = 0.02
READ_AT_ONCE = 1_000
TWO_PEOPLE = NoMatch("two-patients", "The images of one study are of more than one person.")
UNDONE = ("revoked", "entered-in-error")
"""Statuses of an order whose study will not come."""
KEPT = ("extension", "modifierExtension", "note", "procedureReference", "reasonReference", "interpreter")
"""What others wrote of a study that was announced, and images do not say."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between looks at the feed, of quiet after the last change of a study, until an unending one is shown.

    `retry` are those after a failure, doubled each time up to `longest`.
    """

    looks: float = 0.3
    quiet: float = 1.5
    unending: float = 10.0
    retry: float = 1.0
    longest: float = 300.0


@dataclass(slots=True)
class Pending:
    """A study that changed: the number of the first change that is not seen to, and when it is due."""

    first: int
    began: float
    due: float
    failures: int = 0


@dataclass(frozen=True, slots=True)
class About:
    """A study, what is known of it, what its facility has, and the instant at which it is looked at."""

    study: str
    note: StudyNote
    lookup: Lookup
    moment: str

    async def organization(self) -> str:
        """The id of the facility's Organization; empty where there is none."""
        facility = self.note.facility
        return facility if facility and await self.lookup.has("Organization", facility) else ""

    async def end_task(self, status: str, **outputs: str) -> None:
        """End the Task about the study, where one waits."""
        task = await self.lookup.read("Task", self.note.task) if self.note.task else None
        if task is not None and is_waiting(task):
            await self.lookup.write(ended(task, status, self.moment, **outputs))


class Synchronizer:
    """Keeps resources right. One process at a time follows the feed, whoever holds the lock of the folder.

    `archive` is there while the server runs; `base` is the FHIR base URL, `facility` the server's own or empty.
    """

    archive: DicomArchive

    def __init__(self, notes: StudyNotes, folder: Path, base: str, facility: str, zone: ZoneInfo, pace: Pace) -> None:
        self._notes = notes
        self._folder = folder
        self._address = f"{base.rpartition('/')[0]}/dicom-web"
        self._facility = facility
        self._zone = zone
        self._pace = pace
        self._pending: dict[str, Pending] = {}

    # ---- the feed

    async def work(self, node: Node) -> None:
        """Follow the feed where no other process does, without an end."""
        await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        with locking(self._folder / FOLLOWING) as take:
            while not take():  # noqa: ASYNC110 -- another process decides when
                await asyncio.sleep(self._pace.looks * 3)
            await self._follow(node)

    async def _follow(self, node: Node) -> None:
        self._pending.clear()
        await self.keep_endpoint(node)
        kept = read = await self.archive.position(NAME)
        while True:
            changes = await self.archive.changes(read, READ_AT_ONCE)
            self._enter(changes)
            read = changes[-1].number if changes else read
            await self._see_to_what_is_due(node)
            done = min((each.first - 1 for each in self._pending.values()), default=read)
            if done > kept:
                # All before it are seen to: after a kill the others are seen again, and come to the same.
                await self.archive.keep_position(NAME, done)
                kept = done
            if len(changes) < READ_AT_ONCE:
                await asyncio.sleep(self._pace.looks)

    def _enter(self, changes: Sequence[Change]) -> None:
        at = monotonic()
        for change in changes:
            pending = self._pending.setdefault(change.uids.study, Pending(change.number, at, at))
            pending.due = min(at + self._pace.quiet, pending.began + self._pace.unending)

    async def _see_to_what_is_due(self, node: Node) -> None:
        at = monotonic()
        for study in [study for study, each in self._pending.items() if each.due <= at]:
            pending = self._pending[study]
            try:
                await self.synchronize(node, study)
            except Exception:
                pending.failures += 1
                pending.began = monotonic()
                pending.due = pending.began + min(self._pace.longest, self._pace.retry * 2**pending.failures)
                log.exception("a study of images could not be brought into FHIR; it is tried again")
            else:
                del self._pending[study]

    async def keep_endpoint(self, node: Node) -> None:
        """Say where images are retrieved (IHE RAD IMR; SMART Imaging Access)."""
        body: Body = {
            "resourceType": "Endpoint",
            "id": self.endpoint_id,
            "extension": [{"url": REQUIRES_TOKEN, "valueBoolean": True}],
            "status": "active",
            "connectionType": {"system": CONNECTION, "code": "dicom-wado-rs"},
            "payloadType": [{"coding": [{"system": DCM, "code": "113014", "display": "Study"}]}],
            "payloadMimeType": ["application/dicom"],
            "address": self._address,
        }
        lookup = self._lookup(node, self._facility)
        if self._facility and await lookup.has("Organization", self._facility):
            body["managingOrganization"] = {"reference": f"Organization/{self._facility}"}
        await lookup.write(body)

    @property
    def endpoint_id(self) -> str:
        """The id of the Endpoint."""
        return str(uuid5(NAMESPACE_URL, self._address))

    def server(self, node: Node) -> Node:
        """The node as it is for the server itself."""
        return node.bound(LOCAL)

    # ---- one study

    async def synchronize(self, node: Node, study: str) -> None:
        """Bring FHIR to where the archive is with a study; done again, it changes nothing."""
        async with self._turn():
            note = await self._notes.change(study, lambda note: note or StudyNote(self._facility))
            assert note is not None
            lookup = self._lookup(node, note.facility)
            data_sets = await self._data_sets(study)
            if not data_sets:
                await self._end(About(study, note, lookup, now(node.clock)))
                return
            headers = [header_of(each) for each in data_sets]
            found = await self._whose(lookup, study, note, headers)
            about = About(study, note, lookup, now(node.clock))
            if isinstance(found, Match):
                await self._show(about, found, data_sets)
            else:
                await self._hold(about, headers[0], found)

    async def _whose(self, lookup: Lookup, study: str, note: StudyNote, headers: Sequence[Header]) -> Match | NoMatch:
        if has_two_people(headers) and not note.by_person:
            return TWO_PEOPLE
        candidates = await lookup.candidates(headers[0], study)
        if note.patient and await lookup.read("Patient", note.patient) is not None:
            # What was decided stays so, whatever becomes of the record's name.
            theirs = [each for each in candidates.ordered if each.patient["id"] == note.patient]
            return Match.by_orders(note.patient, theirs)
        return match(headers[0], candidates)

    async def _show(self, about: About, found: Match, data_sets: Sequence[Body]) -> None:
        """Write the ImagingStudy, then let access heed it."""
        lookup, note, patient = about.lookup, about.note, f"Patient/{found.patient}"
        if note.imaging:
            identity, former = note.imaging, await lookup.read("ImagingStudy", note.imaging) or {}
        else:
            identity, former = await lookup.place_for(about.study, found.patient)
        is_theirs = former.get("subject", {}).get("reference") == patient
        announced = [str(each.get("reference")) for each in former.get("basedOn", ())] if is_theirs else []
        setting = Setting(
            patient,
            self._zone,
            f"Endpoint/{self.endpoint_id}",
            await about.organization(),
            found.encounter,
            tuple(dict.fromkeys((*announced, *found.orders))),
        )
        body = await asyncio.to_thread(imaging_study, about.study, data_sets, setting)
        body |= {"id": identity} | {name: former[name] for name in KEPT if name in former and name not in body}
        await lookup.write(body)
        shown = replace(note, imaging=identity, problem="", patient=found.patient)
        await self._notes.change(about.study, lambda _: shown)
        await about.end_task("completed", patient=patient, study=f"ImagingStudy/{identity}")

    async def _hold(self, about: About, header: Header, found: NoMatch) -> None:
        """Show a study to nobody until a person has decided; first of all by the note, which access heeds."""
        lookup, note = about.lookup, about.note
        held = replace(note, problem=found.problem, patient="", by_person="", task=note.task or str(uuid4()))
        await self._notes.change(about.study, lambda _: held)
        if note.imaging and (shown := await lookup.read("ImagingStudy", note.imaging)):
            await lookup.write({**shown, "status": "unknown"})
        former = await lookup.read("Task", held.task) or {}
        since = str(former["authoredOn"]) if former and is_waiting(former) else about.moment
        await lookup.write(task_of(Waiting(held.task, about.study, await about.organization(), header, found, since)))
        if found.problem in ALARMS and note.problem != found.problem:
            log.error("images are held back (%s): see Task/%s", found.problem, held.task)

    async def _end(self, about: About) -> None:
        """Say of a study whose last image was deleted that it is no more."""
        lookup, note = about.lookup, about.note
        if note.imaging and (shown := await lookup.read("ImagingStudy", note.imaging)):
            await lookup.write({**shown, "status": "entered-in-error"})
        await about.end_task("cancelled")
        # If it comes again it may be somebody else's.
        await self._notes.change(about.study, lambda _: replace(note, problem="", patient="", by_person=""))

    async def _data_sets(self, study: str) -> list[Body]:
        texts = await self.archive.metadata(Uids(study))
        return await asyncio.to_thread(lambda: [orjson.loads(each) for each in texts])

    def _lookup(self, node: Node, facility: str | None) -> Lookup:
        caller = replace(LOCAL, organizations=(facility,)) if facility else LOCAL
        return Lookup(node.bound(caller).repository, facility)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The turn to change what FHIR says of studies: of one process, and one task in it."""
        with locking(self._folder / TURN) as take:
            while not take():  # noqa: ASYNC110 -- the same
                await asyncio.sleep(SECONDS_TO_TURN)
            yield

    # ---- what others write

    async def hear(self, node: Node, versions: Sequence[Kept]) -> None:
        """Look again at studies that wait, where an order or a patient has their numbers now; end announced ones."""
        numbers: dict[str, None] = {}
        for version in versions:
            if version.type in ("ServiceRequest", "Patient") and version.body is not None:
                body = parsed(version)
                listed = [*identifiers_of(body), body.get("requisition")]
                numbers |= {str(each["value"]): None for each in listed if isinstance(each, dict) and "value" in each}
                if version.type == "ServiceRequest" and body.get("status") in UNDONE:
                    await self._cancel(node, version.id)
        for study in await self._waiting_for(node, list(numbers)):
            try:
                await self.synchronize(node, study)
            except Exception:
                # It waits for a person still; what comes after it is heard.
                log.exception("a study of images that waits could not be looked at again")

    async def _waiting_for(self, node: Node, numbers: Sequence[str]) -> list[str]:
        """The studies that wait for somebody and have one of these numbers."""
        found: dict[str, None] = {}
        lookup = self._lookup(node, None)
        for start in range(0, len(numbers), NUMBERS_AT_ONCE):
            listed = any_of(numbers[start : start + NUMBERS_AT_ONCE])
            code = f"{SYSTEM}|{RESOLVE}"
            tasks = await lookup.find("Task", identifier=listed, code=code, status="requested")
            found |= {study: None for task in tasks if (study := study_of(task))}
        return list(found)

    async def _cancel(self, node: Node, order: str) -> None:
        lookup = self._lookup(node, None)
        for each in await lookup.find("ImagingStudy", basedon=f"ServiceRequest/{order}", status="registered"):
            await lookup.write({**each, "status": "cancelled"})
