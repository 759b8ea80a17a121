import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.resource.reference import Canonical, Reference, parse_canonical, parse_reference

UUID = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"

REFERENCES = {
    "Patient/1": {"kind": "relative", "type": "Patient", "id": "1"},
    "Patient/a.B-9/_history/2": {"kind": "relative", "type": "Patient", "id": "a.B-9", "version": "2"},
    "https://example.org/fhir/Patient/1": {
        "kind": "absolute", "base": "https://example.org/fhir", "type": "Patient", "id": "1",
    },
    "http://h:8080/a/b/Patient/1/_history/2": {
        "kind": "absolute", "base": "http://h:8080/a/b", "type": "Patient", "id": "1", "version": "2",
    },
    "http://h/Patient/1#p": {"kind": "absolute", "base": "http://h", "type": "Patient", "id": "1", "fragment": "p"},
    "#p1": {"kind": "fragment", "fragment": "p1"},
    "#": {"kind": "fragment", "fragment": ""},
    UUID: {"kind": "urn"},
    "urn:oid:1.2.840.10008": {"kind": "urn"},
    "Patient?identifier=http://a|b&active=true": {
        "kind": "conditional", "type": "Patient", "query": "identifier=http://a|b&active=true",
    },
    "urn:uuid:1": {"kind": "other"},
    "urn:oid:3.1": {"kind": "other"},
    "http://example.org": {"kind": "other"},
    "http://example.org/page?Patient/1": {"kind": "other"},
    "http:///Patient/1": {"kind": "other"},
    "patient/1": {"kind": "other"},
    "Patient/": {"kind": "other"},
    "Patient/1/": {"kind": "other"},
    "/Patient/1": {"kind": "other"},
    "Patient/a b": {"kind": "other"},
    f"Patient/{'a' * 65}": {"kind": "other"},
    "Patient/1\n": {"kind": "other"},
    "Patient?": {"kind": "other"},
    "": {"kind": "other"},
}  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), REFERENCES.items())
def test_parts_of_a_reference(text, parts):
    assert parse_reference(text) == Reference(text, **parts)


def test_path_leaves_base_and_version_out():
    assert parse_reference("http://h/Patient/1/_history/2").path == "Patient/1"
    assert parse_reference(UUID).path is None


CANONICALS = {
    "http://a/b": Canonical("http://a/b"),
    "http://a/b|1.0": Canonical("http://a/b", "1.0"),
    "http://a/b|1.0#c": Canonical("http://a/b", "1.0", "c"),
    "http://a/b#c": Canonical("http://a/b", None, "c"),
    "http://a/b|": Canonical("http://a/b"),
    "#c": Canonical("", None, "c"),
}


@pytest.mark.parametrize(("text", "parts"), CANONICALS.items())
def test_parts_of_a_canonical(text, parts):
    assert parse_canonical(text) == parts


@given(st.one_of(st.text(), st.from_regex(r"[a-z]*:?/*[A-Z][a-z]*[/?#|][a-zA-Z0-9/#|]*")))
def test_any_text_is_some_reference_and_some_canonical(text):
    assert parse_reference(text).text == text
    parse_canonical(text)


def test_very_long_texts_are_read_in_linear_time():
    for text in ("http://" + "a/" * 500_000, "A" * 1_000_000, "http://h" + "/Patient/1" * 100_000 + "/"):
        assert parse_reference(text).kind == "other"
