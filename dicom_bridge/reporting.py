"""The operation $sign-report: a radiologist's draft becomes final, signed, and a PDF in the study."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from dicom_bridge.archive import DicomArchive, Refused, Uids
from dicom_bridge.imaging_study import UID_SYSTEM
from dicom_bridge.lookup import Kept, parsed
from dicom_bridge.report import (
    TITLE,
    Reader,
    faults,
    final,
    page,
    presented,
    provenance,
    studies_of,
)
from fhir_server.errors import Forbidden, Gone, NotFound, Unavailable, Unprocessable
from fhir_server.page import DRAWN
from fhir_server.part import Part
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import Write
from fhir_server.resource.exact import parse_exact
from fhir_server.resource.instant import now
from fhir_server.resource.person import licence_of, name_of
from fhir_server.rest.argument import Arguments
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

    from dicom_bridge.encapsulated_pdf import Document

DOCUMENT: Part[type[Document]] = Part("dicom_bridge.encapsulated_pdf:Document")
ENCAPSULATED: Part[Callable[[Document, Any], bytes]] = Part("dicom_bridge.encapsulated_pdf:encapsulated")
KEY_IN: Part[Callable[[Path], ECKey]] = Part("fhir_server.signature:key_in")
SIGNED: Part[Callable[..., str]] = Part("fhir_server.signature:signed")
Body = dict[str, Any]


class Reporting:
    """Answers $sign-report. `archive` is there while the server runs; the key to sign with is in the data folder."""

    archive: DicomArchive

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def operation(self) -> Operation:
        """The row of the table of operations."""
        return Operation(
            "sign-report",
            "urn:nhipcau:OperationDefinition:sign-report",
            ("instance",),
            self.answer,
            types=("DiagnosticReport",),
            scope="u",
            by_post=True,
        )

    async def answer(self, node: Node, exchange: Exchange, _arguments: Arguments) -> Reply:
        """Sign a report; return it. Raise Forbidden for who may not, Unprocessable for what is not complete.

        A report that the caller has signed already only gets its PDF into the study, if that failed.
        """
        kept = await node.repository.read("DiagnosticReport", exchange.id)
        report: Body = parse_exact(kept.body or b"{}")
        reader = await self._reader(node, exchange)
        named = [str(each.get("reference")) for each in report.get("resultsInterpreter", ())]
        if named and reader.reference not in named:
            raise Forbidden("The report is another reader's, who signs it.")
        studies = [await seen(node, identity) for identity in studies_of(report)]
        if report.get("status") != "final" or not report.get("presentedForm"):
            lacking = list(faults(report))
            if lacking:
                raise Unprocessable(*lacking)
            kept = await self._sign(node, kept, report, studies, reader)
        await self._attach(kept, [parsed(each) for each in studies])
        return Reply(200, kept.body or b"", kept)

    async def _reader(self, node: Node, exchange: Exchange) -> Reader:
        caller = exchange.caller
        kind, _, identity = (caller.fhir_user or "").partition("/")
        if kind != "Practitioner":
            raise Forbidden("A report is signed by a person who has a Practitioner.")
        practitioner = parsed(await node.repository.read(kind, identity))
        licence = licence_of(practitioner)
        if not licence:
            text = f"{caller.fhir_user} has no number of a permit to practise, which a signed report must show."
            raise Forbidden(text)
        return Reader(str(caller.fhir_user), name_of(practitioner), licence, next(iter(caller.organizations), ""))

    async def _sign(self, node: Node, kept: Any, report: Body, studies: Sequence[Any], reader: Reader) -> Any:
        """Write the final report with its Provenance, both or neither; return the report's version."""
        moment, bodies = now(node.clock), [parsed(each) for each in studies]
        kind, _, identity = str(report.get("subject", {}).get("reference", "")).partition("/")
        patient = parsed(await node.repository.read(kind, identity))
        if any(each["subject"]["reference"] != f"Patient/{patient['id']}" for each in bodies):
            raise Unprocessable("The studies are of another patient than the report.")
        body = final(report, bodies, reader, moment)
        pdf = await asyncio.to_thread(DRAWN.load(), TITLE, page(report, patient, bodies, reader, moment), "")
        body["presentedForm"] = [presented(pdf, TITLE, moment)]
        jws = SIGNED.load()(body, await asyncio.to_thread(KEY_IN.load(), self._folder))
        seen_versions = [(each.id, each.version) for each in studies]
        who = provenance(body, kept.version + 1, seen_versions, reader, jws)
        writes = [
            Write("PUT", "DiagnosticReport", kept.id, sent=Sent(body), match=(kept.version,), place=0),
            Write("POST", "Provenance", sent=Sent(who), place=1),
        ]
        saved, _ = await node.repository.write(writes)
        return saved.version

    async def _attach(self, kept: Kept, studies: Sequence[Body]) -> None:
        """Put the PDF of a signed report into its first study; the same again changes nothing."""
        report = orjson.loads(kept.body or b"{}")
        (form, *_), issued = report["presentedForm"], report["issued"]
        identifiers = studies[0].get("identifier", ())
        study = next(each["value"].removeprefix("urn:oid:") for each in identifiers if each.get("system") == UID_SYSTEM)
        like = await self.archive.metadata(Uids(study))
        if not like:
            return
        await asyncio.to_thread(DOCUMENT.load)
        document = DOCUMENT.load()(
            pdf_of(form), TITLE, f"DiagnosticReport/{kept.id}/{issued}", issued[:10].replace("-", ""), compact(issued)
        )
        file = await asyncio.to_thread(ENCAPSULATED.load(), document, orjson.loads(like[0]))
        incoming = self.archive.receive()
        incoming.write(file)
        (stored,) = await self.archive.store([incoming], study=study)
        if isinstance(stored, Refused):
            text = f"The report is signed, and its PDF is not in the study: {stored.text} Ask again."
            raise Unavailable(text)


def pdf_of(form: Body) -> bytes:
    """Return the bytes of an Attachment."""
    return b64decode(form["data"])


def compact(moment: str) -> str:
    """Return the time of an instant as DICOM has it."""
    return moment[11:19].replace(":", "")


async def seen(node: Node, identity: str) -> Any:
    """Return a study that the caller sees, and that holds images; raise Unprocessable for another."""
    try:
        version = await node.repository.read("ImagingStudy", identity)
    except (NotFound, Gone):
        raise Unprocessable(f"There is no ImagingStudy/{identity}.") from None
    if parsed(version).get("status") != "available":
        raise Unprocessable(f"ImagingStudy/{identity} is not available.")
    return version
