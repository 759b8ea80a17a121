import pytest

from fhir_server.fhirpath.environment import NullEnvironment
from fhir_server.validation.resolution import resolved
from fhir_server.validation.run import Run

SERVER = "https://example.org/fhir"
PATIENT = {"resourceType": "Patient", "id": "p"}
OTHER = {"resourceType": "Patient", "id": "p", "active": True}
UUID = "urn:uuid:8d1b1c2e-54b2-4b1e-9a6d-b2c1f1c1a001"
OBSERVATION = {"resourceType": "Observation", "id": "o", "contained": [{"resourceType": "Device", "id": "d"}]}


def run_in(*entries):
    bundle = {"resourceType": "Bundle", "entry": [{"fullUrl": u, "resource": r} for u, r in entries]}
    run = Run(bundle, lambda run: NullEnvironment())
    run.resource = run.root = OBSERVATION
    return run


def value_of(reference, run):
    found = resolved(reference, run)
    return None if found is None else found.value


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("#d", OBSERVATION["contained"][0]),
        ("#", OBSERVATION),
        ("#x", None),
        ("Patient/p", PATIENT),
        ("Patient/p/_history/1", PATIENT),
        (f"{SERVER}/Patient/p", PATIENT),
        (f"{SERVER}/Patient/p/_history/1", PATIENT),
        (f"{SERVER}/Patient/q", None),
        ("https://elsewhere.org/Patient/p", OTHER),
        (UUID, PATIENT),
        ("Device/d", None),
        ("nonsense", None),
    ],
)
def test_what_a_reference_names_is_found(reference, found):
    entries = [
        (f"{SERVER}/Observation/o", OBSERVATION),
        (f"{SERVER}/Patient/p", PATIENT),
        ("https://elsewhere.org/Patient/p", OTHER),
        (UUID, PATIENT),
    ]
    assert value_of(reference, run_in(*entries)) is found


def test_a_relative_reference_from_a_uuid_names_the_only_one_it_can():
    run = run_in((UUID, OBSERVATION), (f"{SERVER}/Patient/p", PATIENT))
    assert value_of("Patient/p", run) is PATIENT
    run = run_in((UUID, OBSERVATION), (f"{SERVER}/Patient/p", PATIENT), ("https://elsewhere.org/Patient/p", OTHER))
    assert value_of("Patient/p", run) is None


def test_what_is_not_there_is_asked_for_outside():
    run = Run(
        OBSERVATION, lambda run: NullEnvironment(), lambda reference: PATIENT if reference == "Patient/p" else None
    )
    assert value_of("Patient/p", run) is PATIENT
    assert value_of("Patient/q", run) is None


@pytest.mark.parametrize("entry", [None, "text", [None, 5, {"resource": []}]])
def test_a_bundle_of_any_shape_is_searched(entry):
    run = Run({"resourceType": "Bundle", "entry": entry}, lambda run: NullEnvironment())
    assert resolved("Patient/p", run) is None
