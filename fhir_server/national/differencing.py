"""Questions that differ by one unit are refused: the difference of their answers would be that unit's count."""

from __future__ import annotations

import orjson

from fhir_server.errors import Conflict, Forbidden, Issue
from fhir_server.national.cube import Question
from fhir_server.rest.node import Notes

SECONDS_KEPT = 30 * 86_400
MOST_KEPT = 500
ATTEMPTS = 5


class Differencing(Forbidden):
    """A question that would tell, together with an earlier one, what is masked."""

    code = "suppressed"


async def allow(notes: Notes, subject: str, question: Question, now: float) -> None:
    """Remember a question of somebody; raise Differencing where an earlier one differs by one month or province."""
    name = f"figures asked by {subject}"
    units, about = sorted(question.units()), [question.indicator.id, *question.by]
    for _ in range(ATTEMPTS):
        text = await notes.note(name)
        known = [each for each in orjson.loads(text or "[]") if each["at"] > now - SECONDS_KEPT]
        before = [set(each["units"]) for each in known if each["about"] == about]
        if any(len(each ^ set(units)) == 1 for each in before):
            text = "An earlier question differs by one month or province: the two together would tell what is masked."
            raise Differencing(Issue("error", "suppressed", text))
        if set(units) in before:
            return
        kept = [*known, {"at": now, "about": about, "units": units}][-MOST_KEPT:]
        if await notes.keep(name, orjson.dumps(kept).decode(), text):
            return
    raise Conflict("Several questions were asked at once: ask again.")
