"""Many Consents of a few forms take little memory, and a change of one leaves the others where they are."""

import tracemalloc
from typing import Any

import orjson

from fhir_server.repository.circumstances import Circumstances
from fhir_server.repository.labelling import Labelling
from fhir_server.store.protocol import Version

MANY = 5_000
BYTES = 600


def consent(number: int) -> Version:
    provision = {
        "type": "permit",
        "purpose": [{"code": "TREAT"}],
        "actor": [{"role": {"text": "r"}, "reference": {"reference": "Organization/hub"}}],
        "period": {"start": "2026-01-01"},
    }
    about = {"reference": f"Patient/p{number:032}"}
    body = orjson.dumps({"resourceType": "Consent", "status": "active", "patient": about, "provision": provision})
    return Version("Consent", f"c{number:032}", 1, number, 0, "PUT", body, f"station-{number % 50}|||")


def test_consents_of_one_form_are_kept_once():
    nothing: Any = None  # no store is asked here
    made = Circumstances(
        nothing, Labelling(nothing, nothing), nothing, lambda _: (0.0, 1.0), lambda: 5.0, needs_consent=True
    )
    tracemalloc.start()
    for number in range(MANY):
        made._take(consent(number))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / MANY < BYTES
    directives = list(made._directives)
    assert len({each.patient for each in directives}) == MANY
    assert len({id(each.provision) for each in directives}) == 50
