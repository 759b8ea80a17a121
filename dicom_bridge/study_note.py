"""What the bridge itself knows of a study: whose it is, whose patient it was found to be, which resource shows it.

It is kept as a note of the store, beside resources: nobody who writes FHIR can change whose images are shown to whom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import orjson

from fhir_server.errors import Conflict
from fhir_server.rest.node import Notes

Problem = Literal["", "unmatched", "wrong-person", "two-patients"]
"""Why a study is shown to nobody: nobody was found, its order is another person's, it is of two; empty: it is shown."""

ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class StudyNote:
    """What is known of a study.

    `facility` is the id of the Organization that it came from, empty where there is none. `patient` is the id of whose
    it was found to be, by a step of the ladder or by a person (`by_person`: the subject of a token). `imaging` and
    `task` are the ids of the ImagingStudy that shows it and of the Task about it, empty until there is one.
    """

    facility: str = ""
    patient: str = ""
    by_person: str = ""
    imaging: str = ""
    task: str = ""
    problem: Problem = ""

    @property
    def is_shown(self) -> bool:
        """Whether those who see the ImagingStudy see the images."""
        return bool(self.imaging) and not self.problem


def name_of(study: str) -> str:
    """Return the name of a study's note."""
    return f"study of images {study}"


class StudyNotes:
    """The notes of all studies. `notes` is there while the server runs."""

    notes: Notes

    async def of(self, study: str) -> StudyNote | None:
        """The note of a study; None where none was made."""
        kept = await self.notes.note(name_of(study))
        return None if kept is None else StudyNote(**orjson.loads(kept))

    async def change(self, study: str, change: Callable[[StudyNote | None], StudyNote | None]) -> StudyNote | None:
        """Make of a note what `change` makes of it (None: nothing), whoever else changes it; return what stands."""
        for _ in range(ATTEMPTS):
            kept = await self.notes.note(name_of(study))
            former = None if kept is None else StudyNote(**orjson.loads(kept))
            made = change(former)
            if made is None or made == former:
                return former
            if await self.notes.keep(name_of(study), orjson.dumps(asdict(made)).decode(), kept):
                return made
        raise Conflict("Others change the same study again and again. Try again.")
