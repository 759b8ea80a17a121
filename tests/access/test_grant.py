import pytest

from fhir_server.access.grant import ACCEPTED, SYSTEM, Grant, glass_from, grant_from, period_of

TASK = {
    "resourceType": "Task",
    "status": "accepted",
    "for": {"reference": "Patient/p"},
    "owner": {"reference": "Organization/hub"},
}
REQUEST = {
    "status": "active",
    "subject": {"reference": "Patient/p"},
    "supportingInfo": [{"reference": "ImagingStudy/i"}],
}
ABOUT = {"focus": {"reference": "ServiceRequest/s"}}
NEVER = float("inf")


def grant(task, request=None, owners=("station",)):
    return grant_from({**TASK, **task}, owners, request, NEVER)


def test_an_accepted_task_opens_the_patient_to_who_accepted_it():
    assert grant({}) == Grant("station", "p", frozenset({"Organization/hub"}))


@pytest.mark.parametrize("status", ["requested", "received", "rejected", "ready", "completed", "cancelled", "failed"])
def test_a_task_that_is_not_accepted_or_over_opens_nothing(status):
    assert status not in ACCEPTED
    assert grant({"status": status}) is None


def test_images_that_the_request_names_come_along():
    found = grant(ABOUT, (REQUEST, ("station",)))
    assert found.named == {("ImagingStudy", "i")}


@pytest.mark.parametrize(
    ("request_", "owners"),
    [
        (None, ()),
        ({**REQUEST, "status": "revoked"}, ("station",)),
        ({**REQUEST, "status": "completed"}, ("station",)),
        ({**REQUEST, "subject": {"reference": "Patient/other"}}, ("station",)),
        (REQUEST, ("hub",)),
    ],
)
def test_a_request_that_is_over_or_of_another_opens_nothing(request_, owners):
    assert grant(ABOUT, None if request_ is None else (request_, owners)) is None


@pytest.mark.parametrize(
    "change", [{"owner": None}, {"for": None}, {"for": {"reference": "Group/g"}}, {"owner": {"display": "hub"}}]
)
def test_a_task_without_patient_or_receiver_opens_nothing(change):
    assert grant(change) is None


def test_a_task_of_nobody_opens_nothing():
    assert grant({}, owners=()) is None


def test_only_a_task_of_the_server_breaks_glass():
    code = {"coding": [{"system": SYSTEM, "code": "break-glass"}]}
    subject = {"type": {"coding": [{"system": SYSTEM, "code": "subject"}]}, "valueString": "ann"}
    broken = {**TASK, "code": code, "input": [subject]}
    assert grant_from(broken, ("station",), None, NEVER) is None
    found = glass_from(broken, 1.0, 2.0)
    assert found is not None
    assert (found.patient, found.subject, found.start, found.until) == ("p", "ann", 1.0, 2.0)
    assert glass_from({**TASK, "input": [subject]}, 1.0, 2.0) is None
    assert glass_from({**broken, "status": "cancelled"}, 1.0, 2.0) is None


def test_its_restriction_says_until_when():
    assert period_of({"restriction": {"period": {"start": "a", "end": "b"}}}) == ("a", "b")
    assert period_of({"restriction": "x"}) == period_of({}) == (None, None)
