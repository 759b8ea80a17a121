"""The resources of one consultation as values, and what each event makes of them (FHIR R4, 12.1 Task)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from telesession import vocabulary as words
from telesession.consultation import COURSES, KIND_OF, OPEN, TASK_OF, Consultation, Event, State, state_of
from telesession.vocabulary import Body, Json, concept, objects, path_of, reference

Key = tuple[str, str]

STATUS_OF: Mapping[str, Mapping[State, tuple[str, ...]]] = {
    "ServiceRequest": {
        "draft": ("draft",),
        **dict.fromkeys(("requested", "asked", "rejected"), ("active", "on-hold")),
        **dict.fromkeys(("accepted", "held", "booked", "in-progress", "finished"), ("active", "on-hold")),
        "closed": ("completed",),
        "cancelled": ("revoked",),
    },
    "Appointment": {
        "booked": ("booked",),
        "in-progress": ("arrived", "checked-in"),
        "finished": ("fulfilled", "noshow"),
        "closed": ("fulfilled", "noshow"),
        "rejected": ("cancelled",),
        "cancelled": ("cancelled", "noshow"),
    },
    "Encounter": {
        "booked": ("planned", "arrived", "triaged"),
        "in-progress": ("in-progress", "onleave"),
        "finished": ("finished",),
        "closed": ("finished",),
        "rejected": ("cancelled",),
        "cancelled": ("cancelled",),
    },
}
"""The statuses that go with a state; what has another gets the first of them."""

PAST = frozenset({"cancelled", "entered-in-error", "noshow"})
MADE = frozenset({"booked", "arrived", "checked-in", "fulfilled"})
TAKING_TIME = frozenset({"pending", "booked", "arrived", "checked-in"})


@dataclass(frozen=True, slots=True)
class Moment:
    """What the resources of an event get from outside: the time, a source of ids, and the URL of the sessions."""

    now: str
    new_id: Callable[[], str]
    sessions: str


@dataclass(frozen=True, slots=True)
class Given:
    """What came with an event; participants are references with the code of a role."""

    message: str | None = None
    reason: str = ""
    question: str = ""
    answer: str = ""
    start: str = ""
    end: str = ""
    owner: str = ""
    author: str = ""
    info: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    participants: tuple[tuple[str, str], ...] = ()
    hold: str = ""

    @property
    def names(self) -> frozenset[str]:
        """What there is of it."""
        named = ("reason", "question", "answer", "start", "end", "owner")
        return frozenset(name for name in named if getattr(self, name))


@dataclass(slots=True)
class Case:
    """The resources of a consultation by type and id: as they were found, and as they are to be.

    `facilities` keep the request, the first of them being the one that made it.
    """

    request: str
    resources: dict[Key, Json] = field(default_factory=dict)
    facilities: tuple[str, ...] = ()
    found: dict[Key, Body] = field(default_factory=dict)

    def take(self, body: Json) -> None:
        """Take in a resource as it was found."""
        key = body["resourceType"], body["id"]
        self.resources[key] = body
        self.found[key] = deepcopy(body)

    def make(self, kind: str, resource_id: str, **members: object) -> Json:
        """Take in a new resource."""
        body: Json = {"resourceType": kind, "id": resource_id, **members}
        self.resources[kind, resource_id] = body
        return body

    def of(self, kind: str) -> list[Json]:
        """The resources of a type, in the order of their making."""
        return [body for key, body in self.resources.items() if key[0] == kind]

    def changed(self) -> Iterator[Json]:
        """The resources that are other than they were found, or new."""
        yield from (body for key, body in self.resources.items() if self.found.get(key) != body)

    # ---- the main ones

    @property
    def service_request(self) -> Json:
        """What is asked for."""
        return self.resources["ServiceRequest", self.request]

    @property
    def task(self) -> Json | None:
        """The hub's Task: of several, the one that was made last."""
        own = [each for each in self.of("Task") if not list(objects(each, "partOf"))]
        return max(own, key=lambda each: str(each.get("authoredOn", "")), default=None)

    @property
    def appointment(self) -> Json | None:
        """The Appointment that takes place, or took place; one that is merely held is none."""
        return next((each for each in reversed(self.of("Appointment")) if each.get("status") in MADE), None)

    @property
    def encounter(self) -> Json | None:
        """The Encounter of the session."""
        return next((each for each in reversed(self.of("Encounter")) if each.get("status") not in PAST), None)

    @property
    def path(self) -> str:
        """The reference to the request."""
        return f"ServiceRequest/{self.request}"

    @property
    def hub(self) -> str:
        """Who is asked, as a reference."""
        task = self.task
        if task is not None and path_of(task.get("owner")):
            return path_of(task.get("owner"))
        named = map(path_of, objects(self.service_request, "performer"))
        return next((each for each in named if each.startswith("Organization/")), "")

    @property
    def patient(self) -> str:
        """Whom it is about; empty for a training."""
        path = path_of(self.service_request.get("subject"))
        return path if path.startswith("Patient/") else ""

    @property
    def consultation(self) -> Consultation | None:
        """Where the consultation is; None where the request is none."""
        return consultation_of(self.service_request, self.of("Task"))

    def owners(self) -> tuple[str, ...]:
        """The facilities that what is made belongs to: the one that asked, the hub, and the sites."""
        others = (path_of(each.get("owner")) for each in self.of("Task"))
        named = (each.partition("/")[2] for each in (self.hub, *others) if each.startswith("Organization/"))
        return tuple(dict.fromkeys((*self.facilities, *named)))


