"""Who may see the study that a session looks at: asked with each viewer's own eyes, and remembered for a moment."""

from __future__ import annotations

from fhir_server.errors import Forbidden
from fhir_server.extension import Visit
from fhir_server.resource.instant import Clock

SYSTEM = "urn:dicom:uid"
SECONDS_REMEMBERED = 5.0
MOST_REMEMBERED = 5_000


class Looking:
    """Asks for the ImagingStudy of a study as a viewer sees it. A guest sees none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._remembered: dict[tuple[str, str, str], tuple[float, bool]] = {}

    async def sees(self, visit: Visit, study: str) -> bool:
        """Whether a viewer may see a study."""
        if visit.caller.kind == "guest" or not study:
            return False
        key, now = (visit.caller.subject, visit.caller.token, study), self._clock()
        known = self._remembered.get(key)
        if known is not None and now - known[0] < SECONDS_REMEMBERED:
            return known[1]
        found = await self._found(visit, study)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = now, found
        return found

    async def _found(self, visit: Visit, study: str) -> bool:
        if not visit.caller.scopes.allows("ImagingStudy", "s"):
            return False
        repository = visit.node.repository
        value = f"{SYSTEM}|urn:oid:{study}"
        try:
            plan = repository.query(("ImagingStudy",), [("identifier", value), ("status:not", "entered-in-error")]).plan
            return await repository.count(plan) > 0
        except Forbidden:
            return False
