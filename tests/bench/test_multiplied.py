"""What the bench multiplies: fresh ids, references that lead to them, the same again from the same seed."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from bench.multiplied import Template, patients, templates, write

COPIES = 3


@pytest.fixture(scope="module")
def found(shared: Path) -> list[Template]:
    return templates(shared)


def bodies(files: list[Path]) -> Iterator[dict[str, object]]:
    for file in files:
        with gzip.open(file) as lines:
            yield from map(orjson.loads, lines)


def references(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if isinstance(reference := value.get("reference"), str):
            yield reference
        for item in value.values():
            yield from references(item)


def test_copies_hold_as_many_resources_as_asked_each_with_its_own_id(found: list[Template], tmp_path: Path) -> None:
    size = len(found) * 2 + 100
    made = list(bodies(write(found, size, tmp_path, 1)))
    assert len(made) == size
    assert len({(body["resourceType"], body["id"]) for body in made}) == size


def test_references_lead_to_resources_of_the_copy(found: list[Template], tmp_path: Path) -> None:
    made = list(bodies(write(found, len(found) * COPIES, tmp_path, 1)))
    stored = {f"{body['resourceType']}/{body['id']}" for body in made}
    pointed = {reference for body in made for reference in references(body) if not reference.startswith("#")}
    assert pointed
    assert pointed <= stored


def test_people_have_vietnamese_names_and_no_hole_is_left(found: list[Template], tmp_path: Path) -> None:
    files = write(found, len(found), tmp_path, 1)
    people = [body for body in bodies(files) if body["resourceType"] == "Patient"]
    assert all("{" not in str(body["name"]).replace("{'", "") for body in people)
    assert len({str(body["name"]) for body in people}) > 1


def test_the_same_seed_makes_the_same_and_another_makes_other_dates(found: list[Template], tmp_path: Path) -> None:
    made = []
    for seed, name in ((1, "one"), (1, "again"), (2, "other")):
        folder = tmp_path / name
        folder.mkdir()
        made.append(
            [body["birthDate"] for body in bodies(write(found, len(found), folder, seed)) if "birthDate" in body]
        )
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_drawn_patients_are_among_the_stored(found: list[Template], tmp_path: Path) -> None:
    size = len(found) * COPIES
    stored = {body["id"] for body in bodies(write(found, size, tmp_path, 1)) if body["resourceType"] == "Patient"}
    drawn = patients(found, size, 1)
    assert len(drawn) == len(stored)
    assert set(drawn) == stored
