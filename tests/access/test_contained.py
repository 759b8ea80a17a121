"""What is contained is seen by those who see what contains it."""

from __future__ import annotations

from tests.access.world import World, of, to


def test_containers_of_others_are_neither_shown_nor_counted(world: World):
    for caller, about in (("his-a", "a1"), ("his-b", "b1")):
        device = of("Device", "d", status="active", deviceName=[{"name": "Máy đo", "type": "other"}])
        body = of("Observation", f"held-{about}", status="final", code={"text": "a"}, subject=to(f"Patient/{about}"))
        world.put(caller, {**body, "contained": [device], "device": to("#d")})
    query = "Device?status=active&_contained=true"
    for caller, name in (("his-a", "held-a1"), ("his-b", "held-b1")):
        found = world.get(caller, f"{query}&_total=accurate").json()
        assert [entry["resource"]["id"] for entry in found["entry"]] == [name]
        assert found["total"] == 1
        assert world.get(caller, f"{query}&_summary=count").json()["total"] == 1
    assert world.get("", f"{query}&_summary=count").json()["total"] == 2
