"""What is remembered of values that were right before changes no verdict."""

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.validation.validator import Validator


@pytest.fixture(scope="module")
def validator():
    return Validator(r4())


def verdict(validator, coding):
    body = {"resourceType": "Basic", "code": {"coding": [coding]}}
    found = validator.validate(body)
    return [issue.expression for issue in found.issues], found.members


SOUND = {"system": "http://loinc.org", "code": "1-8", "display": "Acyclovir"}


def test_a_coding_is_sound_each_time_and_counts_its_members(validator):
    assert verdict(validator, SOUND) == verdict(validator, dict(SOUND)) == ([], 6)


@pytest.mark.parametrize(
    "wrong",
    [
        {**SOUND, "code": "1 - 8 "},
        {**SOUND, "userSelected": 1},
        {**SOUND, "userSelected": "true"},
        {**SOUND, "display": ""},
        {**SOUND, "display": ["Acyclovir"]},
        {**SOUND, "displayed": "Acyclovir"},
        {},
    ],
)
def test_a_coding_that_is_wrong_is_so_each_time(validator, wrong):
    right = {**SOUND, "userSelected": True}
    assert verdict(validator, SOUND)[0] == verdict(validator, right)[0] == []
    first = verdict(validator, wrong)
    assert first[0]
    assert verdict(validator, wrong) == first


def test_the_use_of_a_contained_resource_is_seen_each_time(validator):
    contained = {"resourceType": "CodeSystem", "id": "c", "status": "draft", "content": "complete"}
    body = {"resourceType": "Basic", "contained": [contained], "code": {"coding": [{"system": "#c", "code": "a"}]}}
    assert not any(validator.validate(body).issues for _ in range(2))
