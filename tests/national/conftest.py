from typing import Any

import pytest

from tests.serving import serving

PATIENTS: list[dict[str, Any]] = [
    {
        "resourceType": "Patient", "id": "an", "gender": "female", "birthDate": "1990",
        "name": [{"family": "Nguyễn", "given": ["An"]}, {"family": 'Lê, "bé"'}],
    },
    {"resourceType": "Patient", "id": "binh", "gender": "male"},
]  # fmt: skip
OBSERVATIONS: list[dict[str, Any]] = [
    {
        "resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{who}"},
        "valueQuantity": {"value": value, "unit": "kg"},
    }
    for number, (who, value) in enumerate([("an", 50.5), ("an", 51), ("binh", 70.25)])
]  # fmt: skip


@pytest.fixture(scope="module")
def node():
    """A server with two patients, three weights and a group of one."""
    with serving() as served:
        for body in (*PATIENTS, *OBSERVATIONS):
            assert served.put(body).status_code == 201
        group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True,
                 "member": [{"entity": {"reference": "Patient/an"}}]}  # fmt: skip
        assert served.put(group).status_code == 201
        yield served
