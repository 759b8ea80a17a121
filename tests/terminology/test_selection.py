import pytest

from tests.terminology.terminologies import code_system, codes, expanded, terminology, value_set, where

ANIMALS = code_system(
    "animal",
    {"code": "animal", "concept": [
        {"code": "mammal", "display": "Mammal", "concept": [
            {"code": "bat", "display": "Bat", "property": [{"code": "flies", "valueBoolean": True}]},
            {"code": "dog", "display": "Dog", "property": [{"code": "legs", "valueInteger": 4}]},
        ]},
        {"code": "bird", "display": "Bird", "property": [{"code": "flies", "valueBoolean": True}]},
    ]},
    {"code": "flyer", "property": [{"code": "child", "valueCode": "bat"}, {"code": "child", "valueCode": "bird"}]},
    {"code": "pet", "property": [{"code": "legs", "valueInteger": 4}]},
    {"code": "poodle", "property": [
        {"code": "subsumedBy", "valueCode": "dog"}, {"code": "parent", "valueCode": "pet"},
    ]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("prop", "op", "value", "selected"),
    [
        ("concept", "is-a", "mammal", "mammal bat dog poodle"),
        ("concept", "is-a", "flyer", "bat bird flyer"),
        ("concept", "is-a", "pet", "pet poodle"),
        ("concept", "descendent-of", "mammal", "bat dog poodle"),
        ("concept", "is-not-a", "animal", "flyer pet"),
        ("concept", "generalizes", "bat", "animal mammal bat flyer"),
        ("concept", "generalizes", "poodle", "animal mammal dog pet poodle"),
        ("code", "=", "bat", "bat"),
        ("display", "=", "Dog", "dog"),
        ("flies", "=", "true", "bat bird"),
        ("legs", "=", "4", "dog pet"),
        ("parent", "=", "mammal", "bat dog"),
        ("child", "=", "bat", "mammal flyer"),
        ("concept", "in", "bat, dog,cow", "bat dog"),
        ("concept", "not-in", "animal,mammal,flyer", "bat dog bird pet poodle"),
        ("concept", "regex", "b.*", "bat bird"),
        ("display", "regex", "[BD]..", "bat dog"),
        ("display", "regex", "B", ""),
        ("flies", "exists", "true", "bat bird"),
        ("flies", "exists", "false", "animal mammal dog flyer pet poodle"),
        ("concept", "is-a", "unknown", ""),
    ],
)
def test_a_filter_selects(prop, op, value, selected):
    known = terminology(ANIMALS, value_set("v", where("animal", prop, op, value)))
    assert codes(known, "v") == selected.split()


def test_all_filters_of_an_include_must_hold():
    both = where("animal", "concept", "is-a", "mammal")
    both["filter"].append({"property": "flies", "op": "=", "value": "true"})
    assert codes(terminology(ANIMALS, value_set("v", both)), "v") == ["bat"]


def test_a_regular_expression_that_cannot_be_read_selects_nothing_for_sure():
    known = terminology(ANIMALS, value_set("v", where("animal", "concept", "regex", "(b")))
    assert codes(known, "v") == []
    assert expanded(known, "v").complete is False


def test_a_regular_expression_takes_linear_time():
    long = code_system("long", {"code": "a" * 5_000 + "b"})
    known = terminology(long, value_set("v", where("long", "concept", "regex", "(a+)+")))
    assert codes(known, "v") == []
