"""The operations $tele-draft-minutes and $tele-sign, the minutes as PDF, and what plain writes of minutes may do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.access.label import label_from
from fhir_server.errors import Conflict, Forbidden, Gone, Issue, NotFound, PreconditionFailed, Unprocessable
from fhir_server.extension import Row, Surroundings, Visit
from fhir_server.page import DRAWN
from fhir_server.part import Part
from fhir_server.repository.check import Around, WriteCheck, Written
from fhir_server.repository.repository import Repository
from fhir_server.repository.write import Write
from fhir_server.resource.exact import parse_exact
from fhir_server.resource.person import name_of
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation
from telesession.attendance import people_of
from telesession.attestation import attested, verdicts
from telesession.case import Case, implied
from telesession.consultation import BOTH
from telesession.gathering import NO_LIMITS, Unwatched, gathered, of_server, sent_of, write_of
from telesession.minutes import (
    MODES,
    SIGNINGS,
    TITLE,
    Known,
    Person,
    drafted,
    form,
    is_begun,
    is_minutes,
    lacking,
    named,
    provenance,
    questions_of,
    refusal,
    renewed,
    request_of,
    signed_by,
)
from telesession.minutes_page import page
from telesession.notice import Notice, announce
from telesession.peer import MIRROR, is_sent
from telesession.vocabulary import Json, objects, path_of
from telesession.workflow import ATTEMPTS, DEFINITION, Workflow

SERVER = "minutes"
"""The name under which the server itself writes minutes: nobody else may sign them."""
KEY_FILE = "signing-key.json"
"""Of fhir_server/signature.py, which is loaded when somebody signs."""
TO_SIGN = Notice("minutes", "Biên bản chờ ký", ())
WRITABLE = frozenset({"in-progress", "finished", "closed"})
KEY_IN: Part[Callable[[Path], Any]] = Part("fhir_server.signature:key_in")
SIGNED: Part[Callable[..., str]] = Part("fhir_server.signature:signed")


class Minuting:
    """What is done with minutes on one node, whose key is in the data folder."""

    def __init__(self, workflow: Workflow, surroundings: Surroundings) -> None:
        self._workflow = workflow
        self._folder = surroundings.data
        self._zone = ZoneInfo(surroundings.settings.time_zone)

    def operations(self) -> Sequence[Operation]:
        """The rows of the table of operations."""
        people = tuple(Input(role, "Reference") for role in SIGNINGS)
        return (
            Operation("tele-draft-minutes", DEFINITION.format("draft-minutes"), ("instance",), self.draft,
                      types=("ServiceRequest",), inputs=people, scope="u", by_post=True),
            Operation("tele-sign", DEFINITION.format("sign"), ("instance",), self.sign, types=("Composition",),
                      inputs=(Input("who", "Reference"), Input("version", "id")), scope="u", by_post=True),
        )  # fmt: skip

    def checks(self) -> Sequence[WriteCheck]:
        """The rows for the door of the server."""
        return (WriteCheck(frozenset({"Composition"}), self.check),)

    def rows(self) -> Sequence[Row]:
        """The routes."""
        return (Row("GET", "/minutes/{composition}/pdf", self.print, (("Composition", "r"),)),)

    # ---- the draft

    async def draft(self, node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
        """Make the draft, or bring the one that there is up to date; return it. Raise Conflict where there is none."""
        await node.repository.read("ServiceRequest", exchange.id)
        for _ in range(ATTEMPTS):
            case = await gathered(node, exchange.id)
            self._refuse_early(case)
            sides = await self._workflow.sides(node, exchange.caller, case)
            if sides.isdisjoint(BOTH):
                raise Forbidden("Minutes are drafted by the facilities of a consultation.")
            try:
                identity = await self._drafted(node, case, arguments)
            except PreconditionFailed:
                continue
            kept = await of_server(node).read("Composition", identity)
            return Reply(200, kept.body or b"", kept)
        raise Conflict("Others change the same minutes again and again; nothing was written. Try again.")

    async def _drafted(self, node: Node, case: Case, arguments: Arguments) -> str:
        around = Unwatched(of_server(node))
        encounter = case.encounter
        assert encounter is not None
        found = await around.found("Composition", [("encounter", f"Encounter/{encounter['id']}")])
        minutes = [each for each in found if is_minutes(each) and each.get("status") != "entered-in-error"]
        known = await self._known(around, case)
        signers = await self._signers(around, arguments)
        moment = self._workflow.moment(node)
        if not minutes:
            # The minutes have the session's id: of many who draft them at once, one succeeds.
            identity = str(encounter["id"]) if await _is_free(node, str(encounter["id"])) else moment.new_id()
            made = drafted(case, known, identity, moment.now)
            named(made, signers)
            case.resources["Composition", made["id"]] = made
            announce(case, TO_SIGN, moment, tuple(path_of(each["party"]) for each in objects(made, "attester")))
            await self._store(node, case)
            return str(made["id"])
        case.take(
            parse_exact((await of_server(node).read("Composition", str(minutes[0]["id"]))).body or b"", NO_LIMITS)
        )
        body = renewed(case.of("Composition")[0], case, known)
        if signers and is_begun(body):
            raise Conflict("Somebody has signed these minutes already: who signs them stays.")
        named(body, signers)
        case.resources["Composition", str(body["id"])] = body
        await self._store(node, case)
        return str(body["id"])

    @staticmethod
    def _refuse_early(case: Case) -> None:
        if case.consultation is None:
            raise Unprocessable(f"{case.path} is no consultation.")
        if case.task is not None and is_sent(case.task):
            raise Conflict(f"{case.path} is decided at the node of {case.hub}: its minutes are written there.")
        state = implied(case)
        if state not in WRITABLE or case.encounter is None:
            text = f"A consultation that is {state} has no session to write minutes of."
            raise Conflict(Issue("error", "conflict", text, (case.path,), fix="Bring the event start first."))

    async def _known(self, around: Unwatched, case: Case) -> Known:
        kind, _, identity = path_of(case.service_request.get("subject")).partition("/")
        patient = await around.read(kind, identity) if kind == "Patient" else None
        facilities = dict.fromkeys([*case.owners(), case.hub.partition("/")[2]])
        names = {}
        for each in filter(None, facilities):
            body = await around.read("Organization", each) or {}
            names[f"Organization/{each}"] = str(body.get("name") or each)
        return Known(await people_of(around, case), patient, names, self._zone)

    @staticmethod
    async def _signers(around: Unwatched, arguments: Arguments) -> dict[str, Person]:
        found: dict[str, Person] = {}
        for role in SIGNINGS:
            path = path_of(arguments.resource(role))
            if path:
                kind, _, identity = path.partition("/")
                person = await around.read(kind, identity) if kind == "Practitioner" else None
                if person is None:
                    text = f"The {role} is to be a Practitioner here; {path[:80]} is none."
                    raise Unprocessable(Issue("error", "value", text))
                found[role] = Person(path, name_of(person), role)
        return found

    async def _store(self, node: Node, case: Case, others: Sequence[Write] = ()) -> None:
        writes = [*(write_of(case, body) for body in case.changed()), *others]
        if writes:
            await as_server(node, case.owners()).write(writes)

    # ---- signing

    async def sign(self, node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
        """Sign in every role that the caller has in these minutes; return them. The same again changes nothing."""
        kept = await node.repository.read("Composition", exchange.id)
        body: Json = parse_exact(kept.body or b"{}", NO_LIMITS)
        if not is_minutes(body):
            raise Unprocessable(f"Composition/{exchange.id} is no minutes of a consultation.")
        modes = await self._modes(node, exchange.caller, arguments, body)
        open_modes = [
            mode
            for mode in modes
            for each in objects(body, "attester")
            if each.get("mode") == mode and "time" not in each
        ]
        if not open_modes:
            return Reply(200, kept.body or b"", kept)
        if (version := arguments.text("version")) and version != str(kept.version):
            raise Conflict(
                f"Version {kept.version} is not the one that was read, {version[:20]}: read it, then sign it."
            )
        if body.get("status") not in ("preliminary", "amended"):
            raise Conflict(f"Minutes that are {body.get('status')} are not signed.")
        request = await self._request(node, body)
        if lacks := list(lacking(body, questions_of(request))):
            raise Unprocessable(*lacks)
        moment = self._workflow.moment(node).now
        signed = signed_by(body, open_modes, moment)
        writes = [Write("PUT", "Composition", kept.id, sent=sent_of(signed), match=(kept.version,), place=0)]
        facility = next(iter(exchange.caller.organizations), "")
        key = await asyncio.to_thread(KEY_IN.load(), self._folder)
        for place, mode in enumerate(open_modes, 1):
            party = next(each["party"] for each in objects(signed, "attester") if each.get("mode") == mode)
            program = exchange.caller.subject if exchange.caller.kind == "client" else ""
            said = {"signer": path_of(party), "role": MODES[mode].role, "sigT": moment}
            jws = SIGNED.load()(form(signed), key, **said, **({"program": program} if program else {}))
            trail = provenance(signed, kept.version + 1, MODES[mode], party, facility, jws, program)
            writes.append(Write("POST", "Provenance", sent=sent_of(trail), place=place))
        owners = label_from(kept.label).owners if kept.label else ()
        try:
            saved, *_ = await as_server(node, owners).write(writes)
        except PreconditionFailed:
            raise Conflict("Somebody has changed or signed the minutes meanwhile: read them, then sign.") from None
        version_now = saved.version
        assert version_now is not None
        return Reply(200, version_now.body or b"", version_now)

    @staticmethod
    async def _modes(node: Node, caller: Caller, arguments: Arguments, body: Json) -> list[str]:
        """The modes of the attesters that the caller is; raise Forbidden for who is none."""
        who = path_of(arguments.resource("who"))
        mine = {who} if caller.kind == "local" else await node.repository.identities()
        if caller.kind in ("local", "client") and not who:
            fix = "Name the Practitioner who signs in the parameter `who`."
            raise Unprocessable(Issue("error", "required", "It is not known who signs.", fix=fix))
        if caller.kind == "client" and await _is_staff(node, who, mine):
            # The facility's own program knows who sits before it, and answers for that.
            mine = {who}
        if who and who not in mine:
            raise Forbidden(f"{who[:80]} signs with a token of their own, or by a program of their facility.")
        listed = [(str(each.get("mode")), path_of(each.get("party"))) for each in objects(body, "attester")]
        modes = [mode for mode, path in listed if mode in MODES and path in mine and path.startswith("Practitioner/")]
        if not modes:
            signers = (
                ", ".join(f"{path} ({MODES[mode].role})" for mode, path in listed if mode in MODES) or "nobody yet"
            )
            raise Forbidden(f"Minutes are signed by chair and secretary; of these: {signers}.")
        return modes

    @staticmethod
    async def _request(node: Node, body: Json) -> Mapping[str, Any]:
        request = (
            await Unwatched(of_server(node)).read("ServiceRequest", request_of(body)) if request_of(body) else None
        )
        if request is None:
            text = "The minutes name no consultation that is here."
            raise Unprocessable(Issue("error", "not-found", text, ("Composition.event",)))
        return request

    # ---- the paper

    async def print(self, visit: Visit) -> Response:
        """The minutes as PDF, for who may read them; what is signed is verified before it is said to be."""
        identity = str(visit.request.path_params["composition"])
        kept = await visit.node.repository.read("Composition", identity)
        body: Json = parse_exact(kept.body or b"{}", NO_LIMITS)
        if not is_minutes(body):
            raise NotFound(f"Composition/{identity[:64]} is no minutes of a consultation.")
        around = Unwatched(of_server(visit.node))
        trails = await around.found("Provenance", [("target", f"Composition/{identity}")])
        key = await asyncio.to_thread(KEY_IN.load(), self._folder)
        holding = attested(body, list(verdicts(body, trails)), {key.thumbprint()})
        facility = await around.read(*_split(path_of(body.get("custodian")))) if body.get("custodian") else None
        blocks = page(body, str((facility or {}).get("name", "")), holding, self._zone)
        pdf = await asyncio.to_thread(DRAWN.load(), TITLE, blocks, f"Composition/{identity}, bản {kept.version}")
        visit.audited("R", "read", [f"Composition/{identity}"], text="pdf")
        headers = {"content-disposition": f'inline; filename="bien-ban-{identity}.pdf"', "cache-control": "no-store"}
        return Response(pdf, media_type="application/pdf", headers=headers)

    # ---- plain writes

    async def check(self, written: Written, _around: Around) -> Sequence[Issue]:
        """Raise Unprocessable for a plain write that signs, or changes what is not the writers' to change."""
        if written.caller.kind == "local" and written.caller.subject in (SERVER, MIRROR):
            return ()
        former, body = written.former, written.body
        if not is_minutes(former) and not is_minutes(body):
            return ()
        if body is None:
            if former is not None and is_begun(former):
                fix = "To take them back, set their status to entered-in-error."
                raise Conflict(Issue("error", "business-rule", "Minutes that were signed are kept.", fix=fix))
            return ()
        if (issue := refusal(former if is_minutes(former) else None, body)) is not None:
            raise Unprocessable(issue)
        return ()


def as_server(node: Node, facilities: Sequence[str]) -> Repository:
    """All resources, as minutes are written for these facilities."""
    return node.repository.as_(replace(LOCAL, subject=SERVER, organizations=tuple(facilities)))


async def _is_staff(node: Node, who: str, facilities: Collection[str]) -> bool:
    """Whether a Practitioner works at one of these facilities."""
    if not who.startswith("Practitioner/"):
        return False
    roles = await Unwatched(of_server(node)).found("PractitionerRole", [("practitioner", who)])
    return any(path_of(each.get("organization")) in facilities for each in roles if each.get("active") is not False)


async def _is_free(node: Node, identity: str) -> bool:
    try:
        await of_server(node).read("Composition", identity)
    except Gone:
        return False
    except NotFound:
        return True
    return False


def _split(path: str) -> tuple[str, str]:
    kind, _, identity = path.partition("/")
    return kind, identity
