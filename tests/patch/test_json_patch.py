import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.errors import FhirError, Invalid, TooLarge, Unprocessable
from fhir_server.patch.json_patch import apply_json_patch, read_json_patch
from fhir_server.resource.exact import dump_exact, parse_exact_json
from fhir_server.resource.parsing import Limits
from tests.patch.patients import JSON, WORDS

PATIENT = {"resourceType": "Patient", "name": [{"given": ["A", "B"]}], "active": True, "note": None}


def difference(source: Any, target: Any, path: str = "") -> list[dict[str, Any]]:
    """Operations that make one document of another."""
    if isinstance(source, dict) and isinstance(target, dict):
        found = [{"op": "remove", "path": f"{path}/{escaped(key)}"} for key in source if key not in target]
        for key, value in target.items():
            place = f"{path}/{escaped(key)}"
            known = key in source
            found += difference(source[key], value, place) if known else [{"op": "add", "path": place, "value": value}]
        return found
    if isinstance(source, list) and isinstance(target, list):
        shorter = min(len(source), len(target))
        found = [{"op": "remove", "path": f"{path}/{at}"} for at in reversed(range(shorter, len(source)))]
        for at in range(shorter):
            found += difference(source[at], target[at], f"{path}/{at}")
        return found + [{"op": "add", "path": f"{path}/-", "value": value} for value in target[shorter:]]
    return [] if dump_exact(source) == dump_exact(target) else [{"op": "replace", "path": path, "value": target}]


def escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def sorted_text(value: Any) -> str:
    """A value with its spelling, whatever the order of members."""
    if isinstance(value, dict):
        return f"{{{','.join(f'{key!r}:{sorted_text(value[key])}' for key in sorted(value))}}}"
    return f"[{','.join(map(sorted_text, value))}]" if isinstance(value, list) else dump_exact(value).decode()


@given(JSON, JSON)
def test_a_difference_applied_gives_the_target_as_it_is_spelled(source, target):
    operations = read_json_patch(dump_exact(difference(source, target)))
    assert sorted_text(apply_json_patch(source, operations)) == sorted_text(target)


POINTERS = st.lists(
    st.one_of(WORDS, st.sampled_from(["-", "0", "1", "name", "given", "00", "1" * 5000])), max_size=4
).map(lambda steps: "".join(f"/{step}" for step in steps))
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x", 1]),
        "path": POINTERS | JSON,
        "from": POINTERS,
        "value": JSON,
    },
)


@given(JSON | st.just(PATIENT), st.lists(OPERATIONS | JSON, max_size=5), st.booleans())
def test_any_patch_is_applied_or_refused_and_leaves_its_input_alone(document, operations, keeps_emptied):
    before = copy.deepcopy((document, operations))
    with suppress(FhirError):
        apply_json_patch(document, operations, keeps_emptied=keeps_emptied)
    assert (document, operations) == before


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ({"op": "replace", "path": "/nam", "value": 1}, "/nam does not exist"),
        (
            {"op": "remove", "path": "/name/0/given/2"},
            "/name/0/given has no place 2; counted from 0, its last item is 1",
        ),
        ({"op": "add", "path": "/name/2", "value": 1}, "/name has no place 2"),
        ({"op": "add", "path": "/name/01", "value": 1}, "'01' is no index"),
        ({"op": "test", "path": "/name/-", "value": 1}, "no item after its last"),
        ({"op": "test", "path": "/active", "value": 1}, "the value is true, not 1"),
        ({"op": "add", "path": "/active/x", "value": 1}, "/active is a boolean, and can hold nothing"),
        ({"op": "test", "path": "/active/x/y", "value": 1}, "/active is a boolean, so it has no 'x'"),
        ({"op": "remove", "path": ""}, "the document itself cannot be removed"),
        ({"op": "move", "path": "/name/0", "from": "/name"}, "/name cannot be moved into itself"),
    ],
)
def test_what_the_document_does_not_allow_is_told_with_its_place(operation, text):
    with pytest.raises(Unprocessable) as failure:
        apply_json_patch(PATIENT, [{"op": "test", "path": "/active", "value": True}, operation])
    (issue,) = failure.value.issues
    assert issue.text.startswith(f"Operation [1] ({operation['op']} {operation['path'] or 'the document'}): ")
    assert text in issue.text


