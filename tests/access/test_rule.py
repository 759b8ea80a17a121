from typing import get_args

import pytest

from fhir_server.access.caller import ROLES
from fhir_server.access.resource_class import CLASS_OF, MEANING, TYPES
from fhir_server.access.role import BY_CODE
from fhir_server.access.rule import RULES, Ground, grounds
from fhir_server.definitions.registry import r4


def test_every_resource_type_is_in_one_class():
    listed = [name for names in TYPES.values() for name in names.split()]
    assert sorted(listed) == sorted(r4().resource_types)
    assert set(TYPES) == set(MEANING) == set(CLASS_OF.values())


def test_rules_speak_of_roles_classes_and_grounds_that_there_are_and_once_of_each():
    assert len({(rule.role, rule.about) for rule in RULES}) == len(RULES)
    assert {rule.role for rule in RULES} == set(BY_CODE) == set(ROLES)
    assert {rule.about for rule in RULES} <= set(MEANING)
    used = {word for rule in RULES for text in rule[2:] for word in text.split()}
    assert used == set(get_args(Ground))


@pytest.mark.parametrize("role", BY_CODE)
def test_nobody_changes_or_removes_what_was_recorded_of_accesses_or_of_origins(role):
    for about in ("audit", "trail"):
        assert not grounds(frozenset({role}), about, "change")
        assert not grounds(frozenset({role}), about, "remove")
    assert not grounds(frozenset({role}), "audit", "create")


@pytest.mark.parametrize("role", ["province", "ministry"])
def test_authorities_read_no_record(role):
    readable = {rule.about for rule in RULES if rule.role == role and rule.read}
    assert readable == {"master", "definition", "number"}


def test_what_may_be_created_or_changed_may_be_read():
    for rule in RULES:
        assert set(rule.change.split()) <= set(rule.read.split()) | {"own"}
        assert not (rule.create or rule.change or rule.remove) or rule.read
