import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.errors import FhirError, Invalid, TooLarge
from fhir_server.resource.parsing import Limits, parse, repeated_members
from tests.resource.json_text import has_repeated_member, read, resources

GOOD = '{"resourceType":"Patient","name":[{"family":"Nguyễn"}]}'

REFUSED = {
    "nothing": (b"", "empty"),
    "only blanks": (b" \n\t", "empty"),
    "byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": (GOOD.encode("utf-16"), "not UTF-8"),
    "Latin 1": (b'{"resourceType":\n "\xe9"}', "not UTF-8: byte 20, line 2, column 3"),
    "an overlong encoding": (b'{"resourceType":"\xc0\x80"}', "not UTF-8"),
    "an encoded surrogate": (b'{"resourceType":"\xed\xa0\x80"}', "not UTF-8"),
    "NaN": (b'{"resourceType":"A","b":NaN}', "NaN and Infinity are not JSON numbers, at line 1, column 25"),
    "Infinity": (b'{"resourceType":"A","b":Infinity}', "NaN and Infinity are not JSON numbers"),
    "minus Infinity": (b'{"resourceType":"A","b":-Infinity}', "NaN and Infinity are not JSON numbers"),
    "a huge exponent": (b'{"resourceType":"A","b":1e400}', "infinity"),
    "a huge integer": (b'{"resourceType":"A","b":' + b"9" * 5000 + b"}", "infinity"),
    "a leading zero": (b'{"resourceType":"A","b":01}', "leading zero"),
    "a hexadecimal number": (b'{"resourceType":"A","b":0x1F}', "not JSON"),
    "trailing garbage": (b'{"resourceType":"A"}\n }', "after document, at line 2, column 2"),
    "a second document": (b'{"resourceType":"A"}{"resourceType":"A"}', "after document"),
    "a trailing NUL": (b'{"resourceType":"A"}\0', "after document"),
    "a trailing comma": (b'{"resourceType":"A",}', "trailing comma"),
    "a comment": (b'{"resourceType":"A", // x\n "b":1}', "JSON has no comments, at line 1, column 22"),
    "a block comment": (b'/* x */{"resourceType":"A"}', "JSON has no comments"),
    "an unquoted name": (b'{resourceType:"A"}', "a word must stand in double quotes, at line 1, column 2"),
    "single quotes": (b"{'resourceType':'A'}", "double quotes"),
    "a Python literal": (b'{"resourceType":None}', "a word must stand in double quotes"),
    "a missing comma": ('{"é":1,\n"resourceType":"A" "b":1}'.encode(), "line 2, column 20"),
    "cut off": (b'{"resourceType":"A","b":[1,', "ends before the JSON does"),
    "cut off in a string": (b'{"resourceType":"A', "ends before the JSON does"),
    "an unknown escape": (rb'{"resourceType":"\q"}', "escape"),
    "half a surrogate pair": (rb'{"resourceType":"\ud800"}', "surrogate"),
    "a raw control character": (b'{"resourceType":"\x01"}', "control character"),
    "an escaped NUL": (rb'{"resourceType":"A","b":"\\\u0000"}', r"\u0000 is not allowed in FHIR, at line 1, column 28"),
    "an escaped backspace": (rb'{"resourceType":"A","b":"\b"}', r"\b"),
    "an escaped control character in a name": (rb'{"resourceType":"A","\u001F":1}', r"\u001F"),
    "an array": (b"[]", "one JSON object"),
    "a string": (b'"Patient"', "one JSON object"),
    "null": (b"null", "one JSON object"),
    "no resourceType": (b'{"id":"a"}', "resourceType is missing"),
    "resourceType null": (b'{"resourceType":null}', "resourceType is missing"),
    "resourceType a number": (b'{"resourceType":1}', "resourceType must be a string"),
    "resourceType empty": (b'{"resourceType":""}', "resourceType must be a string"),
}


@pytest.mark.parametrize(("raw", "saying"), REFUSED.values(), ids=REFUSED)
def test_refuses(raw, saying):
    with pytest.raises(Invalid) as refusal:
        parse(raw)
    (issue,) = refusal.value.issues
    assert saying in issue.text
    assert issue.is_error


def test_reads_a_resource():
    assert parse(GOOD.encode()) == json.loads(GOOD)


@pytest.mark.parametrize("text", [r"\t\n\r\u0009\u000a\u000D", r"\\b", r"\\u0000", r"\u0080\u00e9\u0020", r"\""])
def test_accepts_escapes_that_are_no_forbidden_control_character(text):
    raw = f'{{"resourceType":"A","b":"{text}"}}'
    assert parse(raw.encode()) == json.loads(raw)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_depth_is_limited_exactly(opening):
    levels = opening.count("[") + opening.count("{")
    closing = "".join({"[": "]", "{": "}"}[each] for each in reversed(opening) if each in "[{")

    def nested(times: int) -> bytes:
        return f'{{"resourceType":"A","b":{opening * times}1{closing * times}}}'.encode()

    parse(nested(60), Limits(depth=1 + 60 * levels))
    with pytest.raises(TooLarge, match=f"more than {60 * levels} levels"):
        parse(nested(60), Limits(depth=60 * levels))
    with pytest.raises(Invalid):
        parse(nested(5000))
    with pytest.raises(Invalid):
        parse(opening.encode() * 100_000)


def test_brackets_in_strings_and_side_by_side_are_no_depth():
    parse(b'{"resourceType":"A","b":["%b"],"c":[%b[]]}' % (b"[{" * 200, b"[]," * 200))