def consultation_of(request: Body, tasks: Sequence[Body]) -> Consultation | None:
    """The consultation that a ServiceRequest and its Tasks make; None for another request."""
    kind = next(
        (KIND_OF[each] for each in words.codes(request.get("category"), words.ACTIVITY) if each in KIND_OF), None
    )
    if kind is None:
        return None
    own = [each for each in tasks if not list(objects(each, "partOf"))]
    main = max(own, key=lambda each: str(each.get("authoredOn", "")), default=None)
    state: State = "draft"
    if main is not None:
        state = state_of(main.get("status"), words.code(main.get("businessStatus"), words.STATE)) or "draft"
    heard = frozenset(str(each.get("valueId")) for task in own for each in words.extensions(task, words.MESSAGE))
    open_to = (path_of(each.get("owner")) for each in tasks if state_of(each.get("status")) in OPEN)
    emergency = request.get("priority") in words.EMERGENCY
    return Consultation(kind, emergency, state, frozenset(open_to), heard)


def implied(case: Case) -> State:
    """The state that all resources together tell of, where the Task has not been brought on yet."""
    consultation = case.consultation
    assert consultation is not None
    state = consultation.state
    status = case.service_request.get("status")
    if status == "revoked":
        return "cancelled"
    if status == "completed":
        return "closed"
    if state not in OPEN:
        return state
    encounter, appointment = case.encounter, case.appointment
    sitting = encounter.get("status") if encounter is not None else None
    if state in ("accepted", "booked") and sitting in STATUS_OF["Encounter"]["in-progress"]:
        return "in-progress"
    if state in ("accepted", "booked", "in-progress") and sitting == "finished":
        return "finished"
    is_booked = appointment is not None and appointment.get("status") in ("booked", "arrived", "checked-in")
    if state in ("accepted", "booked"):
        return "booked" if is_booked else "accepted"
    return state


def settled(case: Case, state: State, moment: Moment) -> None:
    """Bring every resource to the status that goes with a state."""
    if state == "draft":
        return
    if state == "booked" and case.encounter is None:
        plan_session(case, moment)
    for task in case.of("Task"):
        _settle_task(case, task, state, moment)
    main = {"ServiceRequest": case.service_request, "Appointment": case.appointment, "Encounter": case.encounter}
    for kind, body in main.items():
        if body is not None and state in STATUS_OF[kind]:
            _settle(body, STATUS_OF[kind][state], moment)
    if state not in ("accepted", "held", "booked"):
        for body in case.of("Appointment"):
            if body.get("status") not in MADE:
                _settle(body, ("cancelled", "noshow", "entered-in-error"), moment)
    _settle_slots(case)
    encounter = case.encounter
    if encounter is not None and state in ("finished", "closed"):
        _end_session(encounter, moment)


def _settle_task(case: Case, task: Json, state: State, moment: Moment) -> None:
    """Bring on the hub's Task; those of other sites end with it, and never begin with it."""
    is_main = task is case.task
    known = state_of(task.get("status"), words.code(task.get("businessStatus"), words.STATE))
    if not is_main and (state not in ("closed", "cancelled") or known not in OPEN):
        return
    if known != state:
        # One that tells of the state already is left as it was written, and its version too.
        status, business = TASK_OF[state]
        task.update(status=status, businessStatus=concept(words.STATE, business), lastModified=moment.now)


def _settle(body: Json, wanted: tuple[str, ...], moment: Moment) -> None:
    status = str(body.get("status"))
    if status not in wanted and wanted[0] in COURSES[body["resourceType"]].get(status, ()):
        changed_status(body, wanted[0], moment)


