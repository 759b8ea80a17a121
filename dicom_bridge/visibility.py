"""Which studies a caller may see, and add to: those whose ImagingStudy the caller may see (SMART Imaging Access)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from dicom_bridge.archive import DicomArchive, Uids
from dicom_bridge.study_note import StudyNote, StudyNotes
from fhir_server.access.caller import Caller
from fhir_server.access.rule import RULES
from fhir_server.errors import Forbidden
from fhir_server.extension import Visit
from fhir_server.repository.labelling import remembered
from fhir_server.resource.instant import Clock

ABOUT = "imaging"
SECONDS_REMEMBERED = 2.0
SECONDS_OPEN = 600.0
"""What a caller does with a study within so many seconds is one opening of it."""
MOST_REMEMBERED = 10_000
MOST_AT_ONCE = 50


def check_role(caller: Caller, act: Literal["create", "remove"]) -> None:
    """Raise Forbidden where no role of a caller creates, or removes, what is about images."""
    rules = (rule for rule in RULES if rule.about == ABOUT and rule.role in caller.roles)
    if caller.kind != "local" and not any(getattr(rule, act) for rule in rules):
        raise Forbidden(f"Your role may not {'store' if act == 'create' else 'delete'} images.")


class Seen(NamedTuple):
    """What a caller sees a study by: its ImagingStudy, whose data it is, and which facilities' it is."""

    imaging: str = ""
    patients: tuple[str, ...] = ()
    facilities: tuple[str, ...] = ()


class Visibility:
    """Asks the repository for ImagingStudy resources as the caller sees them, and remembers the answer for a moment.

    Only the ImagingStudy that the bridge itself tied to a study counts, whatever others say of it. Who is asked
    nothing, on a server that this machine alone can reach, sees all.
    """

    def __init__(self, clock: Clock, notes: StudyNotes, organization: str) -> None:
        self._clock = clock
        self._notes = notes
        self._organization = organization
        self._remembered: dict[tuple[int, str], tuple[Caller, float, Seen | None]] = {}
        self._opened: dict[tuple[int, str, str], tuple[Caller, float]] = {}

    async def seen(self, visit: Visit, studies: Collection[str]) -> Mapping[str, Seen]:
        """Those of some studies that a caller may see."""
        if visit.caller.kind == "local":
            return dict.fromkeys(studies, Seen())
        now = self._clock()
        found: dict[str, Seen | None] = {}
        asked: list[str] = []
        for study in dict.fromkeys(studies):
            # By identity: a caller is the same object for each request with the same token.
            caller, at, known = self._remembered.get((id(visit.caller), study), (None, 0.0, None))
            if caller is visit.caller and now - at <= SECONDS_REMEMBERED:
                found[study] = known
            else:
                asked.append(study)
        for start in range(0, len(asked), MOST_AT_ONCE):
            part = asked[start : start + MOST_AT_ONCE]
            fresh = await self._found(visit, part)
            for study in part:
                found[study] = fresh.get(study)
                self._remember(visit.caller, study, now, fresh.get(study))
        return {study: seen for study, seen in found.items() if seen is not None}

    def _remember(self, caller: Caller, study: str, now: float, seen: Seen | None) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[id(caller), study] = caller, now, seen

    async def _found(self, visit: Visit, studies: Collection[str]) -> dict[str, Seen]:
        notes = {study: await self._notes.of(study) for study in studies}
        shown = {note.imaging: study for study, note in notes.items() if note is not None and note.is_shown}
        if not shown:
            return {}
        repository = visit.node.repository
        asked = [("_id", ",".join(shown)), ("status:not", "entered-in-error")]
        page = await repository.page(repository.query(("ImagingStudy",), asked).plan, len(shown))
        return {
            shown[version.id]: Seen(f"ImagingStudy/{version.id}", label.patients, label.owners)
            for version in page.matches
            for label in (remembered(version.label or "|||"),)
        }

    def opened(self, visit: Visit, study: str, seen: Seen, interaction: Literal["read", "export"]) -> None:
        """Enter that a caller opened a study, or took files of it, once for a while."""
        key, now = (id(visit.caller), study, interaction), self._clock()
        caller, at = self._opened.get(key, (None, 0.0))
        if caller is visit.caller and now - at <= SECONDS_OPEN:
            return
        if len(self._opened) >= MOST_REMEMBERED:
            self._opened.clear()
        self._opened[key] = visit.caller, now
        tell(visit, seen, interaction)

    async def admits(self, visit: Visit, archive: DicomArchive, study: str) -> bool:
        """Whether a caller may add to a study: its facility's people, those who see it; or to one that is nobody's.

        Such a study is the caller's facility's from then on.
        """
        if visit.caller.kind != "local" and not visit.caller.organizations:
            raise Forbidden("You act for no facility, and images belong to one.")
        facility = next(iter(visit.caller.organizations), self._organization)
        if await self.claims(archive, study, facility):
            return True
        return visit.caller.kind == "local" or study in await self.seen(visit, (study,))

    async def check_own(self, visit: Visit, study: str) -> None:
        """Raise Forbidden where a study came from another facility than the caller's."""
        note = await self._notes.of(study)
        if visit.caller.kind != "local" and (note is None or note.facility not in visit.caller.organizations):
            raise Forbidden("Images are deleted by the facility that they came from.")

    async def claims(self, archive: DicomArchive, study: str, facility: str) -> bool:
        """Whether a study is a facility's, which it becomes where it is nobody's yet.

        What came where nobody is asked belongs to the server's own facility. What holds no image is nobody's.
        """
        note = await self._notes.of(study)
        if note is not None and note.facility == facility:
            return True
        is_empty = not await archive.held(Uids(study))

        def taken(note: StudyNote | None) -> StudyNote | None:
            if note is None:
                return StudyNote(facility if is_empty else self._organization)
            return StudyNote(facility) if is_empty and not note.imaging else None

        note = await self._notes.change(study, taken)
        return note is not None and note.facility == facility


def tell(visit: Visit, seen: Seen, interaction: str) -> None:
    """Enter what a caller did with a study."""
    kind: Literal["R", "E", "D"] = {"read": "R", "delete": "D"}.get(interaction, "E")  # type: ignore[assignment]
    visit.audited(
        kind, interaction, [seen.imaging], patients=seen.patients, facilities=seen.facilities, text="images by DICOMweb"
    )
