import re

import pytest

from tests.access.world import World, observation
from tests.commands.stored import ndjson, patient, versions
from tests.serving import serving

STATION = {"resourceType": "Organization", "id": "station-a", "name": "Trạm A"}
OTHER = {"resourceType": "Organization", "id": "station-b", "name": "Trạm B"}


@pytest.fixture
def stored(nhipcau, data, tmp_path):
    """A folder that was filled while nobody was asked who they are."""
    bodies = (STATION, OTHER, patient("an"), *(observation(f"o{n}", "an") for n in range(120)))
    assert nhipcau("import", ndjson(tmp_path / "a.ndjson", *bodies), "--data", data)[0] == 0
    return data


def found(data, caller):
    with serving(data, organization="node") as served:
        world = World(served)
        answer = world.get(caller, "Observation?_summary=count").json()["total"]
        read = world.get(caller, "Observation/o7").status_code
        return answer, read, world.get(caller, "Patient/an").status_code


def test_what_belongs_to_nobody_is_seen_by_the_facility_that_it_is_given_to(nhipcau, stored):
    assert found(stored, "worker-a") == (0, 404, 404)
    status, printed, told = nhipcau("assign-owner", "--organization", "station-a", "--data", stored)
    assert (status, printed) == (0, "assigned: 121\n")
    assert "121" in told or re.search(r"\d+%", told)
    assert found(stored, "worker-a") == (120, 200, 200)
    assert found(stored, "worker-b") == (0, 404, 404)
    assert {version.version for version in versions(stored, "Observation")} == {2}
    assert {version.version for version in versions(stored, "Organization")} == {1}


def test_what_belongs_to_somebody_stays_theirs(nhipcau, stored):
    nhipcau("assign-owner", "--organization", "station-a", "--data", stored, "--type", "Patient")
    assert nhipcau("assign-owner", "--organization", "station-b", "--data", stored)[1] == "assigned: 120\n"
    assert nhipcau("assign-owner", "--organization", "station-b", "--data", stored)[1] == "assigned: 0\n"
    assert found(stored, "worker-a") == (0, 404, 200)
    assert found(stored, "worker-b") == (120, 200, 404)


def test_a_facility_that_is_not_there_is_given_nothing(nhipcau, stored):
    status, _, told = nhipcau("assign-owner", "--organization", "nowhere", "--data", stored)
    assert status == 2
    assert "Organization/nowhere" in told
