import orjson
import pytest

from fhir_server.definitions.registry import r4
from fhir_server.repository.reference import Links, Targets, conditions_in, reference_texts

URN = "urn:uuid:00000000-0000-4000-8000-000000000001"


@pytest.fixture
def links():
    made = Links()
    made.add(URN, "Patient/1")
    made.add("https://elsewhere.example/Patient/9", "Patient/9a")
    return made


def put(links, body):
    raw = orjson.dumps(body)
    return orjson.loads(links.put(raw, r4()))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":{"reference":"Patient/1"},"b":[{"reference" : "#x"}],"c":"\\"reference\\":\\"Patient/2\\""}',
        b'{"a":{"reference":"Patient\\/1"},"b":[{"refer\\u0065nce":"#x"}],"c":{"reference":{"d":1}}}',
    ],
)
def test_every_reference_is_found_however_it_is_spelled(raw):
    assert sorted(reference_texts(raw, orjson.loads(raw))) == ["#x", "Patient/1"]


def test_only_references_to_this_server_are_its_own():
    targets = Targets(frozenset({"Patient"}), ["http://node/fhir/"])
    own = ["Patient/1", "http://node/fhir/Patient/1/_history/3", "Patient/1#a", "Patient/2"]
    others = ["#a", URN, "https://elsewhere.example/Patient/1", "Nothing/1", "Patient?a=b", "Patient", ""]
    assert targets.all_of(own + others) == (("Patient", "1"), ("Patient", "2"))
    assert conditions_in(own + others) == ["Patient?a=b"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (URN, "Patient/1"),
        (f"{URN}#part", "Patient/1#part"),
        (f"{URN}/_history/1", "Patient/1"),
        ("https://elsewhere.example/Patient/9", "Patient/9a"),
        ("https://elsewhere.example/Patient/99", "https://elsewhere.example/Patient/99"),
        ("Patient/2", "Patient/2"),
    ],
)
def test_a_link_becomes_what_it_stands_for(links, sent, stored):
    body = {"resourceType": "Observation", "subject": {"reference": sent}}
    assert put(links, body)["subject"]["reference"] == stored


def test_links_in_uris_and_narratives_are_put_and_others_are_not(links):
    body = {
        "resourceType": "Observation",
        "text": {"div": f'<div><a href="{URN}">{URN}</a></div>'},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": URN}],
        "extension": [{"url": "https://example.org/x", "valueUri": URN}, {"url": URN, "valueCanonical": URN}],
    }
    assert put(links, body) == {
        "resourceType": "Observation",
        "text": {"div": f'<div><a href="Patient/1">{URN}</a></div>'},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": URN}],
        "extension": [
            {"url": "https://example.org/x", "valueUri": "Patient/1"},
            {"url": "Patient/1", "valueCanonical": URN},
        ],
    }


def test_what_has_no_link_stays_as_it_is(links):
    raw = b'{"resourceType" : "Observation", "subject":{"reference":"Patient\\/2"},"valueQuantity":{"value":1.10}}'
    assert links.put(raw, r4()).replace(b" ", b"") == raw.replace(b" ", b"")
