from typing import get_args

from fhir_server.errors import Conflict, FhirError, Gone, Issue, NotFound, Severity, operation_outcome


def test_an_issue_says_where_what_and_by_which_rule():
    issue = Issue(
        "error",
        "invariant",
        "A name needs a text.",
        ("Patient.name[0]",),
        profile="http://example.org/P",
        rule="pat-9",
        coding=("http://example.org/findings", "name"),
        fix="Add name.text.",
    )
    assert issue.outcome() == {
        "severity": "error",
        "code": "invariant",
        "details": {
            "coding": [{"system": "http://example.org/findings", "code": "name"}],
            "text": "A name needs a text.",
        },
        "diagnostics": "By rule pat-9 of profile http://example.org/P. Add name.text.",
        "expression": ["Patient.name[0]"],
    }


def test_an_issue_leaves_out_what_is_not_known():
    assert Issue("warning", "value", "Odd.").outcome() == {
        "severity": "warning",
        "code": "value",
        "details": {"text": "Odd."},
    }


def test_an_outcome_without_issues_says_that_nothing_was_found():
    (element,) = operation_outcome([])["issue"]
    assert (element["severity"], element["code"]) == ("information", "informational")


def test_an_outcome_keeps_the_order_of_its_issues():
    outcome = operation_outcome(Issue("error", "value", text) for text in "ba")
    assert [element["details"]["text"] for element in outcome["issue"]] == ["b", "a"]


def test_a_failure_told_as_text_becomes_an_issue_of_its_kind():
    failure = Gone("Patient/1 was deleted.", expression=("Patient",))
    assert failure.issues == (Issue("error", "deleted", "Patient/1 was deleted.", ("Patient",)),)
    assert str(failure) == "Patient/1 was deleted."


def test_a_failure_carries_the_issues_it_is_given():
    issues = (Issue("fatal", "structure", "a"), Issue("error", "value", "b"))
    failure = FhirError(*issues)
    assert failure.issues == issues
    assert failure.operation_outcome() == operation_outcome(issues)


def test_a_failure_can_be_caught_by_its_wider_kind():
    assert issubclass(Gone, NotFound)
    assert not issubclass(Gone, Conflict)


def test_only_errors_and_fatal_issues_refuse():
    assert [Issue(severity, "value", "").is_error for severity in get_args(Severity)] == [True, True, False, False]
