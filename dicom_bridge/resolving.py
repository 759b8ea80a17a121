"""The operation $resolve-study: a person says whose images wait, or that they are nobody's here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from dicom_bridge.archive import Uids
from dicom_bridge.lookup import parsed
from dicom_bridge.matching import compared, header_of
from dicom_bridge.study_note import StudyNote, StudyNotes
from dicom_bridge.synchronizer import Synchronizer
from dicom_bridge.visibility import check_role
from dicom_bridge.work_item import study_of
from fhir_server.errors import Conflict, Forbidden, Invalid, Issue, NotFound
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation

SHORTEST = 10


class Resolving:
    """Answers $resolve-study."""

    def __init__(self, synchronizer: Synchronizer, notes: StudyNotes) -> None:
        self._synchronizer = synchronizer
        self._notes = notes

    @property
    def operation(self) -> Operation:
        """The row of the table of operations."""
        return Operation(
            "resolve-study",
            "urn:nhipcau:OperationDefinition:resolve-study",
            ("instance",),
            self.answer,
            types=("Task",),
            scope="u",
            inputs=(
                Input("patient", "string"),
                Input("discard", "boolean"),
                Input("reason", "string"),
                Input("confirmed", "boolean"),
            ),
            by_post=True,
        )

    async def answer(self, node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
        """Tie a study to a patient, or take it away; return its Task. Raise Forbidden, NotFound, Invalid, Conflict."""
        task = parsed(await node.repository.read("Task", exchange.id))
        study = study_of(task)
        note = await self._notes.of(study) if study else None
        if note is None or note.task != exchange.id:
            raise NotFound(f"Task/{exchange.id} is about no study of images.")
        check_role(exchange.caller, "create")
        if exchange.caller.kind != "local" and note.facility not in exchange.caller.organizations:
            raise Forbidden("Whose the images are is said by the facility that they came from.")
        named, discards = arguments.text("patient"), arguments.flag("discard")
        if bool(named) == discards:
            raise Invalid("Say either the patient whose the images are, or that they are discarded.")
        if discards:
            await self._discard(arguments, study)
        else:
            patient = parsed(await node.repository.read("Patient", str(named).removeprefix("Patient/")))
            await self._check(study, patient, is_confirmed=arguments.flag("confirmed"))
            subject = exchange.caller.subject
            await self._notes.change(study, lambda kept: decided(kept, str(patient["id"]), subject))
        server = self._synchronizer.server(node)
        await self._synchronizer.synchronize(server, study)
        resolved = await server.repository.read("Task", exchange.id)
        return Reply(200, resolved.body or b"", resolved)

    async def _discard(self, arguments: Arguments, study: str) -> None:
        if len((arguments.text("reason") or "").strip()) < SHORTEST:
            text = f"Say in the parameter reason why, in {SHORTEST} letters at least."
            raise Invalid(Issue("error", "required", text))
        await self._synchronizer.archive.delete(Uids(study))

    async def _check(self, study: str, patient: dict[str, Any], *, is_confirmed: bool) -> None:
        """Raise Conflict where images and record differ, and the caller did not say that they know."""
        texts = await self._synchronizer.archive.metadata(Uids(study))
        found = [compared(header_of(orjson.loads(text)), patient) for text in texts]
        differing = dict.fromkeys(each for comparison in found for each in comparison.differing)
        if differing and not is_confirmed:
            told = "; ".join(
                f"{each.what}: {each.image} in the images, {each.record} in the record" for each in differing
            )
            raise Conflict(
                Issue(
                    "error",
                    "conflict",
                    f"Images and record differ: {told}.",
                    fix="Send confirmed=true if you know why.",
                )
            )


def decided(note: StudyNote | None, patient: str, subject: str) -> StudyNote | None:
    """Return the note of a study with what a person decided."""
    return None if note is None else replace(note, patient=patient, by_person=subject, problem="")
