"""A site's way into the network of a hub as one table: from its request to its service, and out of it again.

Where a site is, is told by the OrganizationAffiliation of hub and site (FHIR R4, 8.8), so that hub and province list it
by plain search. Nothing here reads or writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, get_args

from fhir_server.errors import Conflict, FhirError, Forbidden, Issue, Unprocessable
from telesession import vocabulary as words
from telesession.vocabulary import Body, Json, concept, objects, path_of, reference

State = Literal["requested", "surveyed", "agreed", "trained", "tested", "in-service", "suspended", "withdrawn"]
Event = Literal["request", "survey", "agree", "train", "test", "open", "suspend", "resume", "withdraw"]
Side = Literal["site", "hub"]

STATES: tuple[State, ...] = get_args(State)
EVENTS: tuple[Event, ...] = get_args(Event)
NOWHERE = ""
"""Where a site is that has no affiliation with the hub yet."""

HUB: frozenset[Side] = frozenset({"hub"})
BOTH: frozenset[Side] = frozenset({"site", "hub"})
LONGEST_ID = 40


@dataclass(frozen=True, slots=True)
class Step:
    """A row: in one of the states `sources` the event leads to `target`, if a side of `by` brings what it `needs`."""

    event: Event
    sources: tuple[str, ...]
    target: State
    by: frozenset[Side]
    needs: str = ""


STEPS: tuple[Step, ...] = (
    Step("request", (NOWHERE, "withdrawn"), "requested", BOTH),
    Step("survey", ("requested", "surveyed"), "surveyed", BOTH, "answers"),
    Step("agree", ("surveyed",), "agreed", HUB, "evidence"),
    Step("train", ("agreed",), "trained", HUB),
    Step("test", ("trained",), "tested", BOTH, "text"),
    Step("open", ("tested",), "in-service", HUB),
    Step("suspend", ("in-service",), "suspended", BOTH, "text"),
    Step("resume", ("suspended",), "in-service", HUB),
    Step("withdraw", tuple(state for state in STATES if state != "withdrawn"), "withdrawn", BOTH, "text"),
)
WANTED = {
    "answers": "the answers of the survey, a QuestionnaireResponse",
    "evidence": "the agreement, as a Reference in `evidence`",
    "text": "a text: how the test call went, or the reason",
}


@dataclass(frozen=True, slots=True)
class Given:
    """What comes with an event; `evidence` are references, such as those to the answers and to the agreement."""

    text: str = ""
    evidence: tuple[str, ...] = ()
    has_answers: bool = False

    def has(self, name: str) -> bool:
        """Whether what a step needs is there."""
        return {"": True, "answers": self.has_answers, "evidence": bool(self.evidence), "text": bool(self.text)}[name]


def affiliation_id(hub: str, site: str) -> str:
    """Return the id of the OrganizationAffiliation of two facilities, so that there is one alone."""
    return f"joining-{sha256(f'{hub} {site}'.encode()).hexdigest()[:LONGEST_ID]}"


def state_of(affiliation: Body | None) -> str:
    """Where a site is; NOWHERE where no code says."""
    return words.code(affiliation.get("code"), words.JOINING) or NOWHERE if affiliation is not None else NOWHERE


def allowed(state: str, sides: frozenset[Side]) -> tuple[Event, ...]:
    """The events that these sides may bring in a state, in the order of the table."""
    return tuple(step.event for step in STEPS if state in step.sources and not step.by.isdisjoint(sides))


def step_of(state: str, event: Event, sides: frozenset[Side], given: Given) -> Step:
    """The row of an event; raise Conflict, Forbidden or Unprocessable where it may not happen now."""
    fix = f"Events that you may bring now: {', '.join(allowed(state, sides)) or 'none'}."
    step = next((each for each in STEPS if each.event == event and state in each.sources), None)
    if step is None:
        raise Conflict(Issue("error", "conflict", f"A site that is {state or 'not known'} takes no {event}.", fix=fix))
    if step.by.isdisjoint(sides):
        text = f"{event} is for the side of the {' or the '.join(sorted(step.by))}."
        raise Forbidden(Issue("error", "forbidden", text, fix=fix))
    if not given.has(step.needs):
        raise Unprocessable(Issue("error", "required", f"{event} needs {WANTED[step.needs]}."))
    return step


def may_become(state: str, target: str, sides: frozenset[Side]) -> bool:
    """Whether one event of these sides leads from a state to another, or it is the same."""
    if state == target:
        return True
    return any(state in each.sources and each.target == target and not each.by.isdisjoint(sides) for each in STEPS)


def stepped(affiliation: Body | None, hub: str, site: str, step: Step, given: Given, now: str) -> Json:
    """Return the affiliation after a step, which remembers when it was and what there is of it."""
    body: Json = dict(affiliation or {})
    if affiliation is None:
        body = {"resourceType": "OrganizationAffiliation", "id": affiliation_id(hub, site)}
        body |= {"organization": reference(hub), "participatingOrganization": reference(site)}
    parts: list[Json] = [{"url": "state", "valueCode": step.target}, {"url": "at", "valueInstant": now}]
    parts += [{"url": "evidence", "valueReference": reference(path)} for path in given.evidence]
    parts += [{"url": "text", "valueString": given.text}] if given.text else []
    body["extension"] = [*objects(body, "extension"), {"url": words.STEP, "extension": parts}]
    others = [each for each in objects(body, "code") if words.code(each, words.JOINING) is None]
    body["code"] = [concept(words.JOINING, step.target), *others]
    body["active"] = step.target == "in-service"
    return body


def sides_of(identities: frozenset[str], hub: str, site: str, *, is_local: bool) -> frozenset[Side]:
    """The sides that a caller stands on; whoever runs the server stands on both."""
    if is_local:
        return BOTH
    named: tuple[tuple[str, Side], ...] = ((site, "site"), (hub, "hub"))
    return frozenset(side for path, side in named if path in identities)


def fault_of(former: Body | None, body: Body, sides: frozenset[Side]) -> FhirError | None:
    """What forbids a plain write of an affiliation: another step than the table has; None where nothing does."""
    was, now = state_of(former), state_of(body)
    if not may_become(was, now, sides):
        text = f"A site that is {was or 'not known'} does not become {now or 'unknown'} at once, by you."
        events = ", ".join(allowed(was, sides)) or "none"
        return Conflict(
            Issue("error", "conflict", text, ("OrganizationAffiliation.code",), fix=f"Events now: {events}.")
        )
    if now and former is not None and parties(former) != parties(body):
        return Conflict(
            Issue("error", "conflict", "An affiliation keeps its hub and its site.", fix="Make another one.")
        )
    return None


def parties(affiliation: Body) -> tuple[str, str]:
    """The hub and the site of an affiliation."""
    return path_of(affiliation.get("organization")), path_of(affiliation.get("participatingOrganization"))


def steps_in(affiliation: Body) -> Iterator[tuple[str, str]]:
    """Yield the states that a site has come to, each with when."""
    for each in words.extensions(affiliation, words.STEP):
        found = {part.get("url"): part for part in objects(each, "extension")}
        yield str(found.get("state", {}).get("valueCode")), str(found.get("at", {}).get("valueInstant"))
