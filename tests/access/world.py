"""A small country for the tests of access: facilities, people, records, a consultation, and who must see what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.access.scope import parse_scopes
from fhir_server.rest.failure import BadToken
from tests.serving import Served, serving

Json = dict[str, Any]
LABORATORY = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
LOINC = "http://loinc.org"


def person(name: str, role: str, *facilities: str, scopes: str = "user/*.cruds", **more: Any) -> Caller:
    return Caller("person", name, parse_scopes(scopes), frozenset({role}), f"Practitioner/{name}", facilities, **more)


def program(name: str, facility: str, scopes: str = "system/*.cruds") -> Caller:
    return Caller("client", name, parse_scopes(scopes), frozenset({"his"}), None, (facility,))


def patient(name: str, scopes: str = "patient/*.cruds") -> Caller:
    return Caller("person", name, parse_scopes(scopes), frozenset({"patient"}), f"Patient/{name}", patient=name)


CALLERS = {
    caller.subject: caller
    for caller in (
        person("worker-a", "commune-worker", "station-a"),
        person("worker-b", "commune-worker", "station-b"),
        person("doctor-hub", "doctor", "hub"),
        person("doctor-ward", "doctor", "ward"),
        person("coordinator-hub", "coordinator", "hub"),
        person("radiologist-hub", "radiologist", "hub"),
        person("admin-a", "facility-admin", "station-a"),
        program("his-a", "station-a"),
        program("his-b", "station-b"),
        program("his-hub", "hub"),
        person("province-health", "province", "province"),
        person("ministry-health", "ministry", "ministry"),
        patient("a1"),
        patient("a2"),
        Caller("guest", "guest", parse_scopes("user/*.rs"), frozenset({"guest"}), encounter="ea1"),
        person("app-of-a1", "commune-worker", "station-a", scopes="patient/*.rs", patient="a1"),
        person("app-of-lab", "commune-worker", "station-a", scopes=f"user/Observation.rs?category={LABORATORY}"),
        person("nobody", "doctor"),
    )
}  # fmt: skip


class Table:
    """An Authenticator that knows the callers of the tests by name; who says nothing is of this machine."""

    def __init__(self) -> None:
        self.callers = dict(CALLERS)

    async def authenticate(self, header: str | None) -> Caller:
        if header is None:
            return LOCAL
        name = header.removeprefix("Bearer ")
        if name not in self.callers:
            raise BadToken("There is no such caller.")
        return self.callers[name]


class World:
    """The server with its callers."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.table = Table()
        self.answer = ""
        served.service.fhir.authenticator = self.table

    def ask(self, caller: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Ask as a caller; "" is the server's own."""
        if caller:
            headers["authorization"] = f"Bearer {caller}"
        return self.served.ask(method, path, body, **headers)

    def get(self, caller: str, path: str, **headers: str) -> httpx.Response:
        return self.ask(caller, "GET", path, **headers)

    def put(self, caller: str, body: Json) -> None:
        answer = self.ask(caller, "PUT", f"{body['resourceType']}/{body['id']}", body)
        assert answer.status_code in (200, 201), answer.text

    def post(self, caller: str, body: Json) -> Json:
        answer = self.ask(caller, "POST", body["resourceType"], body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


def of(kind: str, identity: str, **members: Any) -> Json:
    return {"resourceType": kind, "id": identity, **members}


def to(path: str) -> Json:
    return {"reference": path}


def organization(name: str, above: str | None = None) -> Json:
    return of("Organization", name, name=name, **({"partOf": to(f"Organization/{above}")} if above else {}))


def observation(identity: str, about: str, category: str = "laboratory", **more: Any) -> Json:
    system, _, _ = LABORATORY.partition("|")
    return of(
        "Observation",
        identity,
        status="final",
        category=[{"coding": [{"system": system, "code": category}]}],
        code={"coding": [{"system": LOINC, "code": "718-7"}]},
        subject=to(f"Patient/{about}"),
        effectiveDateTime="2026-11-01",
        **more,
    )


def encounter(identity: str, about: str) -> Json:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"}
    return {**of("Encounter", identity, status="in-progress", subject=to(f"Patient/{about}")), "class": kind}


def study(identity: str, about: str) -> Json:
    return of("ImagingStudy", identity, status="available", subject=to(f"Patient/{about}"))


def request(identity: str, about: str, performer: str = "hub", **more: Any) -> Json:
    return of(
        "ServiceRequest",
        identity,
        status="active",
        intent="order",
        subject=to(f"Patient/{about}"),
        performer=[to(f"Organization/{performer}")],
        **more,
    )


def task(identity: str, about: str, focus: str | None, status: str = "requested", owner: str = "hub") -> Json:
    made = of("Task", identity, status=status, intent="order", owner=to(f"Organization/{owner}"))
    made["for"] = to(f"Patient/{about}")
    return {**made, "focus": to(f"ServiceRequest/{focus}")} if focus else made


def consent(identity: str, about: str, provision: Json, status: str = "active") -> Json:
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    return of(
        "Consent",
        identity,
        status=status,
        scope={"coding": [scope]},
        category=[{"coding": [{"system": LOINC, "code": "59284-0"}]}],
        patient=to(f"Patient/{about}"),
        dateTime="2026-11-01",
        policyRule={"text": "local"},
        provision=provision,
    )


def for_hub(verdict: str = "permit") -> Json:
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}
    return {"type": verdict, "actor": [{"role": role, "reference": to("Organization/hub")}]}


def people_of(world: World) -> None:
    """Facilities, and one record for each of their patients."""
    for name, above in (
        ("ministry", None), ("province", "ministry"), ("station-a", "province"), ("station-b", "province"),
        ("hub", "province"), ("ward", "hub"),
    ):  # fmt: skip
        world.put("", organization(name, above))
    for his, about in (("his-a", "a1"), ("his-a", "a2"), ("his-b", "b1"), ("his-hub", "h1")):
        world.put(his, of("Patient", about, name=[{"family": about}], gender="female"))
        world.put(his, observation(f"o{about}", about))
        world.put(his, observation(f"v{about}", about, "vital-signs"))
        world.put(his, encounter(f"e{about}", about))
        world.put(his, study(f"i{about}", about))


def fill(world: World) -> None:
    """A record for each patient, a consultation of a1 that the hub accepted, and one of a2 that it did not yet."""
    people_of(world)
    members = [{"entity": to("Patient/a1")}, {"entity": to("Patient/a2")}]
    world.put("his-a", of("Group", "ga", type="person", actual=True, member=members))
    world.put("his-a", of("List", "la1", status="current", mode="working", subject=to("Patient/a1"),
                          entry=[{"item": to("Observation/oa1")}]))  # fmt: skip
    for about in ("a1", "a2"):
        world.put("his-a", request(f"s{about}", about))
        world.put("his-a", task(f"t{about}", about, f"s{about}"))
        world.put("his-a", consent(f"c{about}", about, for_hub()))
    accepted = {**task("ta1", "a1", "sa1"), "status": "accepted"}
    answer = world.ask("coordinator-hub", "PUT", "Task/ta1", accepted)
    assert answer.status_code == 200, answer.text
    answered = observation("unnamed", "a1")
    del answered["id"]
    world.answer = world.post("doctor-hub", answered)["id"]


@contextmanager
def country(**settings: Any) -> Iterator[World]:
    """The country on a server of its own."""
    with serving(organization="node", **settings) as served:
        world = World(served)
        fill(world)
        yield world
