"""Parts come back whole, however the message is cut; what is no message is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_bridge.multipart import (
    MultipartError,
    MultipartReader,
    MultipartWriter,
    PartBegun,
    PartEnded,
    Piece,
    TooManyParts,
    boundary_of,
    media_type_of,
)

Parts = list[tuple[dict[str, str], bytes]]


def read(pieces: Iterable[bytes], boundary: bytes = b"cut", **limits: int) -> Parts:
    reader, parts, ended = MultipartReader(boundary, **limits), [], True
    for piece in pieces:
        for event in reader.feed(piece):
            match event:
                case PartBegun(headers):
                    assert ended
                    parts.append((dict(headers), b""))
                    ended = False
                case Piece(data):
                    assert data
                    parts[-1] = parts[-1][0], parts[-1][1] + data
                case PartEnded():
                    ended = True
    reader.close()
    assert ended
    return parts


def written(parts: Iterable[tuple[dict[str, str], bytes]], boundary: str = "cut") -> bytes:
    writer = MultipartWriter(boundary, "application/dicom")
    return b"".join([*(writer.begin(headers) + data for headers, data in parts), writer.end()])


def pieces_of(message: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(message) + 1) for cut in cuts), len(message)]
    return [message[start:end] for start, end in pairwise(places)]


# Data made of what a delimiter is made of finds more than data of any bytes.
NEARLY = st.lists(
    st.sampled_from([b"\r\n", b"--", b"cut", b"-", b"\r", b"\n", b"x", b" ", b"\r\n--cut!", b"\x00"])
).map(b"".join)
DATA = st.one_of(st.binary(max_size=200), NEARLY).filter(lambda data: b"\r\n--cut" not in b"\r\n" + data + b"\r\n--")
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "content-location", "x-a"]),
    st.text("abcXYZ019/;=\"'. ", max_size=30).map(str.strip),
)


@given(st.lists(st.tuples(HEADERS, DATA), max_size=4), st.lists(st.integers(0, 10_000), max_size=12))
def test_parts_come_back_however_the_message_is_cut(parts: Parts, cuts: list[int]):
    assert read(pieces_of(written(parts), cuts)) == parts


@given(st.binary(max_size=60), st.binary(max_size=60), st.lists(st.integers(0, 200), max_size=8))
def test_bytes_that_only_look_like_a_delimiter_are_data(before: bytes, after: bytes, cuts: list[int]):
    data = before.replace(b"\r", b"") + b"\r\n--cutlery" + after.replace(b"\r", b"")
    assert read(pieces_of(written([({}, data)]), cuts)) == [({}, data)]


@given(st.one_of(st.binary(max_size=300), NEARLY), st.lists(st.integers(0, 300), max_size=6))
def test_any_bytes_are_parts_or_refused(message: bytes, cuts: list[int]):
    try:
        whole: Parts | None = read([message])
    except MultipartError:
        whole = None
    try:
        cut: Parts | None = read(pieces_of(message, cuts))
    except MultipartError:
        cut = None
    assert whole == cut


def test_what_is_before_and_after_the_parts_is_passed_over():
    assert read([b"a preamble\r\n--cut  \r\nA: b\r\n c\r\n\r\ndata\r\n--cut--\r\nan epilogue\r\n--cut"]) == [
        ({"a": "b c"}, b"data")
    ]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"", "no boundary"),
        (b"no delimiter at all", "no boundary"),
        (b"--other\r\n\r\ndata\r\n--other--\r\n", "no boundary"),
        (b"--cut\r\n\r\ndata", "before its last boundary"),
        (b"--cut\r\n\r\ndata\r\n--cut\r\n", "before its last boundary"),
        (b"--cut\r\nno header\r\n\r\n--cut--", "without a name"),
        (b"--cut\r\n: nameless\r\n\r\n--cut--", "without a name"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(message: bytes, says: str):
    with pytest.raises(MultipartError, match=says):
        read([message])


def test_headers_without_end_are_refused_before_they_are_held():
    reader = MultipartReader(b"cut", header_bytes=1_000)
    list(reader.feed(b"--cut\r\nA: "))
    list(reader.feed(b"x" * 900))
    with pytest.raises(TooManyParts, match="longer than 1,000 bytes"):
        list(reader.feed(b"x" * 200))


def test_too_many_parts_are_refused():
    with pytest.raises(TooManyParts, match="more than 3 parts"):
        read([written([({}, b"")] * 4)], most_parts=3)


def test_a_large_part_is_never_held():
    reader = MultipartReader(b"cut")
    list(reader.feed(b"--cut\r\n\r\n"))
    for _ in range(200):
        passed = sum(len(event.data) for event in reader.feed(bytes(100_000)) if isinstance(event, Piece))
        assert passed > 99_000
    assert len(reader._buffer) < 100


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        ("application/dicom", "application/dicom", {}),
        (
            'Multipart/Related; type="application/dicom"; boundary="a b"',
            "multipart/related",
            {"type": "application/dicom", "boundary": "a b"},
        ),
        (
            "multipart/related;Boundary=abc;transfer-syntax=*",
            "multipart/related",
            {"boundary": "abc", "transfer-syntax": "*"},
        ),
        ("", "", {}),
    ],
)
def test_a_media_type_is_read_with_its_parameters(text: str, name: str, parameters: dict[str, str]):
    found = media_type_of(text)
    assert (found.name, dict(found.parameters)) == (name, parameters)


@pytest.mark.parametrize("boundary", ["", '""', '"ends with a blank "', "x" * 71, '"ü"', '"a;b"'])
def test_a_boundary_that_is_none_is_refused(boundary: str):
    with pytest.raises(MultipartError, match="names no boundary"):
        boundary_of(media_type_of(f"multipart/related; boundary={boundary}"))
