from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.errors import Invalid
from fhir_server.resource.instant import epoch_milliseconds, instant, now

READ = {
    "1970-01-01T00:00:00Z": 0,
    "1970-01-01T07:00:00.25+07:00": 250,
    "1969-12-31T23:59:59.999Z": -1,
    "2015-02-07T13:28:17.2399999+02:00": 1423308497239,
    "2016-12-31T23:59:60Z": 1483228800000,
    "0001-01-01T00:00:00+14:00": -62135647200000,
    "9999-12-31T23:59:59.999-14:00": 253402351199999,
}


@pytest.mark.parametrize(("text", "milliseconds"), READ.items())
def test_reads_an_instant(text, milliseconds):
    assert epoch_milliseconds(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "", "2015", "2015-02-07", "2015-02-07T13:28:17", "2015-02-07T13:28Z", "2015-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2015-13-01T00:00:00Z", "2015-02-07T24:00:00Z", "2015-02-07T13:28:61Z", "2015-02-07T13:28:17.Z",
        "2015-02-07t13:28:17Z", "2015-02-07T13:28:17+14:30", "2015-02-07T13:28:17+0200", "2015-W06-6T13:28:17Z",
        " 2015-02-07T13:28:17Z", "2015-02-07T13:28:17Z\n", "٢٠١٥-02-07T13:28:17Z", "x" * 100_000,
    ],
)  # fmt: skip
def test_refuses_what_is_no_instant(text):
    with pytest.raises(Invalid, match="not an instant"):
        epoch_milliseconds(text)


def test_now_is_utc_with_milliseconds():
    assert now(lambda: 1_763_908_083.4129) == "2025-11-23T14:28:03.412Z"


@given(st.integers(-62135596800000, 253402300799999))
def test_an_instant_reads_back_as_written(milliseconds):
    text = instant(milliseconds)
    assert epoch_milliseconds(text) == milliseconds
    assert datetime.fromisoformat(text).tzinfo == UTC
