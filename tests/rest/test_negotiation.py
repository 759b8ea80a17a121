import pytest

from fhir_server.errors import Invalid
from fhir_server.rest.cursor import Cursors
from fhir_server.rest.failure import NotAcceptable, UnknownMediaType
from fhir_server.rest.header import http_date, seconds_of, version_number, versions_in
from fhir_server.rest.preference import NO_PREFERENCE, Preference, read_preference
from fhir_server.rest.representation import AS_STORED, accepted, format_of, with_parameters


@pytest.mark.parametrize(
    ("value", "preference"),
    [
        (b"return=minimal", Preference("minimal")),
        (b'return="OperationOutcome"; handling=lenient', Preference("OperationOutcome", lenient=True)),
        (b"handling=strict, return=representation", Preference("representation")),
        (b"respond-async", NO_PREFERENCE),
        (b"return", NO_PREFERENCE),
        (b"x" * 1000, NO_PREFERENCE),
    ],
)
def test_preferences(value, preference):
    assert read_preference(value) == preference


@pytest.mark.parametrize(
    ("accept", "format", "native"),
    [
        (None, "json", True),
        (b"*/*", "json", True),
        (b"application/fhir+xml", "xml", False),
        (b"application/fhir+xml;q=0.5, application/json", "json", False),
        (b"text/html, application/xml;q=0.9, */*;q=0.8", "xml", False),
        (b"application/fhir+json; fhirVersion=4.0", "json", False),
        (b"image/png, */*;q=x", None, None),
        (b"", None, None),
    ],
)
def test_formats_asked_for(accept, format, native):  # noqa: A002 -- the word of the standard
    if format is None:
        with pytest.raises(NotAcceptable):
            accepted(accept)
    else:
        form = accepted(accept)
        assert (form.format, form.native) == (format, native)


def test_the_query_goes_before_the_header():
    form = with_parameters(AS_STORED, [("_format", "application/fhir xml"), ("_pretty", "true"), ("name", "a")])
    assert (form.format, form.pretty) == ("xml", True)
    assert with_parameters(AS_STORED, [("name", "a")]) is AS_STORED
    assert with_parameters(AS_STORED, [("_elements", "id, name"), ("_elements", "")]).elements == ("id", "name")
    with pytest.raises(Invalid, match="exclude each other"):
        with_parameters(AS_STORED, [("_elements", "id"), ("_summary", "true")])


@pytest.mark.parametrize(
    ("content_type", "format"),
    [
        (None, None),
        (b"application/fhir+json", "json"),
        (b"Application/FHIR+JSON; Charset=UTF-8", "json"),
        (b"text/xml; charset=utf-8; fhirVersion=4.0", "xml"),
        (b"application/fhir+json; fhirVersion=5.0", UnknownMediaType),
        (b"application/octet-stream", UnknownMediaType),
        (b"", UnknownMediaType),
    ],
)
def test_formats_announced(content_type, format):  # noqa: A002 -- the word of the standard
    if format is UnknownMediaType:
        with pytest.raises(UnknownMediaType):
            format_of(content_type)
    else:
        assert format_of(content_type) == format


def test_versions_in_headers():
    assert versions_in('W/"3"', "If-Match") == (3,)
    assert versions_in('"3", 4 , W/"x"', "If-Match") == (3, 4, -1)
    assert versions_in(" * ", "If-Match") == "*"
    for wrong in ('W/"3', "", "a b"):
        with pytest.raises(Invalid, match="If-Match"):
            versions_in(wrong, "If-Match")
    assert [version_number(text) for text in ("1", "0", "01", "-1", "\u0661", "9" * 30, "")] == [
        1,
        -1,
        -1,
        -1,
        -1,
        -1,
        -1,
    ]


def test_dates_in_headers():
    assert http_date(1763892448) == b"Sun, 23 Nov 2025 10:07:28 GMT"
    assert seconds_of("Sun, 23 Nov 2025 10:07:28 GMT") == 1763892448
    assert seconds_of("soon") is None
    assert seconds_of("Sun, 99 Nov 2025 10:07:28 GMT") is None


def test_a_cursor_is_read_where_it_was_made():
    cursors = Cursors(b"key")
    text = cursors.sign("[1,2]", "Patient?name=a")
    assert cursors.read(text, "Patient?name=a") == "[1,2]"
    for wrong, about, key in (
        (text, "Patient?name=b", b"key"),
        (text, "Patient?name=a", b"other"),
        (text[:-1], "Patient?name=a", b"key"),
        ("", "Patient?name=a", b"key"),
        ("é", "Patient?name=a", b"key"),
        ("x" * 5000, "Patient?name=a", b"key"),
    ):
        with pytest.raises(Invalid, match="_cursor"):
            Cursors(key).read(wrong, about)
