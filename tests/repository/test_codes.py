from fhir_server.definitions.registry import r4
from fhir_server.repository.codes import Codes
from fhir_server.terminology.local import LocalTerminology
from fhir_server.terminology.protocol import NoTerminology

CODES = Codes(LocalTerminology(r4()))
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def test_a_value_set_is_a_list_of_codes_for_each_system():
    assert CODES.members("http://hl7.org/fhir/ValueSet/administrative-gender") == {
        "http://hl7.org/fhir/administrative-gender": ["male", "female", "other", "unknown"]
    }


def test_a_value_set_that_cannot_be_listed_whole_is_not_listed_in_part():
    assert CODES.members("http://hl7.org/fhir/ValueSet/condition-code") is None
    assert CODES.members("http://example.org/unheard-of") is None


def test_hierarchies_are_listed():
    assert set(CODES.below(CLINICAL, "inactive") or ()) == {"inactive", "remission", "resolved"}
    assert set(CODES.above(CLINICAL, "resolved") or ()) == {"inactive", "resolved"}


def test_without_terminology_nothing_is_listed():
    nothing = Codes(NoTerminology())
    assert nothing.members("http://hl7.org/fhir/ValueSet/administrative-gender") is None
    assert nothing.below(CLINICAL, "inactive") is None
