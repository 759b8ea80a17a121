import pytest

from fhir_server.definitions.registry import r4
from fhir_server.errors import Invalid, TooLarge
from fhir_server.formats import numbered_lines, receive, receive_exact
from fhir_server.resource.exact import dump_exact
from fhir_server.resource.parsing import Limits

JSON = b'{"resourceType":"Observation","valueQuantity":{"value":1.10}}'
XML = b'<Observation xmlns="http://hl7.org/fhir"><valueQuantity><value value="1.10"/></valueQuantity></Observation>'


@pytest.mark.parametrize("raw", [JSON, XML, b"\n " + XML], ids=["json", "xml", "xml after blanks"])
def test_a_format_is_told_by_the_first_character(raw):
    assert float(receive(raw, r4()).body["valueQuantity"]["value"]) == 1.1


@pytest.mark.parametrize("raw", [JSON, XML], ids=["json", "xml"])
def test_decimals_can_be_kept_as_they_were_written(raw):
    assert dump_exact(receive_exact(raw, r4())) == JSON


def test_a_member_sent_twice_is_an_issue_beside_the_resource():
    received = receive(b'{"resourceType":"Patient","gender":"male","gender":"female"}', r4())
    assert received.body["gender"] == "female"
    assert [issue.expression for issue in received.issues] == [("Patient.gender",)]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"<", b"<a/>", b"plain"])
def test_what_is_no_resource_is_refused(raw):
    with pytest.raises(Invalid):
        receive(raw, r4())


def test_limits_hold():
    with pytest.raises(TooLarge):
        receive(b'{"resourceType":"Patient","name":[{}]}', r4(), Limits(depth=2))


def test_lines_keep_their_numbers():
    assert list(numbered_lines(b'{"a":1}\n\n{"b":2}\r\n')) == [(1, b'{"a":1}'), (3, b'{"b":2}')]
