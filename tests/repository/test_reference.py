import orjson
import pytest

from fhir_server.definitions.registry import r4
from fhir_server.repository.reference import Links, Targets, conditions_in, reference_texts
from fhir_server.repository.sent import Sent
from fhir_server.resource.exact import parse_exact
from fhir_server.resource.parsing import parse

URN = "urn:uuid:00000000-0000-4000-8000-000000000001"


@pytest.fixture
def links():
    made = Links()
    made.add(URN, "Patient/1")
    made.add("https://elsewhere.example/Patient/9", "Patient/9a")
    return made


def put(links, body):
    return orjson.loads(links.put_everywhere(orjson.dumps(body), r4()))


def test_every_reference_is_found_wherever_it_is():
    body = {"a": {"reference": "Patient/1"}, "b": [[{"reference": "#x"}]], "c": {"reference": {"reference": "#d"}}}
    assert sorted(reference_texts(body)) == ["#d", "#x", "Patient/1"]


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
    raw = b'{"resourceType":"Observation","subject":{"reference":"Patient\\/2"},"valueQuantity":{"value":1.10}}'
    assert links.put_everywhere(raw, r4()) == raw


@pytest.mark.parametrize("reads", [parse, parse_exact])
def test_a_resource_is_linked_as_it_is_spelled_and_can_be_put_back(links, reads):
    raw = b'{"resourceType":"Observation","subject":{"reference":"%b"},"focus":[{"reference":"Patient/2"}]}'
    sent = Sent(parse(raw % URN.encode()), exact=reads(raw % URN.encode()))
    sent.link(links.texts)
    assert sent.references() == ["Patient/1", "Patient/2"]
    assert sent.json() == raw % b"Patient/1"
    sent.put_back()
    assert sent.references() == [URN, "Patient/2"]
    assert sent.json() == raw % URN.encode()


def test_a_resource_with_decimals_is_linked_without_a_change_of_them(links):
    raw = b'{"resourceType" : "Observation","subject":{"reference":"%b"},"valueQuantity":{"value":1.10}}'
    sent = Sent(parse(raw % URN.encode()), raw % URN.encode())
    sent.link(links.texts)
    assert sent.body["subject"]["reference"] == "Patient/1"
    assert sent.json() == (raw % b"Patient/1").replace(b" ", b"")


def test_a_resource_tells_whether_a_link_is_elsewhere(links):
    assert links.stand_in(b'{"valueUri":"%b"}' % URN.encode())
    assert links.stand_in(b'{"div":"<div><a href=\\"Patient\\">a</a></div>"}')
    assert not links.stand_in(b'{"valueUri":"urn:oid:1.2.3"}')
