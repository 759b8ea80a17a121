import pytest

from fhir_server.definitions.implied import implied_value_set
from fhir_server.definitions.registry import Definitions, r4

SCT = "http://snomed.info/sct"
EDITION = f"{SCT}/900000000000207008/version/20240201"


@pytest.mark.parametrize(
    ("canonical", "part"),
    [
        (f"{SCT}?fhir_vs", (SCT, None, ())),
        (f"{SCT}?fhir_vs=isa/73211009", (SCT, None, (("concept", "is-a", "73211009"),))),
        (f"{SCT}?fhir_vs=refset", (SCT, None, (("concept", "refset", ""),))),
        (f"{SCT}?fhir_vs=refset/723264001", (SCT, None, (("concept", "refset", "723264001"),))),
        (f"{EDITION}?fhir_vs=isa/1", (SCT, EDITION, (("concept", "is-a", "1"),))),
        ("http://loinc.org/vs", ("http://loinc.org", None, ())),
        ("http://loinc.org/vs/LL715-4", ("http://loinc.org", None, (("LIST", "=", "LL715-4"),))),
        ("http://loinc.org/vs/LP14419-3", ("http://loinc.org", None, (("ancestor", "=", "LP14419-3"),))),
        ("http://hl7.org/fhir/administrative-gender?fhir_vs", ("http://hl7.org/fhir/administrative-gender", None, ())),
    ],
)
def test_a_canonical_can_mean_a_value_set_by_how_it_is_written(canonical, part):
    found = implied_value_set(canonical, r4().code_system)
    assert found is not None
    assert found.url == canonical
    (only,) = found.include
    assert (only.system, only.version, tuple((f.property, f.op, f.value) for f in only.filters)) == part


@pytest.mark.parametrize(
    "canonical",
    [f"{SCT}?fhir_vs=isa/x", f"{SCT}?fhir_vsisa/1", f"{SCT}/x?fhir_vs", "urn:unknown?fhir_vs",
     "http://hl7.org/fhir/administrative-gender?fhir_vs=isa/male", "http://loinc.org/vs/LX1", SCT],
)  # fmt: skip
def test_others_mean_none(canonical):
    assert implied_value_set(canonical, r4().code_system) is None


def systems_of(known: Definitions, canonical: str) -> list[str | None] | None:
    found = known.value_set(canonical)
    return None if found is None else [part.system for part in found.include]


def test_a_code_system_names_the_value_set_of_all_its_codes():
    known = r4().extended()
    assert known.value_set("urn:all") is None
    known.add(
        {"resourceType": "CodeSystem", "url": "urn:cs", "version": "1", "content": "complete", "valueSet": "urn:all"}
    )
    assert systems_of(known, "urn:all") == systems_of(known.extended(), "urn:all|1") == ["urn:cs"]
    assert known.value_set("urn:all|2") is None
    known.remove("CodeSystem", "urn:cs", "1")
    assert known.value_set("urn:all") is None


def test_value_sets_of_the_core_go_by_their_ids():
    assert systems_of(r4(), "ValueSet/administrative-gender") == ["http://hl7.org/fhir/administrative-gender"]
    assert r4().value_set("ValueSet/none") is None
