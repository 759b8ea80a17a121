"""The same thing asked by many at once: one of it is made, and nobody is refused for the others' sake."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.concurrency.asking import asking, get, post, put, statuses, together

pytestmark = pytest.mark.server

SYSTEM = "http://benhvien.example.vn/ma-benh-nhan"


def patient(value: str, **members: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}], **members}


def total(base: str, query: str) -> int:
    return int(get(f"{base}/{query}&_summary=count").json()["total"])


@pytest.mark.parametrize("_again", range(3))
def test_64_conditional_creates_make_one(program, _again):
    value = str(uuid4())
    asks = [asking("POST", "/Patient", patient(value), if_none_exist=f"identifier={SYSTEM}|{value}")] * 64
    answers = together(program.base, asks)
    assert statuses(answers) == {200: 63, 201: 1}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert total(program.base, f"Patient?identifier={SYSTEM}|{value}") == 1


@pytest.mark.parametrize("_again", range(3))
def test_64_conditional_updates_make_one(program, _again):
    value = str(uuid4())
    path = f"/Patient?identifier={SYSTEM}|{value}"
    answers = together(program.base, [asking("PUT", path, patient(value, birthDate=f"19{n + 10}")) for n in range(64)])
    assert statuses(answers) == {200: 63, 201: 1}
    assert len({answer.json()["id"] for answer in answers}) == 1
    versions = sorted(int(answer.json()["meta"]["versionId"]) for answer in answers)
    assert versions == list(range(1, 65))


def test_32_updates_without_condition_all_succeed(program):
    made = put(f"{program.base}/Patient/often", json=patient("often", id="often"), headers=asking_json())
    assert made.status_code in (200, 201)
    asks = [asking("PUT", "/Patient/often", patient("often", id="often", birthDate=f"19{n + 10}")) for n in range(32)]
    answers = together(program.base, asks)
    assert statuses(answers) == {200: 32}
    first = int(made.json()["meta"]["versionId"])
    assert sorted(int(answer.json()["meta"]["versionId"]) for answer in answers) == list(range(first + 1, first + 33))


def asking_json() -> dict[str, str]:
    return {"Content-Type": "application/fhir+json"}


def test_of_32_updates_of_one_version_one_succeeds(program):
    made = post(f"{program.base}/Patient", json=patient(str(uuid4())), headers=asking_json()).json()
    path = f"/Patient/{made['id']}"
    asks = [asking("PUT", path, {**made, "birthDate": f"19{n + 10}"}, if_match='W/"1"') for n in range(32)]
    assert statuses(together(program.base, asks)) == {200: 1, 412: 31}


def test_of_32_creates_under_one_id_one_creates(program):
    identity = str(uuid4())
    asks = [asking("PUT", f"/Patient/{identity}", patient("x", id=identity), if_none_match="*")] * 32
    assert statuses(together(program.base, asks)) == {201: 1, 412: 31}


def test_32_deletes_are_one(program):
    made = post(f"{program.base}/Patient", json=patient(str(uuid4())), headers=asking_json()).json()
    path = f"/Patient/{made['id']}"
    assert statuses(together(program.base, [asking("DELETE", path)] * 32)) == {204: 32}
    history = get(f"{program.base}{path}/_history").json()
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "POST"]


def test_4_clients_with_each_of_300_keys_make_300(program):
    keys = [str(uuid4()) for _ in range(300)]

    def storm() -> Any:
        async def ask(client: httpx.AsyncClient) -> Counter[int]:
            found: Counter[int] = Counter()
            for key in keys:
                headers = {"If-None-Exist": f"identifier={SYSTEM}|{key}"}
                answer = await client.post("/Patient", json=patient(key, gender="other"), headers=headers)
                found[answer.status_code] += 1
            return found

        return ask

    counts = sum(together(program.base, [storm() for _ in range(4)]), Counter[int]())
    assert counts == {201: 300, 200: 900}
    assert total(program.base, "Patient?gender=other") == 300


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_bundle_sent_again_and_again_makes_its_resources_once(program, kind):
    values = [str(uuid4()) for _ in range(5)]
    entries = [
        {
            "fullUrl": f"urn:uuid:{uuid4()}",
            "resource": patient(value),
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={SYSTEM}|{value}"},
        }
        for value in values
    ]
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    answers = together(program.base, [asking("POST", "", bundle)] * 16)
    assert statuses(answers) == {200: 16}
    made = Counter(entry["response"]["status"][:3] for answer in answers for entry in answer.json()["entry"])
    assert made == {"201": 5, "200": 75}
    places = {tuple(entry["response"]["location"] for entry in answer.json()["entry"]) for answer in answers}
    assert len(places) == 1


def test_one_bundle_that_asks_for_the_same_thing_twice_makes_one(program):
    value = str(uuid4())
    request = {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={SYSTEM}|{value}"}
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": patient(value), "request": request}] * 2,
    }
    answers = together(program.base, [asking("POST", "", bundle)] * 8)
    assert statuses(answers) == {200: 8}
    assert total(program.base, f"Patient?identifier={SYSTEM}|{value}") == 1


def test_money_moved_between_accounts_is_never_lost_or_made(program):
    ids = [str(uuid4()) for _ in range(4)]

    def account(identity: str, extent: int) -> dict[str, Any]:
        weight = {"value": extent, "unit": "g"}
        return {"resourceType": "Substance", "id": identity, "code": {"text": "a"}, "instance": [{"quantity": weight}]}

    for identity in ids:
        put(f"{program.base}/Substance/{identity}", json=account(identity, 100), headers=asking_json())

    def mover(number: int) -> Any:
        async def move(client: httpx.AsyncClient) -> int:
            moved = 0
            for turn in range(15):
                pair = ids[(number + turn) % 4], ids[(number + turn + 1) % 4]
                one, other = [(await client.get(f"/Substance/{each}")).json() for each in pair]
                amounts = [each["instance"][0]["quantity"]["value"] for each in (one, other)]
                entries = [
                    {
                        "resource": account(each["id"], amount),
                        "request": {
                            "method": "PUT",
                            "url": f"Substance/{each['id']}",
                            "ifMatch": f'W/"{each["meta"]["versionId"]}"',
                        },
                    }
                    for each, amount in ((one, amounts[0] - 1), (other, amounts[1] + 1))
                ]
                answer = await client.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
                assert answer.status_code in (200, 412), answer.text
                moved += answer.status_code == 200
            return moved

        return move

    assert sum(together(program.base, [mover(number) for number in range(8)])) > 0
    held = [get(f"{program.base}/Substance/{each}").json()["instance"][0]["quantity"]["value"] for each in ids]
    assert sum(held) == 400
