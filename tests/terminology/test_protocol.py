"""What every terminology promises, asked of one that knows nothing and of one that knows the R4 core."""

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.terminology.local import LocalTerminology
from fhir_server.terminology.protocol import UNKNOWN, NoTerminology, Terminology

UNHEARD_OF = "http://example.org/ValueSet/unheard-of"


@pytest.fixture(params=[NoTerminology, lambda: LocalTerminology(r4())], ids=["none", "local"])
def terminology(request):
    known: Terminology = request.param()
    return known


def test_of_an_unknown_value_set_nothing_can_be_told(terminology):
    assert terminology.contains(UNHEARD_OF, "http://example.org", "a") is None
    assert terminology.contains(UNHEARD_OF, None, "a") is None
    assert terminology.membership(UNHEARD_OF) is None
    assert terminology.expand(UNHEARD_OF) is None


def test_of_an_unknown_system_nothing_can_be_told(terminology):
    assert terminology.validate_code("http://example.org", "a", "A") == UNKNOWN
    assert terminology.subsumes("http://example.org", "a", "b") is None


def test_a_membership_answers_as_contains_does(terminology):
    url = "http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1"
    membership = terminology.membership(url)
    for code in ("male", "Male", "nobody"):
        for system in (None, "http://hl7.org/fhir/administrative-gender", "http://example.org"):
            told = None if membership is None else membership.contains(system, code)
            assert terminology.contains(url, system, code) == told


def test_of_an_unknown_hierarchy_nothing_can_be_told(terminology):
    assert terminology.below("http://example.org", "a") is None
    assert terminology.above("http://example.org", "a") is None


def test_a_code_lies_below_and_above_itself_and_what_it_subsumes_below_it(terminology):
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    below, above = terminology.below(system, "active"), terminology.above(system, "recurrence")
    if below is not None and above is not None:
        assert {"active", "recurrence", "relapse"} <= below
        assert above == {"active", "recurrence"}
        assert all(terminology.subsumes(system, "active", code) for code in below)
    assert terminology.below(system, "no such code") is None
