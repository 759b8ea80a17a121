from datetime import UTC, datetime, timedelta

import pytest

from fhir_server.access.consent import Asker, Hold, directive_from

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


def asker(*identities, purpose="TREAT", day="2026-11-20"):
    return Asker(frozenset(identities), frozenset({purpose}), span(day)[0])


def directive(provision, **more):
    found = directive_from(consent(provision, **more), frozenset({"station"}), span)
    assert found is not None
    return found


HUB = {"role": {"text": "recipient"}, "reference": {"reference": "Organization/hub"}}
PSY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
AT_HUB, ELSEWHERE = asker("Organization/hub"), asker("Organization/other")
EVERYTHING = Hold("p")


@pytest.mark.parametrize("status", ["draft", "proposed", "rejected", "inactive", "entered-in-error"])
def test_only_what_is_active_counts(status):
    assert directive_from(consent({"type": "deny"}, status=status), frozenset(), span) is None


@pytest.mark.parametrize(
    ("day", "counts"), [("2026-01-09", False), ("2026-01-10", True), ("2026-01-20", True), ("2026-01-21", False)]
)
def test_it_counts_from_the_first_to_the_last_day_of_its_period(day, counts):
    found = directive({"type": "permit", "period": {"start": "2026-01-10", "end": "2026-01-20"}})
    assert found.permits(asker(day=day), "Observation") == counts


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
        Hold("p", frozenset({"PSY"})),
        Hold("p", data=frozenset({("Condition", "c")})),
    }


def test_what_is_not_looked_at_makes_a_denial_wider_and_a_permission_void():
    code = {"code": [{"text": "HIV"}]}
    assert directive({"type": "deny", **code}).held(AT_HUB, "Observation") == [EVERYTHING]
    assert not directive({"type": "permit", **code}).permits(AT_HUB, "Observation")


def test_a_policy_says_what_a_provision_leaves_out():
    policy = {"coding": [{"code": "OPTOUT"}]}
    assert directive({}, policyRule=policy).held(AT_HUB, "Observation") == [EVERYTHING]
    assert directive_from(consent({}), frozenset(), span) is None


def test_it_says_when_that_changes():
    found = directive({"type": "permit", "provision": [{"period": {"start": "2026-02-01", "end": "2026-02-01"}}]})
    first = span("2026-02-01")[0]
    assert {first, first + DAY} <= set(found.moments())
