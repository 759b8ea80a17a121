"""What a resource says of itself in meta."""

from tests.validation.profiled import resource
from tests.validation.verdict import errors, only_full

REASON = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}


def test_security_labels_are_a_set():
    assert errors(resource("Patient", meta={"security": [REASON, REASON | {"code": "TREAT"}]})) == []
    assert len(only_full(resource("Patient", meta={"security": [REASON, REASON]}))) == 1


def test_a_versioned_claim_is_of_the_resources_own_type():
    claim = "http://hl7.org/fhir/4.0/StructureDefinition/Patient"
    assert errors(resource("Patient", meta={"profile": [claim]})) == []
    assert len(only_full(resource("Basic", code={"text": "x"}, meta={"profile": [claim]}))) == 1
