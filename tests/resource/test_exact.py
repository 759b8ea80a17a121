import copy
import json
import pickle
from decimal import Decimal

import orjson
import pytest
from hypothesis import given

from fhir_server.errors import Invalid
from fhir_server.resource.exact import SpelledDecimal, dump_exact, may_lose, parse_exact
from fhir_server.resource.parsing import parse
from tests.resource.json_text import has_repeated_member, read, resources, tokens

NUMBERS = [
    "1.10", "1.00E-2", "-1e+245", "1E5", "0.0", "-0.0", "-0", "0", "12345678901234567890123456789.0", "0.1000",
    "18446744073709551615", "18446744073709551616", "-9223372036854775809", "9007199254740993.5", "1e-7", "0.0000001",
]  # fmt: skip
STRINGS = [
    r"\/",
    r"\u00e9",
    r"\u00E9",
    "é",
    r"\ud83d\ude00",
    "😀",
    r"\\/",
    r"\\u0041",
    r"\u0041",
    r"\n\t\r\"\\",
    r"\u000a",
    "",
]


def sent(value: str) -> bytes:
    return f'{{"resourceType":"A","value":{value}}}'.encode()


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_come_back_as_spelled(number):
    body = parse_exact(sent(number))
    assert dump_exact(body) == sent(number)
    assert body["value"] == Decimal(number)


@pytest.mark.parametrize("string", STRINGS)
def test_strings_come_back_as_spelled(string):
    raw = sent(f'["{string}",{{"{string}":1.10}}]')
    body = parse_exact(raw)
    assert dump_exact(body) == raw
    assert body["value"] == [json.loads(raw)["value"][0], {json.loads(f'"{string}"'): Decimal("1.10")}]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda body: pickle.loads(pickle.dumps(body))])
def test_copies_keep_the_spelling(again):
    raw = sent(r'["\u0041\/",1.10,1E2,{"\/":-0}]')
    assert dump_exact(again(parse_exact(raw))) == raw


def test_integers_are_integers_and_computed_decimals_are_plain():
    assert type(parse_exact(sent("12"))["value"]) is int
    total = SpelledDecimal("1.10") + 1
    assert type(total) is Decimal
    assert dump_exact([total, 1.5, None, True, "é"]) == '[2.10,1.5,null,true,"é"]'.encode()


@pytest.mark.parametrize("number", ["1e-1000", "0e9999", "0.0E-00012345", "1e-99999999999999999999999"])
def test_an_absurd_exponent_is_refused(number):
    with pytest.raises(Invalid, match="exponent"):
        parse_exact(sent(number))


def test_what_parse_refuses_is_refused():
    with pytest.raises(Invalid, match="resourceType"):
        parse_exact(b"{}")


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), {1, 2}, object()])
def test_what_json_cannot_hold_is_not_written(value):
    with pytest.raises(TypeError):
        dump_exact({"value": value})


@given(resources())
def test_any_resource_comes_back_token_for_token(text):
    if not has_repeated_member(read(text)):
        body = parse_exact(text.encode())
        assert dump_exact(body) == tokens(text).encode()
        assert body == json.loads(text, parse_float=Decimal)


@given(resources())
def test_what_may_not_lose_comes_back_from_plain_parsing(text):
    raw = text.encode()
    if not may_lose(raw) and not has_repeated_member(read(text)):
        assert orjson.dumps(parse(raw)) == tokens(text).encode()


@pytest.mark.parametrize("harmless", ["1.5", "-12", "0.1", '"2026-11-23"', "120.25", "-0.5"])
def test_ordinary_values_raise_no_alarm(harmless):
    assert not may_lose(sent(harmless))


def test_official_examples_come_back_token_for_token(r4_examples):
    for name in sorted(r4_examples)[::10]:  # tests/conformance/examples_round_trip.py takes them all
        raw = r4_examples[name]
        assert dump_exact(parse_exact(raw)) == tokens(raw.decode()).encode(), name
