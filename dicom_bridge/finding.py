"""Searches answered with what a caller may see: pages are full, and tell nothing of what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from dicom_bridge.archive import DicomArchive, Found
from dicom_bridge.question import MOST_ANSWERS, Question
from dicom_bridge.visibility import Visibility
from fhir_server.extension import Visit

MOST_LOOKS = 50
TOO_MANY = "Not all of the archive was looked at: say more of what is searched for."


async def find_visible(
    visit: Visit, archive: DicomArchive, visibility: Visibility, asked: Question
) -> tuple[Found, list[str]]:
    """Return what a search finds of what a caller may see, and what is to be said of it.

    The archive is looked through from its beginning, as `offset` counts only what the caller sees; a search that would
    look at more than MOST_LOOKS times MOST_ANSWERS answers ends there, and says so.
    """
    if visit.caller.kind == "local":
        return await archive.find(asked), []
    wanted = asked.offset + asked.limit
    answers: list[bytes] = []
    at, size = 0, min(wanted + 1, MOST_ANSWERS)
    for _ in range(MOST_LOOKS):
        part = await archive.find(replace(asked, offset=at, limit=size))
        answers += await visible(visit, visibility, part.answers)
        if len(answers) > wanted or not part.is_cut:
            return Found(answers[asked.offset : wanted], len(answers) > wanted), []
        at, size = at + size, MOST_ANSWERS
    return Found(answers[asked.offset : wanted], is_cut=False), [TOO_MANY]


async def visible(visit: Visit, visibility: Visibility, answers: Sequence[bytes]) -> list[bytes]:
    """Return those of some answers whose study a caller may see."""
    studies = [orjson.loads(answer)["0020000D"]["Value"][0] for answer in answers]
    seen = await visibility.seen(visit, studies)
    return [answer for answer, study in zip(answers, studies, strict=True) if study in seen]
