"""Scopes of SMART App Launch: what is one, what it is about, what two sets have in common."""

import pytest

from fhir_server.access.scope import EVERYTHING, Scope, ScopeError, Scopes, parse_scope, parse_scopes


def resources(text: str) -> tuple[Scope, ...]:
    return parse_scopes(text).resources


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("patient/Observation.rs", ("patient", "Observation", "rs", "")),
        ("user/*.cruds", ("user", "*", "cruds", "")),
        ("system/Patient.r", ("system", "Patient", "r", "")),
        ("patient/*.read", ("patient", "*", "rs", "")),
        ("user/Encounter.write", ("user", "Encounter", "cud", "")),
        ("user/*.*", ("user", "*", "cruds", "")),
        (
            "patient/Observation.rs?category=http://a|laboratory&status=final",
            ("patient", "Observation", "rs", "category=http://a|laboratory&status=final"),
        ),
    ],
)
def test_a_scope_of_resources(text: str, expected: tuple[str, str, str, str]):
    (scope,) = resources(text)
    assert (scope.context, scope.type, scope.letters, scope.query) == expected
    assert str(scope) == text


@pytest.mark.parametrize(
    "text",
    [
        "patient/*.dus",
        "patient/Observation.",
        "patient/Observation.sr",
        "patient/Observation.rr",
        "patient/Observation.reads",
        "Patient/Observation.rs",
        "patient/observation.rs",
        "patient/Observation.rs?",
        "patient/Observation.rs?category",
        "patient/Observation.rs?category=",
        "patient/Observation.rs?a=1&",
        "patient/Observation.read?category=a",
        "patient/Observation.rs?subject:Patient.name=a",
        "patient/Observation.rs?status=final&subject.name=a",
        "patient/Patient.rs?_has:Observation:subject:status=final",
        "patient/Observation.rs?_lastUpdated=gt2026",
        "patient/Observation.rs?_filter=status%20eq%20final",
        "patient/Observation.rs?_text=a",
        "patient/Observation.rs?_list=a",
        "patient/Observation.rs?_contained=true",
        "patient/Observation.rs?_include=*",
        "launch/Group",
        "everything",
        "patient/Observation.rs\u00e1",
    ],
)
def test_what_is_no_scope(text: str):
    with pytest.raises(ScopeError):
        parse_scope(text)


@pytest.mark.parametrize("text", ["user/*.rs?a=" + "x" * 9000, " ".join(f"user/A{'b' * n}.r" for n in range(1, 250))])
def test_too_much_is_no_set_of_scopes(text: str):
    with pytest.raises(ScopeError):
        parse_scopes(text)


def test_plain_scopes_stand_beside_those_of_resources():
    scopes = parse_scopes("openid fhirUser launch/patient offline_access patient/*.rs openid")
    assert scopes.plain == ("openid", "fhirUser", "launch/patient", "offline_access")
    assert scopes.text == "openid fhirUser launch/patient offline_access patient/*.rs"


def test_arguments_are_decoded():
    (scope,) = resources("user/Observation.rs?code=http%3A%2F%2Floinc.org%7C8480-6&note=a+b")
    assert scope.arguments == (("code", "http://loinc.org|8480-6"), ("note", "a b"))


def test_what_is_asked_of_a_resource_itself_is_an_argument():
    text = "patient/*.rs?_security=N&_tag:not=a&status=final"
    assert parse_scopes(text).text == text


def test_a_set_grants_what_any_of_its_scopes_grants():
    scopes = parse_scopes("patient/Observation.rs?category=laboratory user/Observation.r user/Patient.c")
    assert [str(each) for each in scopes.granting("Observation", "r")] == [
        "patient/Observation.rs?category=laboratory",
        "user/Observation.r",
    ]
    assert not scopes.allows("Observation", "u")
    assert not scopes.allows("Patient", "r")
    assert EVERYTHING.allows("Basic", "d")


@pytest.mark.parametrize(
    ("held", "asked", "covered"),
    [
        ("system/*.rs", "system/Patient.rs", True),
        ("system/*.r system/*.s", "system/Patient.rs", True),
        ("system/Patient.rs", "system/*.rs", False),
        ("system/Patient.rs", "system/Patient.cruds", False),
        ("user/Patient.rs", "system/Patient.rs", False),
        ("system/Observation.rs?category=a", "system/Observation.rs", False),
        ("system/Observation.rs", "system/Observation.rs?category=a", True),
        ("openid user/*.rs", "openid", True),
        ("user/*.rs", "openid user/*.rs", False),
        ("system/*.read", "system/Patient.rs", True),
    ],
)
def test_what_a_set_covers(held: str, asked: str, *, covered: bool):
    assert parse_scopes(held).covers(parse_scopes(asked)) is covered


@pytest.mark.parametrize(
    ("asked", "allowed", "both"),
    [
        ("patient/*.read", "patient/*.rs", "patient/*.read"),
        ("user/*.cruds", "user/Patient.rs user/Observation.rs", "user/Patient.rs user/Observation.rs"),
        ("user/Patient.cruds", "user/*.rs", "user/Patient.rs"),
        ("user/Patient.c", "user/*.rs", ""),
        ("user/Observation.rs", "user/Observation.rs?category=a", "user/Observation.rs?category=a"),
        ("user/Observation.rs?status=final", "user/Observation.rs?category=a",
         "user/Observation.rs?status=final&category=a"),
        ("openid launch user/*.rs", "openid user/*.r", "openid user/*.r"),
        ("patient/*.rs", "user/*.rs system/*.rs", ""),
    ],
)  # fmt: skip
def test_what_two_sets_have_in_common(asked: str, allowed: str, both: str):
    assert parse_scopes(asked).narrowed(parse_scopes(allowed)).text == both


def test_scopes_can_be_taken_away_as_they_are_written():
    scopes = parse_scopes("openid patient/*.read offline_access").without(["offline_access", "patient/*.read"])
    assert scopes == Scopes((), ("openid",))
