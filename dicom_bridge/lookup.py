"""The repository as the bridge asks it: who may be meant by images, and what a facility has of them already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol
from uuid import uuid4

import orjson

from dicom_bridge.imaging_study import UID_SYSTEM, imaging_study_id
from dicom_bridge.matching import Candidates, Header, Ordered, identifiers_of, is_national
from fhir_server.errors import NotFound
from fhir_server.repository.labelling import remembered
from fhir_server.repository.repository import Repository
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write

MOST = 50
PAST = frozenset({"revoked", "entered-in-error"})
ORDER_TYPES = frozenset({"ACSN", "PLAC", "FILL"})
Body = dict[str, Any]


class Kept(Protocol):
    """A version of a resource."""

    @property
    def type(self) -> str:
        """Its type."""
        ...

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def body(self) -> bytes | None:
        """Its JSON; None for a deletion."""
        ...

    @property
    def label(self) -> str:
        """Whose it is, about whom, for whom."""
        ...


class Lookup:
    """Asks for what one facility has (empty: for what is nobody's; None: for all there is).

    `repository` is the server's own.
    """

    def __init__(self, repository: Repository, facility: str | None) -> None:
        self._repository = repository
        self._facility = facility

    async def candidates(self, header: Header, study: str) -> Candidates:
        """Who may be meant by what images say."""
        numbers = (header.patient_id,) if header.patient_id else ()
        numbered = await self._patients(numbers)
        local = [each for each in numbered if any(not is_national(i) for i in self._named(each, numbers))]
        issued = [each for each in local if self._is_issued(each, header)] if header.issuer else []
        known = await self._patients(header.national)
        national = [each for each in known if any(map(is_national, self._named(each, header.national)))]
        return Candidates(await self._ordered(header, study), issued or local, national)

    def _named(self, patient: Body, numbers: Sequence[str]) -> Iterator[Body]:
        return (each for each in identifiers_of(patient) if each.get("value") in numbers)

    def _is_issued(self, patient: Body, header: Header) -> bool:
        """Whether who issued a number is who the images say."""
        found = self._named(patient, (header.patient_id,))
        return any(header.issuer in (i.get("system"), i.get("assigner", {}).get("display")) for i in found)

    async def _patients(self, numbers: Sequence[str]) -> list[Body]:
        return await self.find("Patient", identifier=any_of(numbers)) if numbers else []

    async def _ordered(self, header: Header, study: str) -> list[Ordered]:
        numbers = header.orders
        found: dict[str, Body] = {}
        if numbers:
            for name in ("identifier", "requisition"):
                for each in await self.find("ServiceRequest", **{name: any_of(numbers)}):
                    if each.get("status") not in PAST and is_order(each, numbers):
                        found[f"ServiceRequest/{each['id']}"] = each
        ordered = list(found.items())
        announced = [("", each) for each in await self.studies(study) if each.get("status") == "registered"]
        return [
            Ordered(patient, order, str(body.get("encounter", {}).get("reference", "")))
            for order, body in (*ordered, *announced)
            if (patient := await self._subject(body)) is not None
        ]

    async def _subject(self, body: Body) -> Body | None:
        kind, _, identity = str(body.get("subject", {}).get("reference", "")).partition("/")
        return await self.read("Patient", identity) if kind == "Patient" and identity else None

    async def studies(self, study: str) -> list[Body]:
        """The ImagingStudy resources of the facility that have a study's UID."""
        return await self.find("ImagingStudy", identifier=f"{UID_SYSTEM}|urn:oid:{study}")

    async def place_for(self, study: str, patient: str) -> tuple[str, Body]:
        """The id that a study's ImagingStudy has or gets, and what stands there: announced by an order, or nothing."""
        for each in await self.studies(study):
            if each.get("subject", {}).get("reference") == f"Patient/{patient}":
                return str(each["id"]), each
        identity = imaging_study_id(f"{study}#{self._facility}" if self._facility else study)
        try:
            await self._repository.read("ImagingStudy", identity)
        except NotFound:
            return identity, {}
        # Somebody else took the id.
        return str(uuid4()), {}

    async def read(self, kind: str, identity: str) -> Body | None:
        """A resource of the facility; None where there is none."""
        try:
            version = await self._repository.read(kind, identity)
        except NotFound:
            return None
        return parsed(version) if self._is_ours(version) else None

    async def has(self, kind: str, identity: str) -> bool:
        """Whether there is a resource, whoever's."""
        try:
            await self._repository.read(kind, identity)
        except NotFound:
            return False
        return True

    async def find(self, kind: str, **asked: str) -> list[Body]:
        """Resources of the facility that a search finds."""
        plan = self._repository.query((kind,), list(asked.items())).plan
        page = await self._repository.page(plan, MOST)
        return [parsed(version) for version in page.matches if self._is_ours(version)]

    async def write(self, *bodies: Body) -> None:
        """Store resources under their ids, all or none."""
        await self._repository.write(
            [Write("PUT", body["resourceType"], body["id"], sent=Sent(body), place=n) for n, body in enumerate(bodies)]
        )

    def _is_ours(self, version: Kept) -> bool:
        owners = remembered(version.label).owners if version.label else ()
        return self._facility is None or not owners or self._facility in owners


def parsed(version: Kept) -> Body:
    """Return the body of a version."""
    return dict(orjson.loads(version.body or b"{}"))


def any_of(values: Sequence[str]) -> str:
    """Return the value of a search parameter for one of several values (FHIR R4, 3.1.1.4.2 escaping)."""
    escaped = (each.replace("\\", "\\\\") for each in values)
    return ",".join(each.replace(",", "\\,").replace("|", "\\|").replace("$", "\\$") for each in escaped)


def is_order(request: Body, numbers: Sequence[str]) -> bool:
    """Whether a ServiceRequest has one of these numbers, as an accession, a placer's or a filler's, or unsaid."""
    requisition = request.get("requisition")
    for each in (*identifiers_of(request), *([requisition] if isinstance(requisition, dict) else [])):
        codes = {coding.get("code") for coding in each.get("type", {}).get("coding", ())}
        if each.get("value") in numbers and (not codes or codes & ORDER_TYPES):
            return True
    return False
