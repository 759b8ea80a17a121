"""The isolation matrix: each caller, by each way in, sees exactly what is theirs to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest

from tests.access.world import CALLERS, LABORATORY, World

KINDS = ("Patient", "Observation", "Encounter", "ImagingStudy", "ServiceRequest", "Task", "Consent", "List", "Group")
FORBIDDEN = "-"
OF_A = "a1 a2 | oa1 oa2 va1 va2 @ | ea1 ea2 | ia1 ia2 | sa1 sa2 | ta1 ta2 | ca1 ca2 | la1 | ga"
OF_B = "b1 | ob1 vb1 | eb1 | ib1 | . | . | . | . | ."
OF_HUB = "a1 h1 | oa1 va1 oh1 vh1 @ | ea1 eh1 | ia1 ih1 | sa1 sa2 | ta1 ta2 | ca1 | la1 | ."
OF_A1 = "a1 | oa1 va1 @ | ea1 | ia1 | sa1 | - | ca1 | la1 | -"
NOTHING = "- | - | - | - | - | - | - | - | -"
SEEN: Mapping[str, str] = {
    "worker-a": OF_A,
    "worker-b": OF_B,
    "doctor-hub": OF_HUB,
    "doctor-ward": ". | . | . | . | . | . | . | . | .",
    "coordinator-hub": "a1 h1 | oa1 va1 @ | ea1 | ia1 | sa1 sa2 | ta1 ta2 | ca1 | la1 | .",
    "radiologist-hub": "a1 h1 | oa1 va1 @ | ea1 | ia1 ih1 | sa1 sa2 | ta1 ta2 | - | la1 | -",
    "admin-a": "- | - | - | - | - | ta1 ta2 | - | - | -",
    "his-a": OF_A,
    "his-b": OF_B,
    "his-hub": OF_HUB,
    "province-health": NOTHING,
    "ministry-health": NOTHING,
    "a1": OF_A1,
    "a2": "a2 | oa2 va2 | ea2 | ia2 | sa2 | - | ca2 | . | -",
    "guest": "- | - | ea1 | - | - | - | - | - | -",
    "app-of-a1": "a1 | oa1 va1 @ | ea1 | ia1 | sa1 | . | ca1 | la1 | .",
    "app-of-lab": "- | oa1 oa2 @ | - | - | - | - | - | - | -",
    "nobody": "- | - | - | - | . | . | - | - | -",
}
"""What each caller sees of each kind: ids, `.` for none, `-` where nothing of the kind may be asked for.