@pytest.mark.parametrize("text", ['"}}}}"', '"\\"]]]]"', '"]","","]","\\\\"', '""', '"]":""'])
def test_no_string_hides_depth(text):
    strings = f"{{{text}}}" if '":' in text else f"[{text}]"
    raw = f'{{"resourceType":"Basic","a":[{strings},[[[["{"x" * 400}"]]]],{strings}]}}'.encode()
    parse(raw, Limits(depth=6, string=400, keys=20))
    with pytest.raises(TooLarge):
        parse(raw, Limits(depth=5, string=400, keys=20))
    with pytest.raises(TooLarge):
        parse(raw, Limits(depth=6, string=399, keys=20))


def deepest(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(deepest, inner), default=0)


def longest(value):
    if isinstance(value, str):
        return len(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max(map(longest, inner), default=0)


TEXTS = st.text(st.sampled_from('"\\\\[{}]:,x'), max_size=9)
TREES = st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner))


@given(TREES, st.integers(1, 6), st.integers(1, 9))
def test_limits_are_kept_whatever_strings_hold(tree, depth, string):
    body = {"resourceType": "A", "c": tree}
    raw = json.dumps(body).encode()
    if deepest(body) <= depth and longest(body) <= string:
        parse(raw, Limits(depth=depth, string=string))
    else:
        with pytest.raises(TooLarge):
            parse(raw, Limits(depth=depth, string=string))


def test_the_number_of_members_is_limited_exactly():
    body = {"resourceType": "A", "b": [{"c": 1, "d": {"e": 1}}] * 10}
    raw = json.dumps(body, separators=(",", ":")).encode()
    parse(raw, Limits(keys=32))
    with pytest.raises(TooLarge, match="has 32 members; at most 31"):
        parse(raw, Limits(keys=31))


def test_strings_are_limited_but_not_base64_and_xhtml():
    limits = Limits(string=10)
    long = "x" * 11
    accepted = {"div": long, "content": [{"data": long, "valueBase64Binary": long}], "text": "é" * 10}
    parse(json.dumps({"resourceType": "A", **accepted}).encode(), limits)
    for refused, where in (
        ({"b": [{"c": [long]}]}, "A.b[0].c[0]"),
        ({"b": [{"c": long}]}, "A.b[0].c"),
        ({"divs": long}, "A.divs"),
    ):
        with pytest.raises(TooLarge, match="11 characters; FHIR allows 10") as refusal:
            parse(json.dumps({"resourceType": "A", **refused}).encode(), limits)
        assert refusal.value.issues[0].expression == (where,)


REPEATED = {
    "at the top": ('{"resourceType":"A","b":1,"b":1}', ["A.b"]),
    "with blanks": ('{"resourceType":"A","b" : 1 , "b"\n:\t1}', ["A.b"]),
    "spelled with escapes": (r'{"resourceType":"A","meta":1,"m\u0065ta":1}', ["A.meta"]),
    "three times": ('{"resourceType":"A","b":1,"b":2,"b":3}', ["A.b"]),
    "deep within": ('{"resourceType":"A","b":[{},{"c":{"d":1,"d":2,"e":1,"e":2}}]}', ["A.b[1].c.d", "A.b[1].c.e"]),
    "within what is lost": ('{"resourceType":"A","b":{"c":1,"c":2},"b":1}', ["A.b"]),
    "of the empty name": ('{"resourceType":"A","":1,"":2}', ["A."]),
    "balanced by a string that starts with a colon": ('{"resourceType":"A","b":":","b":1}', ["A.b"]),
    "resourceType itself": ('{"resourceType":"A","resourceType":"B"}', ["B.resourceType"]),
}


@pytest.mark.parametrize(("text", "places"), REPEATED.values(), ids=REPEATED)
def test_repeated_members_are_named_with_their_place(text, places):
    issues = repeated_members(text.encode(), parse(text.encode()))
    assert [issue.expression[0] for issue in issues] == places


@pytest.mark.parametrize("text", ['":"', r'"\":"', '": :"', '"a\\":b"', '[":",": "]', '{"a":{"a":{"a":1}}}'])
def test_strings_with_colons_are_no_repeated_members(text):
    raw = f'{{"resourceType":"A","b":{text}}}'.encode()
    assert repeated_members(raw, parse(raw)) == ()


def test_a_count_that_is_too_low_is_decided_by_reading():
    raw = b'{"resourceType":"A","b":1}'
    assert repeated_members(raw, parse(raw), keys=0) == ()


def test_few_of_very_many_repetitions_are_told():
    raw = b'{"resourceType":"A","b":[%b{}]}' % (b'{"c":1,"c":1},' * 1000)
    assert len(repeated_members(raw, parse(raw))) == 20


@given(resources(repeated=True))
def test_repetition_is_found_exactly(text):
    raw = text.encode()
    repeated = has_repeated_member(read(text))
    if type(json.loads(text)["resourceType"]) is not str or not json.loads(text)["resourceType"]:  # the second of two
        return
    body = parse(raw)
    assert bool(repeated_members(raw, body)) == repeated


@given(
    st.one_of(st.binary(), st.text().map(str.encode), resources().map(str.encode)),
    st.binary(max_size=3),
    st.integers(0),
)
def test_no_bytes_raise_anything_but_a_refusal(raw, insertion, at):
    at %= len(raw) + 1
    for sent in (raw, raw[:at] + insertion + raw[at:], raw[:at], raw[at:]):
        with suppress(FhirError):
            repeated_members(sent, parse(sent))


def test_every_official_example_is_read(r4_examples):
    for name, raw in r4_examples.items():
        body = parse(raw)
        assert body == json.loads(raw), name
        assert repeated_members(raw, body) == (), name
