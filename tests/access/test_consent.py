from datetime import UTC, datetime, timedelta

import pytest

from fhir_server.access.consent import ACTIONS, Asker, directive_from
from fhir_server.access.part import Part

DAY = 86_400_000


def span(text):
    start = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000
    return start, start + timedelta(days=1).total_seconds() * 1000


def consent(provision, **more):
    return {
        "resourceType": "Consent",
        "status": "active",
        "patient": {"reference": "Patient/p"},
        "provision": provision,
        **more,
    }


def asker(*identities, purpose="TREAT", day="2026-11-20", act="read"):
    return Asker(frozenset(identities), frozenset({purpose}), span(day)[0], ACTIONS[act])


def directive(provision, **more):
    found = directive_from(consent(provision, **more), frozenset({"station"}), span)
    assert found is not None
    return found


HUB = {"role": {"text": "recipient"}, "reference": {"reference": "Organization/hub"}}
PSY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
AT_HUB, ELSEWHERE = asker("Organization/hub"), asker("Organization/other")
EVERYTHING = Part("p")


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error"])
def test_only_what_is_active_counts(status):
    assert directive_from(consent({"type": "deny"}, status=status), frozenset(), span) is None


@pytest.mark.parametrize(
    ("day", "counts"), [("2026-01-09", False), ("2026-01-10", True), ("2026-01-20", True), ("2026-01-21", False)]
)
def test_it_counts_from_the_first_to_the_last_day_of_its_period(day, counts):
    found = directive({"type": "permit", "period": {"start": "2026-01-10", "end": "2026-01-20"}})
    assert found.permits(asker(day=day), "Observation") == [EVERYTHING] * counts


def test_who_is_named_is_meant_and_nobody_else():
    found = directive({"type": "deny", "actor": [HUB]})
    assert found.held(AT_HUB, "Observation") == [EVERYTHING]
    assert found.held(ELSEWHERE, "Observation") == []


def test_purposes_and_types_narrow_it():
    found = directive({"type": "permit", "purpose": [{"code": "TREAT"}], "class": [{"code": "Observation"}]})
    assert found.permits(AT_HUB, "Observation")
    assert not found.permits(AT_HUB, "Condition")
    assert not found.permits(asker("Organization/hub", purpose="PUBHLTH"), "Observation")


def test_an_exception_takes_the_place_of_its_rule():
    found = directive({"type": "deny", "provision": [{"type": "permit", "actor": [HUB]}]})
    assert found.held(AT_HUB, "Observation") == []
    assert found.permits(AT_HUB, "Observation")
    assert found.held(ELSEWHERE, "Observation") == [EVERYTHING]


def test_a_part_can_be_withheld_by_its_label_or_by_name():
    parts = [{"securityLabel": [PSY]}, {"data": [{"meaning": "instance", "reference": {"reference": "Condition/c"}}]}]
    found = directive({"type": "permit", "provision": parts})
    assert found.permits(AT_HUB, "Condition")
    assert set(found.held(AT_HUB, "Condition")) == {
        Part("p", frozenset({"PSY"})),
        Part("p", data=frozenset({("Condition", "c")})),
    }


def coded(member, *codes, system="http://terminology.hl7.org/CodeSystem/consentaction"):
    return {member: [{"coding": [{"system": system, "code": code}]} for code in codes]}


@pytest.mark.parametrize(
    "named",
    [
        {"code": [{"text": "HIV"}]},
        {"code": [{"coding": [{"system": "http://loinc.org", "code": "1"}]}, {"text": "HIV"}]},
        {"action": [{"text": "read"}]},
        coded("action", "publish"),
        {"class": [{"system": "urn:ietf:bcp:13", "code": "application/hl7-cda+xml"}]},
        {"securityLabel": [{"display": "secret"}]},
        {"securityLabel": [{"code": "A,B"}]},
        {"purpose": [{"display": "care"}]},
        {"actor": [{"role": {"text": "r"}, "reference": {"identifier": {"value": "1"}}}]},
        {"data": [{"meaning": "related", "reference": {"reference": "Condition/c"}}]},
        {"data": [{"meaning": "instance", "reference": {"reference": "http://a/Condition/c"}}]},
    ],
)
def test_what_cannot_be_decided_makes_a_denial_wider_and_a_permission_void(named):
    assert directive({"type": "deny", **named}).held(ELSEWHERE, "Observation") == [EVERYTHING]
    assert directive({"type": "permit", **named}).permits(AT_HUB, "Observation") == []


def test_a_refusal_to_a_role_or_a_team_is_one_to_everybody():
    for named in ("PractitionerRole/r", "CareTeam/t", "Device/d"):
        found = directive({"type": "deny", "actor": [{"role": {"text": "r"}, "reference": {"reference": named}}]})
        assert found.held(ELSEWHERE, "Observation") == [EVERYTHING]


@pytest.mark.parametrize(
    ("action", "withheld"),
    [
        ("access", {"read"}), ("use", {"read"}), ("disclose", {"read"}), ("collect", {"create"}),
        ("correct", {"change", "remove"}),
    ],
)  # fmt: skip
def test_an_action_is_refused_and_no_other(action, withheld):
    found = directive({"type": "deny", **coded("action", action)})
    assert {act for act in ACTIONS if found.held(asker(act=act), "Observation")} == withheld


def test_who_keeps_the_consent_discloses_nothing_by_reading():
    found = directive({"type": "deny", **coded("action", "disclose")})
    assert found.held(asker("Organization/station"), "Observation") == []
    assert found.held(AT_HUB, "Observation") == [EVERYTHING]


@pytest.mark.parametrize(
    ("action", "opens"), [("access", True), ("disclose", True), ("use", False), ("collect", False), ("correct", False)]
)
def test_a_permission_to_read_or_to_disclose_is_one_to_see(action, opens):
    found = directive({"type": "permit", **coded("action", action)})
    assert found.permits(AT_HUB, "Observation") == [EVERYTHING] * opens


def test_codes_and_dates_make_it_about_a_part():
    named = coded("code", "1", system="http://loinc.org") | {"dataPeriod": {"start": "2026-01-01"}}
    part = Part("p", codes=frozenset({"http://loinc.org|1"}), dates=("2026-01-01", None))
    assert directive({"type": "deny", **named}).held(AT_HUB, "Observation") == [part]
    assert directive({"type": "permit", **named}).permits(AT_HUB, "Observation") == [part]


def test_a_permission_in_part_takes_nothing_from_a_whole_refusal():
    named = coded("code", "1", system="http://loinc.org")
    found = directive({"type": "deny", "provision": [{"type": "permit", **named}]})
    assert found.held(AT_HUB, "Observation") == [EVERYTHING]
    assert found.permits(AT_HUB, "Observation") == []


def test_a_policy_says_what_a_provision_leaves_out():
    policy = {"coding": [{"code": "OPTOUT"}]}
    assert directive({}, policyRule=policy).held(AT_HUB, "Observation") == [EVERYTHING]
    assert directive_from(consent({}), frozenset(), span) is None


def test_it_says_when_that_changes():
    found = directive({"type": "permit", "provision": [{"period": {"start": "2026-02-01", "end": "2026-02-01"}}]})
    first = span("2026-02-01")[0]
    assert {first, first + DAY} <= set(found.moments())
