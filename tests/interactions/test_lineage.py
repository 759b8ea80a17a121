"""References to a resource or to what is part of it (FHIR R4, 3.1.1.4.12 hierarchies of references)."""

import pytest

from tests.serving import outcome, serving


@pytest.fixture(scope="module")
def server():
    with serving() as served:
        for own_id, parent in (
            ("hospital", None),
            ("floor", "hospital"),
            ("room", "floor"),
            ("bed", "room"),
            ("x", None),
        ):
            body: dict[str, object] = {"resourceType": "Location", "id": own_id, "status": "active"}
            if parent is not None:
                body["partOf"] = {"reference": f"Location/{parent}"}
            assert served.put(body).status_code == 201
            visit = {
                "resourceType": "Encounter", "id": f"in-{own_id}", "status": "finished", "class": {"code": "AMB"},
                "location": [{"location": {"reference": f"Location/{own_id}"}}],
            }  # fmt: skip
            assert served.put(visit).status_code == 201
        yield served


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("location:below=hospital", {"in-hospital", "in-floor", "in-room", "in-bed"}),
        ("location:below=Location/room", {"in-room", "in-bed"}),
        ("location:below=http://node/fhir/Location/bed", {"in-bed"}),
        ("location:below=room,x", {"in-room", "in-bed", "in-x"}),
        ("location:above=room", {"in-hospital", "in-floor", "in-room"}),
        ("location:above=hospital", {"in-hospital"}),
        ("location:below=none", set()),
        ("location:below=hospital&_sort=-_id&_count=10", {"in-hospital", "in-floor", "in-room", "in-bed"}),
    ],
)
def test_parts_are_found_at_every_level(server, query, found):
    assert set(server.found(f"Encounter?{query}")) == found


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("Encounter?location:below=Patient/1", "a Patient is no part of another"),
        ("Encounter?location:below=http://else/fhir/Location/1", "write an id"),
        ("Encounter?patient:below=1", "nothing that this parameter refers to"),
        ("Patient?active=yes", "either true or false"),
        ("Patient?gender:of-type=a|b|c", "only identifiers"),
    ],
)
def test_what_has_no_levels_is_refused(server, query, says):
    assert says in outcome(server.get(query), 400, "value")["details"]["text"]


@pytest.mark.parametrize("code", ["_list", "_text", "_has"])
def test_what_has_no_order_is_not_sorted_by(server, code):
    assert "no order" in outcome(server.get(f"Patient?_sort={code}"), 400, "invalid")["details"]["text"]