def changed_status(body: Json, status: str, moment: Moment) -> None:
    """Give a resource another status; an Encounter remembers the one before (Encounter.statusHistory)."""
    if body["resourceType"] == "Encounter":
        history = list(objects(body, "statusHistory"))
        began = [str(each.get("period", {}).get("end", "")) for each in history[-1:]]
        meta = body.get("meta")
        since = next(filter(None, [*began, str(meta.get("lastUpdated", "")) if isinstance(meta, dict) else ""]), "")
        period = {"start": since, "end": moment.now} if since and since <= moment.now else {"end": moment.now}
        body["statusHistory"] = [*history, {"status": body["status"], "period": period}]
        if status == "in-progress":
            body["period"] = {**(body.get("period") or {}), "start": moment.now}
    body["status"] = status


def _end_session(encounter: Json, moment: Moment) -> None:
    """Let the session and whoever is in it end now."""
    timed = [encounter, *objects(encounter, "participant")]
    for each in timed:
        period = each.get("period")
        if isinstance(period, dict) and "start" in period and "end" not in period:
            each["period"] = {**period, "end": moment.now}


def _settle_slots(case: Case) -> None:
    """Let the slots of Appointments that take time be busy, and the others free again."""
    taken = {
        path_of(slot)
        for each in case.of("Appointment")
        if each.get("status") in (*TAKING_TIME, "fulfilled")
        for slot in objects(each, "slot")
    }
    for slot in case.of("Slot"):
        wanted = "busy" if f"Slot/{slot['id']}" in taken else "free"
        if slot.get("status") in ("free", "busy", "busy-tentative") and slot["status"] != wanted:
            slot["status"] = wanted


# ---- what events add


def happened(case: Case, event: Event, given: Given, state: State, moment: Moment) -> None:
    """Make of the resources what an event that leads to a state makes of them."""
    adding = ADDITIONS.get(event)
    if adding is not None:
        adding(case, given, moment)
    if state == "in-progress" and case.encounter is None:
        plan_session(case, moment)
    settled(case, state, moment)
    task = case.task
    if task is not None and given.message is not None:
        words.extended(task, [{"url": words.MESSAGE, "valueId": given.message}])


def _submit(case: Case, given: Given, moment: Moment) -> None:
    request = case.service_request
    if request.get("status") == "draft":
        request["status"] = "active"
    owner = given.owner or case.hub
    if given.owner and given.owner not in map(path_of, objects(request, "performer")):
        request["performer"] = [reference(given.owner)]
    asking = given.author or path_of(request.get("requester"))
    make_task(case, owner, "requested", moment, requester=asking)


def make_task(case: Case, owner: str, state: State, moment: Moment, requester: str = "", above: str = "") -> Json:
    """Take in a Task for a facility about the request; `above` is the hub's, of which that of a site is a part."""
    request = case.service_request
    status, business = TASK_OF[state]
    task = case.make(
        "Task",
        moment.new_id(),
        status=status,
        businessStatus=concept(words.STATE, business),
        intent="order",
        priority=str(request.get("priority") or "routine"),
        code=concept(words.TASK, "consultation"),
        focus=reference(case.path),
        authoredOn=moment.now,
        lastModified=moment.now,
        owner=reference(owner),
    )
    if case.patient:
        task["for"] = reference(case.patient)
    if requester:
        task["requester"] = reference(requester)
    if above:
        task["partOf"] = [reference(above)]
    return task


def _ask(case: Case, given: Given, moment: Moment) -> None:
    _note(case, given.question, given.author, moment)


def _answer(case: Case, given: Given, moment: Moment) -> None:
    _note(case, given.answer, given.author, moment)
    request = case.service_request
    known = {path_of(each) for each in objects(request, "supportingInfo")}
    more = [reference(path) for path in dict.fromkeys(given.info) if path not in known]
    if more:
        request["supportingInfo"] = [*objects(request, "supportingInfo"), *more]


def _give_reason(case: Case, given: Given, moment: Moment) -> None:
    task = case.task
    if task is not None and given.reason:
        task["statusReason"] = {"text": given.reason}


def _note(case: Case, text: str, author: str, moment: Moment) -> None:
    task = case.task
    if task is not None:
        note: Json = {"time": moment.now, "text": text}
        if author.partition("/")[0] in ("Practitioner", "Patient", "RelatedPerson", "Organization"):
            note["authorReference"] = reference(author)
        task["note"] = [*objects(task, "note"), note]


def _book(case: Case, given: Given, moment: Moment) -> None:
    for site in given.sites:
        if site not in {path_of(each.get("owner")) for each in case.of("Task")}:
            task = case.task
            make_task(case, site, "accepted", moment, above=f"Task/{task['id']}" if task is not None else "")
    held = case.resources.get(("Appointment", given.hold.partition("/")[2])) if given.hold else None
    appointment = held if held is not None else case.make("Appointment", moment.new_id(), status="booked")
    appointment["status"] = "booked"
    words.extended(appointment, (), instead_of=words.HOLD)
    appointment.setdefault("basedOn", [reference(case.path)])
    category = case.service_request.get("category")
    appointment.setdefault("serviceType", [each for each in category if words.code(each, words.ACTIVITY)]
                           if isinstance(category, list) else [])  # fmt: skip
    describe(case, appointment, given)
    plan_session(case, moment)


