"""Which studies a caller may see: those whose ImagingStudy the caller may see (SMART Imaging Access)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import orjson

from fhir_server.access.caller import Caller
from fhir_server.access.rule import RULES
from fhir_server.errors import Forbidden
from fhir_server.extension import Visit
from fhir_server.resource.instant import Clock

ABOUT = "imaging"
SYSTEM = "urn:dicom:uid"
SECONDS_REMEMBERED = 2.0
MOST_REMEMBERED = 10_000
MOST_AT_ONCE = 50


def check_role(caller: Caller, act: Literal["create", "remove"]) -> None:
    """Raise Forbidden where no role of a caller creates, or removes, what is about images."""
    rules = (rule for rule in RULES if rule.about == ABOUT and rule.role in caller.roles)
    if caller.kind != "local" and not any(getattr(rule, act) for rule in rules):
        raise Forbidden(f"Your role may not {'store' if act == 'create' else 'delete'} images.")


class Visibility:
    """Asks the repository for ImagingStudy resources as the caller sees them, and remembers the answer for a moment.

    Who is asked nothing, on a server that this machine alone can reach, sees all.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._remembered: dict[tuple[int, str], tuple[Caller, float, bool]] = {}

    async def seen(self, visit: Visit, studies: Collection[str]) -> frozenset[str]:
        """Those of some studies that a caller may see."""
        if visit.caller.kind == "local":
            return frozenset(studies)
        now = self._clock()
        known = {study: self._known(visit.caller, study, now) for study in studies}
        asked = [study for study, is_seen in known.items() if is_seen is None]
        for start in range(0, len(asked), MOST_AT_ONCE):
            part = asked[start : start + MOST_AT_ONCE]
            found = await self._found(visit, part)
            for study in part:
                known[study] = study in found
                self._remember(visit.caller, study, now, is_seen=study in found)
        return frozenset(study for study, is_seen in known.items() if is_seen)

    def _known(self, caller: Caller, study: str, now: float) -> bool | None:
        # By identity: a caller is the same object for each request with the same token.
        remembered = self._remembered.get((id(caller), study))
        if remembered is None or remembered[0] is not caller or now - remembered[1] > SECONDS_REMEMBERED:
            return None
        return remembered[2]

    def _remember(self, caller: Caller, study: str, now: float, *, is_seen: bool) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[id(caller), study] = caller, now, is_seen

    async def _found(self, visit: Visit, studies: Collection[str]) -> set[str]:
        repository = visit.node.repository
        value = ",".join(f"{SYSTEM}|urn:oid:{study}" for study in studies)
        plan = repository.query(("ImagingStudy",), [("identifier", value), ("status:not", "entered-in-error")]).plan
        found: set[str] = set()
        cursor = None
        while True:
            page = await repository.page(plan, MOST_AT_ONCE, cursor)
            for version in page.matches:
                identifiers = orjson.loads(version.body or b"{}").get("identifier", ())
                found |= {each.get("value", "").removeprefix("urn:oid:") for each in identifiers}
            cursor = page.following
            if cursor is None:
                return found & set(studies)