`@` is what the doctor of the hub found of a1.
"""
EVERYTHING = {
    "Patient": "a1 a2 b1 h1",
    "Observation": "oa1 va1 oa2 va2 ob1 vb1 oh1 vh1 @",
    "Encounter": "ea1 ea2 eb1 eh1",
    "ImagingStudy": "ia1 ia2 ib1 ih1",
    "ServiceRequest": "sa1 sa2",
    "Task": "ta1 ta2",
    "Consent": "ca1 ca2",
    "List": "la1",
    "Group": "ga",
}


def named(world: World, text: str) -> set[str]:
    return {world.answer if word == "@" else word for word in text.split() if word != "."}


def seen(world: World, caller: str, kind: str) -> set[str] | None:
    """The ids that a caller must see, None where the kind may not be asked for."""
    text = SEEN[caller].split("|")[KINDS.index(kind)].strip()
    return None if text == FORBIDDEN else named(world, text)


def entries(bundle: Any, kind: str) -> set[str]:
    found = [entry["resource"] for entry in bundle.get("entry", ()) if "resource" in entry]
    return {each["id"] for each in found if each["resourceType"] == kind}


def by_search(world: World, caller: str, kind: str, query: str = "_count=100") -> set[str] | None:
    answer = world.get(caller, f"{kind}?{query}")
    if answer.status_code == 403:
        return None
    assert answer.status_code == 200, answer.text
    return entries(answer.json(), kind)


def by_read(world: World, caller: str, kind: str) -> set[str] | None:
    found, refused = set(), 0
    for identity in named(world, EVERYTHING[kind]):
        answer = world.get(caller, f"{kind}/{identity}")
        assert answer.status_code in (200, 403, 404)
        found |= {identity} if answer.status_code == 200 else set()
        refused += answer.status_code == 403
    assert refused in (0, len(named(world, EVERYTHING[kind])))
    return None if refused else found


def by_version(world: World, caller: str, kind: str) -> set[str] | None:
    asked = {each: world.get(caller, f"{kind}/{each}/_history/1") for each in named(world, EVERYTHING[kind])}
    return _answered(asked)


def by_history(world: World, caller: str, kind: str) -> set[str] | None:
    asked = {each: world.get(caller, f"{kind}/{each}/_history") for each in named(world, EVERYTHING[kind])}
    return _answered(asked)


def by_condition(world: World, caller: str, kind: str) -> set[str] | None:
    """What is told not to be newer than what the client has."""
    asked = {
        each: world.get(caller, f"{kind}/{each}", if_none_match='W/"1", W/"2"')
        for each in named(world, EVERYTHING[kind])
    }
    return _answered(asked, 304)


def by_meta(world: World, caller: str, kind: str) -> set[str] | None:
    return _answered({each: world.get(caller, f"{kind}/{each}/$meta") for each in named(world, EVERYTHING[kind])})


def _answered(asked: Mapping[str, Any], status: int = 200) -> set[str] | None:
    statuses = {answer.status_code for answer in asked.values()}
    assert statuses <= {status, 403, 404}
    if 403 in statuses:
        assert statuses == {403}
        return None
    return {each for each, answer in asked.items() if answer.status_code == status}


def by_history_of_type(world: World, caller: str, kind: str) -> set[str] | None:
    answer = world.get(caller, f"{kind}/_history?_count=500")
    return None if answer.status_code == 403 else entries(answer.json(), kind)


def by_history_of_everything(world: World, caller: str, kind: str) -> set[str] | None:
    answer = world.get(caller, "_history?_count=1000")
    return None if answer.status_code == 403 else entries(answer.json(), kind)


def by_system_search(world: World, caller: str, kind: str) -> set[str] | None:
    answer = world.get(caller, f"?_type={kind},Organization&_count=500")
    return None if answer.status_code == 403 else entries(answer.json(), kind)


def by_form(world: World, caller: str, kind: str) -> set[str] | None:
    form = {"content_type": "application/x-www-form-urlencoded"}
    answer = world.ask(caller, "POST", f"{kind}/_search", b"_count=100", **form)
    return None if answer.status_code == 403 else entries(answer.json(), kind)


def by_pages(world: World, caller: str, kind: str) -> set[str] | None:
    found: set[str] = set()
    path = f"{kind}?_count=2&_sort=-_lastUpdated"
    while path:
        answer = world.get(caller, path)
        if answer.status_code == 403:
            return None
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found |= entries(body, kind)
        links = {link["relation"]: link["url"] for link in body["link"]}
        assert "next" not in links or len(body["entry"]) == 2
        path = links.get("next", "").removeprefix("http://node/fhir/")
    return found


def by_count(world: World, caller: str, kind: str) -> set[str] | None:
    """As many as are counted, in both ways of counting."""
    counted = world.get(caller, f"{kind}?_summary=count")
    if counted.status_code == 403:
        return None
    found = by_search(world, caller, kind)
    assert found is not None
    total = world.get(caller, f"{kind}?_count=1&_total=accurate").json()["total"]
    assert counted.json()["total"] == total == len(found)
    return found


def by_batch(world: World, caller: str, kind: str) -> set[str] | None:
    return _bundled(world, caller, kind, "batch")


def by_transaction(world: World, caller: str, kind: str) -> set[str] | None:
    return _bundled(world, caller, kind, "transaction")


def _bundled(world: World, caller: str, kind: str, how: str) -> set[str] | None:
    ids = sorted(named(world, EVERYTHING[kind]))
    asked = [{"request": {"method": "GET", "url": f"{kind}/{each}"}} for each in ids]
    answer = world.ask(caller, "POST", "", {"resourceType": "Bundle", "type": how, "entry": asked})
    assert answer.status_code == 200, answer.text
    answered = answer.json()["entry"]
    statuses = [entry["response"]["status"][:3] for entry in answered]
    if "403" in statuses:
        assert set(statuses) == {"403"}
        return None
    return {each for each, status in zip(ids, statuses, strict=True) if status == "200"}


def by_id(world: World, caller: str, kind: str) -> set[str] | None:
    return by_search(world, caller, kind, f"_id={','.join(named(world, EVERYTHING[kind]))}&_count=100")


def by_sort(world: World, caller: str, kind: str) -> set[str] | None:
    return by_search(world, caller, kind, "_sort=-_id&_count=100")


WAYS: tuple[Callable[[World, str, str], set[str] | None], ...] = (
    by_search, by_read, by_version, by_history, by_condition, by_meta, by_system_search, by_form, by_pages, by_count,
    by_batch, by_transaction, by_id, by_sort, by_history_of_type,
)  # fmt: skip
GENERAL = (by_system_search, by_history_of_everything)
"""Ways in that say nothing of kinds which may not be asked for."""


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
@pytest.mark.parametrize("caller", CALLERS)
def test_a_caller_sees_what_is_theirs_and_nothing_else(world: World, caller: str, way: Any):
    for kind in KINDS:
        expected = seen(world, caller, kind)
        if way in GENERAL and not any(scope.grants(kind, "s") for scope in CALLERS[caller].scopes.resources):
            continue
        found = way(world, caller, kind)
        if way in GENERAL:
            assert (found or set()) == (expected or set()), kind
        else:
            assert found == expected, kind


@pytest.mark.parametrize("caller", CALLERS)
def test_the_history_of_everything_holds_what_is_theirs(world: World, caller: str):
    for kind in KINDS:
        found = by_history_of_everything(world, caller, kind)
        assert (found or set()) == (seen(world, caller, kind) or set())


def test_everything_is_shown_to_somebody_who_is_entitled(world: World):
    for kind in KINDS:
        shown = set().union(*(seen(world, caller, kind) or set() for caller in CALLERS))
        assert shown == named(world, EVERYTHING[kind])


# ---- through others


def subject_of(world: World, observation: str) -> str:
    return "a1" if observation == world.answer else observation[1:]


@pytest.mark.parametrize("caller", CALLERS)
def test_includes_bring_what_is_theirs(world: World, caller: str):
    patients, observations = seen(world, caller, "Patient"), seen(world, caller, "Observation")
    answer = world.get(caller, "Observation?_include=Observation:subject&_count=100")
    if observations is None:
        assert answer.status_code == 403
    else:
        subjects = {subject_of(world, each) for each in observations}
        assert entries(answer.json(), "Patient") == subjects & (patients or set())
    answer = world.get(caller, "Patient?_revinclude=Observation:subject&_count=100")
    if patients is None:
        assert answer.status_code == 403
    else:
        about = {each for each in observations or () if subject_of(world, each) in patients}
        assert entries(answer.json(), "Observation") == about


@pytest.mark.parametrize("caller", CALLERS)
def test_chains_and_their_reverse_go_through_what_is_theirs(world: World, caller: str):
    patients, observations = seen(world, caller, "Patient"), seen(world, caller, "Observation")
    for about in ("a1", "a2", "b1", "h1"):
        chained = by_search(world, caller, "Observation", f"subject:Patient.family={about}&_count=100")
        expected = {
            each for each in observations or () if subject_of(world, each) == about and about in (patients or ())
        }
        assert chained == (None if observations is None else expected)
        reverse = by_search(world, caller, "Patient", f"_has:Observation:subject:_id=o{about}")
        shown = {about} if about in (patients or ()) and f"o{about}" in (observations or ()) else set()
        assert reverse == (None if patients is None else shown)


@pytest.mark.parametrize("caller", CALLERS)
def test_a_filter_and_a_list_go_through_what_is_theirs(world: World, caller: str):
    observations, lists = seen(world, caller, "Observation"), seen(world, caller, "List")
    listed = by_search(world, caller, "Observation", "_list=la1")
    filtered = by_search(world, caller, "Observation", '_filter=subject.family eq "a1"'.replace(" ", "%20"))
    if observations is None:
        assert listed is filtered is None
        return
    assert listed == ({"oa1"} if "la1" in (lists or ()) else set()) & observations
    patients = seen(world, caller, "Patient") or ()
    assert filtered == {each for each in observations if subject_of(world, each) == "a1" and "a1" in patients}


@pytest.mark.parametrize("about", ["a1", "a2", "b1", "h1"])
@pytest.mark.parametrize("caller", CALLERS)
def test_the_whole_record_holds_what_is_theirs(world: World, caller: str, about: str):
    answer = world.get(caller, f"Patient/{about}/$everything")
    patients = seen(world, caller, "Patient")
    if patients is None or about not in patients:
        assert answer.status_code == (403 if patients is None else 404)
        return
    body = answer.json()
    for kind in ("Observation", "Encounter", "ImagingStudy", "ServiceRequest", "Consent"):
        mine = {each for each in seen(world, caller, kind) or () if each.endswith(about)}
        answered = {world.answer} & (seen(world, caller, kind) or set()) if about == "a1" else set()
        assert entries(body, kind) == mine | answered, kind
    assert body["total"] == sum(entry["search"]["mode"] == "match" for entry in body["entry"])


@pytest.mark.parametrize("about", ["a1", "a2", "b1"])
@pytest.mark.parametrize("caller", CALLERS)
def test_a_compartment_holds_what_is_theirs(world: World, caller: str, about: str):
    found = world.get(caller, f"Patient/{about}/Observation?_count=100")
    observations = seen(world, caller, "Observation")
    if observations is None:
        assert found.status_code == 403
        return
    assert entries(found.json(), "Observation") == {each for each in observations if subject_of(world, each) == about}
    last = world.get(caller, f"Observation/$lastn?subject=Patient/{about}&max=10")
    assert entries(last.json(), "Observation") == {each for each in observations if subject_of(world, each) == about}


# ---- nobody learns from a refusal


def told(answer: Any) -> Any:
    """An answer without what is of the request alone."""
    body = orjson.loads(answer.content) if answer.content else {}
    body.pop("id", None)
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    return answer.status_code, body, headers


HIDDEN = {"worker-a": "b1", "worker-b": "a1", "doctor-hub": "a2", "his-hub": "a2", "a1": "a2", "app-of-a1": "a2"}
UNUSED = "zz"
ORACLES = {
    "read": ("GET", "", None, {}),
    "read-if-none-match": ("GET", "", None, {"if_none_match": 'W/"1"'}),
    "vread": ("GET", "/_history/1", None, {}),
    "vread-other": ("GET", "/_history/7", None, {}),
    "history": ("GET", "/_history", None, {}),
    "delete": ("DELETE", "", None, {}),
    "delete-if-match": ("DELETE", "", None, {"if_match": 'W/"1"'}),
    "patch": ("PATCH", "", [{"op": "remove", "path": "/gender"}], {"content_type": "application/json-patch+json"}),
    "patch-if-match": (
        "PATCH", "", [], {"content_type": "application/json-patch+json", "if_match": 'W/"7"'},
    ),
    "everything": ("GET", "/$everything", None, {}),
    "meta": ("GET", "/$meta", None, {}),
    "validate": ("GET", "/$validate", None, {}),
    "validate-delete": ("GET", "/$validate?mode=delete", None, {}),
    "compartment": ("GET", "/Observation", None, {}),
}  # fmt: skip


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("caller", HIDDEN)
def test_what_is_hidden_is_answered_like_what_never_was(world: World, caller: str, oracle: str):
    method, path, body, headers = ORACLES[oracle]
    answers = []
    for identity in (HIDDEN[caller], UNUSED):
        answer = world.ask(caller, method, f"Patient/{identity}{path}", body, **headers)
        text = answer.content.replace(identity.encode(), b"?")
        status, _, found = told(answer)
        answers.append((status, orjson.loads(text or b"{}") | {"id": ""}, found))
    assert answers[0] == answers[1]
    assert world.get("", f"Patient/{HIDDEN[caller]}").status_code == 200


@pytest.mark.parametrize("caller", ["worker-a", "doctor-hub", "app-of-a1"])
@pytest.mark.parametrize("headers", [{}, {"if_match": 'W/"1"'}, {"if_none_match": "*"}], ids=["plain", "match", "new"])
def test_an_update_under_an_id_of_others_is_answered_like_one_that_nobody_uses(
    world: World, caller: str, headers: dict[str, str]
):
    answers = []
    for identity in (HIDDEN[caller], UNUSED):
        body = {"resourceType": "Patient", "id": identity}
        answer = world.ask(caller, "PUT", f"Patient/{identity}", body, **headers)
        status, found, _ = told(answer)
        answers.append((status, str(found).replace(identity, "?")))
        assert status in (403, 404)
    assert answers[0] == answers[1]


def test_the_information_system_of_a_facility_cannot_take_the_id_of_another(world: World):
    before = world.get("his-a", "Patient/a1").json()
    answer = world.ask("his-b", "PUT", "Patient/a1", {"resourceType": "Patient", "id": "a1", "gender": "male"})
    assert answer.status_code == 404
    assert world.get("his-a", "Patient/a1").json() == before


def test_an_information_system_learns_that_an_id_is_taken_and_nothing_else(world: World):
    """Neither what is there, nor whether it was deleted, nor its version: row 80 of the catalogue."""
    for name in ("kept", "gone"):
        world.put("his-a", {"resourceType": "Patient", "id": f"{name}-by-a"})
    assert world.ask("his-a", "DELETE", "Patient/gone-by-a").status_code == 204
    answers = []
    for name in ("kept", "gone"):
        for headers in ({}, {"if_match": 'W/"1"'}, {"if_match": 'W/"9"'}, {"if_none_match": "*"}):
            body = {"resourceType": "Patient", "id": f"{name}-by-a"}
            status, found, _ = told(world.ask("his-b", "PUT", f"Patient/{name}-by-a", body, **headers))
            answers.append((status, str(found).replace(name, "?")))
    assert answers[0][0] == 404
    assert set(answers) == {answers[0]}
    assert world.ask("his-a", "DELETE", "Patient/kept-by-a").status_code == 204


def test_the_next_page_of_one_is_none_of_another(world: World):
    following = world.get("worker-a", f"Observation?category={LABORATORY}&_count=1").json()["link"][-1]
    assert following["relation"] == "next"
    path = following["url"].removeprefix("http://node/fhir/")
    assert world.get("worker-a", path).status_code == 200
    assert world.get("his-a", path).status_code == 400