def hold(case: Case, given: Given, until: str, moment: Moment) -> Json:
    """Take in an Appointment that keeps its time from others until a moment, and no longer."""
    appointment = case.make("Appointment", moment.new_id(), status="pending", basedOn=[reference(case.path)])
    words.extended(appointment, [{"url": words.HOLD, "valueInstant": until}])
    describe(case, appointment, given)
    _settle_slots(case)
    return appointment


def describe(case: Case, appointment: Json, given: Given) -> None:
    """Say in an Appointment when it is, and who takes part."""
    if given.start:
        _set_time(appointment, given)
    if given.participants or "participant" not in appointment:
        appointment["participant"] = list(participants(case, given))


def participants(case: Case, given: Given) -> Iterator[Json]:
    """The participants of an Appointment: those given, and the patient."""
    named = list(given.participants)
    if case.patient and case.patient not in {path for path, _ in named}:
        named.insert(0, (case.patient, ""))
    for path, role in named or [("", "")]:
        each: Json = {"status": "accepted"}
        if path:
            each["actor"] = reference(path)
        else:
            each["type"] = [concept(words.ROLE, "presenter")]
        if role:
            each["type"] = [{"coding": list(_role(role))}]
        yield each


def _role(role: str) -> Iterator[Json]:
    yield {"system": words.ROLE, "code": role}
    if role in words.PARTICIPATION_OF:
        yield {"system": words.PARTICIPATION, "code": words.PARTICIPATION_OF[role]}


def _set_time(appointment: Json, given: Given) -> None:
    if (appointment.get("start"), appointment.get("end")) != (given.start, given.end):
        words.extended(appointment, (), instead_of=words.ANNOUNCED)
    appointment.update(start=given.start, end=given.end)
    if given.slots:
        appointment["slot"] = [reference(path) for path in given.slots]
    else:
        appointment.pop("slot", None)


def _reschedule(case: Case, given: Given, moment: Moment) -> None:
    appointment = case.appointment
    if appointment is not None:
        _set_time(appointment, given)
        if given.participants:
            appointment["participant"] = list(participants(case, given))
    _give_reason(case, given, moment)


def plan_session(case: Case, moment: Moment) -> None:
    """Take in the Encounter of a session that is to be, and say in the Appointment where it is."""
    encounter, appointment = case.encounter, case.appointment
    if encounter is None:
        encounter = case.make(
            "Encounter",
            moment.new_id(),
            status="planned",
            **{"class": {"system": words.ACT, "code": words.VIRTUAL}},
            type=[concept(words.VISIT_TYPE, words.REMOTE_CARE)],
            basedOn=[reference(case.path)],
        )
        subject = path_of(case.service_request.get("subject"))
        if subject.partition("/")[0] in ("Patient", "Group"):
            encounter["subject"] = reference(subject)
        if case.hub:
            encounter["serviceProvider"] = reference(case.hub)
    if appointment is None:
        return
    if not list(objects(encounter, "appointment")):
        encounter["appointment"] = [reference(f"Appointment/{appointment['id']}")]
    if "participant" not in encounter:
        _invite(encounter, appointment)
    url = f"{moment.sessions}/{encounter['id']}"
    if words.virtual_service(url) not in words.extensions(appointment, words.VIRTUAL_SERVICE):
        words.extended(appointment, [words.virtual_service(url)], instead_of=words.VIRTUAL_SERVICE)


def _invite(encounter: Json, appointment: Body) -> None:
    """Let who takes part in the Appointment take part in the session."""
    people, places = [], []
    for each in objects(appointment, "participant"):
        path = path_of(each.get("actor"))
        if path.partition("/")[0] in words.PEOPLE:
            kinds = {"type": each["type"]} if "type" in each else {}
            people.append({**kinds, "individual": reference(path)})
        elif path.startswith("Location/"):
            places.append({"location": reference(path)})
    if people:
        encounter["participant"] = people
    if places:
        encounter["location"] = places


Addition = Callable[[Case, Given, Moment], None]
ADDITIONS: Mapping[Event, Addition] = {
    "submit": _submit,
    "reject": _give_reason,
    "ask": _ask,
    "answer": _answer,
    "book": _book,
    "reschedule": _reschedule,
    "cancel": _give_reason,
}
"""What events add beside the statuses of the state that they lead to."""