def test_a_missing_member_is_told_with_the_nearest_and_with_its_fhirpath():
    with pytest.raises(Unprocessable) as failure:
        apply_json_patch(PATIENT, [{"op": "replace", "path": "/name/0/give", "value": 1}])
    (issue,) = failure.value.issues
    assert issue.fix == "Did you mean 'given'?"
    assert issue.expression == ("Patient.name[0].give",)


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ([], "must be an object, and is an array"),
        ({}, "op is missing; it must be one of add, remove, replace, move, copy, test"),
        ({"op": "delete", "path": ""}, "op is 'delete'"),
        ({"op": "add", "path": "/a"}, "it has no 'value', which add needs"),
        ({"op": "copy", "path": "/a"}, "it has no 'from'"),
        ({"op": "remove", "path": "a"}, "path must start with '/'"),
        ({"op": "remove", "path": "/~2"}, "path may have '~' only in '~0'"),
        ({"op": "remove", "path": 1}, "path must be a string, and is a number"),
    ],
)
def test_what_is_no_operation_is_invalid(operation, text):
    with pytest.raises(Invalid, match="Operation") as failure:
        apply_json_patch(PATIENT, [operation])
    assert text in failure.value.issues[0].text


@pytest.mark.parametrize(
    ("patch", "text"),
    [
        ('{"op": "remove"}', "must be an array of operations; this is an object"),
        ('[{"op": "add", "path": "/a", "value": 1, "path": "/b"}]', "'path' appears more than once"),
        ("[", "ends before the JSON does"),
        ("7", "this is a number"),
    ],
)
def test_what_is_no_patch_document_is_invalid(patch, text):
    with pytest.raises(Invalid) as failure:
        read_json_patch(patch.encode())
    assert text in failure.value.issues[0].text


def test_numbers_are_equal_by_value_and_never_to_booleans_or_strings():
    document = parse_exact_json(b'{"a":1.10,"b":1,"c":[1E2]}')
    apply_json_patch(document, parse_exact_json(b'[{"op":"test","path":"","value":{"c":[100],"b":1.0,"a":1.1}}]'))
    for value in (True, "1", None, [1]):
        with pytest.raises(Unprocessable):
            apply_json_patch(document, [{"op": "test", "path": "/b", "value": value}])


def test_what_is_not_patched_keeps_its_spelling_and_order():
    document = parse_exact_json(rb'{"b":1.10,"a":"\u0041\/","c":[1E2,-0],"d":1}')
    patched = apply_json_patch(document, parse_exact_json(b'[{"op":"replace","path":"/d","value":2.50}]'))
    assert dump_exact(patched) == rb'{"b":1.10,"a":"\u0041\/","c":[1E2,-0],"d":2.50}'


def test_a_copy_is_a_value_of_its_own():
    operations = [
        {"op": "copy", "from": "/name/0", "path": "/name/-"},
        {"op": "remove", "path": "/name/1/given/0"},
    ]
    assert apply_json_patch(PATIENT, operations)["name"] == [{"given": ["A", "B"]}, {"given": ["B"]}]


def test_copies_that_double_are_bounded():
    document = {"a": ["x" * 1000]}
    with pytest.raises(TooLarge, match="copies and moves more than"):
        apply_json_patch(document, [{"op": "copy", "from": "/a", "path": "/a/-"}] * 40)


def test_depth_and_number_of_operations_are_bounded():
    with pytest.raises(TooLarge, match="nested more than 4 levels"):
        apply_json_patch({"a": []}, [{"op": "add", "path": "/a/0", "value": [[[]]]}], Limits(depth=4))
    with pytest.raises(TooLarge, match="at most 1000"):
        apply_json_patch({}, [{"op": "add", "path": "/a", "value": 1}] * 1001)


@pytest.mark.parametrize(
    ("operations", "left"),
    [
        ('[{"op":"remove","path":"/name/0"}]', '{"x":[],"_given":[null,{"id":"1"}],"given":["a",null]}'),
        (
            '[{"op":"remove","path":"/_given/1/id"}]',
            '{"x":[],"name":[{"family":"a"}],"given":["a"]}',
        ),
        (
            '[{"op":"remove","path":"/name/0/family"},{"op":"remove","path":"/given/0"}]',
            '{"x":[],"_given":[null,{"id":"1"}],"given":[null]}',
        ),
        (
            '[{"op":"remove","path":"/name/0"},{"op":"add","path":"/name/-","value":{"family":"b"}}]',
            '{"x":[],"name":[{"family":"b"}],"_given":[null,{"id":"1"}],"given":["a",null]}',
        ),
    ],
)
def test_what_a_patch_empties_can_be_left_out(operations, left):
    document = json.loads('{"x":[],"name":[{"family":"a"}],"_given":[null,{"id":"1"}],"given":["a",null]}')
    patched = apply_json_patch(document, json.loads(operations), keeps_emptied=False)
    assert patched == json.loads(left)
