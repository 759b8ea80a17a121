"""What is contained is seen, and found through, by those who see what contains it."""

from __future__ import annotations

import pytest

from tests.access.test_isolation import by_search, seen
from tests.access.world import CALLERS, World, observation, of, to

KEEPERS = {"a1": "his-a", "a2": "his-a", "b1": "his-b", "h1": "his-hub"}


@pytest.fixture(scope="module", autouse=True)
def held(world: World) -> None:
    """An Observation of each patient, with the Device of that patient within it."""
    for about, caller in KEEPERS.items():
        device = of("Device", "d", status="active", deviceName=[{"name": f"meter-{about}", "type": "other"}])
        device["patient"] = to(f"Patient/{about}")
        world.put(caller, {**observation(f"held-{about}", about), "contained": [device], "device": to("#d")})


def in_sight(world: World, caller: str) -> dict[str, set[str] | None]:
    """For each patient, the Observation with a Device as far as the caller sees it; None where none may be asked for.

    It is seen by those who see the other of the same category.
    """
    shown = seen(world, caller, "Observation")
    return {about: None if shown is None else {f"held-{about}"} if f"o{about}" in shown else set() for about in KEEPERS}


@pytest.mark.parametrize("caller", CALLERS)
def test_a_chain_goes_into_what_is_contained_in_what_is_theirs(world: World, caller: str):
    for about, expected in in_sight(world, caller).items():
        assert by_search(world, caller, "Observation", f"device:Device.device-name=meter-{about}") == expected
        filtered = f"_filter=device.device-name%20eq%20meter-{about}"
        assert by_search(world, caller, "Observation", filtered) == expected


@pytest.mark.parametrize("caller", CALLERS)
def test_a_chain_goes_out_again_to_what_is_theirs(world: World, caller: str):
    patients = seen(world, caller, "Patient") or set()
    for about, held in in_sight(world, caller).items():
        expected = held if about in patients or not held else set()
        found = by_search(world, caller, "Observation", f"device:Device.patient:Patient.family={about}")
        assert found == expected


@pytest.mark.parametrize("caller", CALLERS)
def test_a_reverse_chain_goes_into_what_is_contained_in_what_is_theirs(world: World, caller: str):
    patients = seen(world, caller, "Patient")
    for about, held in in_sight(world, caller).items():
        found = by_search(world, caller, "Patient", f"_has:Observation:subject:device:Device.device-name=meter-{about}")
        expected = {about} if held and about in (patients or ()) else set()
        assert found == (None if patients is None else expected)


def test_containers_of_others_are_neither_shown_nor_counted(world: World):
    query = "Device?status=active&_contained=true"
    for caller, names in (("his-a", {"held-a1", "held-a2"}), ("his-b", {"held-b1"})):
        found = world.get(caller, f"{query}&_total=accurate").json()
        assert {entry["resource"]["id"] for entry in found["entry"]} == names
        assert found["total"] == len(names)
        assert world.get(caller, f"{query}&_summary=count").json()["total"] == len(names)
    assert world.get("", f"{query}&_summary=count").json()["total"] == len(KEEPERS)
