"""Resources of any shape against the core's profiles: found wrong, never a failure of the server."""

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from fhir_server.definitions.registry import r4
from fhir_server.terminology.local import LocalTerminology
from fhir_server.validation.depth import Depth
from fhir_server.validation.validator import Validator
from tests.validation.instance import Instances

JUNK: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "x", " a", "#", "#x", "Patient/1", "urn:uuid:1", [], {}, [None], [[]], [{}],
    {"a": 1}, {"extension": []}, {"extension": [{"url": "http://x"}]}, {"resourceType": "Patient"},
    {"resourceType": 5}, {"coding": "x"}, {"coding": [None, 5, {"system": 5, "code": []}]}, {"reference": 5},
    {"value": "x", "unit": 1}, {"url": []},
]  # fmt: skip
ROUNDS = 1500


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value, as holder and key."""
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in places:
        yield value, key
        yield from spots(inner)


def spoil(body: Any, chance: random.Random) -> None:
    """Replace, remove or add something."""
    places = list(spots(body))
    if not places:
        return
    holder, key = chance.choice(places)
    if chance.random() < 0.2:
        del holder[key]
    elif chance.random() < 0.2 and isinstance(holder, dict):
        holder[chance.choice([f"_{key}", "extension", "contained", "text", "valueString"])] = chance.choice(JUNK)
    else:
        holder[key] = deepcopy(chance.choice(JUNK))


@pytest.mark.parametrize("depth", ["write", "full"])
def test_a_malformed_resource_is_only_found_wrong(depth: Depth):
    instances = Instances(r4(), LocalTerminology(r4()))
    structures = (r4().structure(c) for c in r4().structures())
    names = [s.url for s in structures if s and s.kind == "resource" and s.derivation == "constraint" and s.elements]
    sound = {name: instances.resource(name) for name in names}
    validator, chance = Validator(r4(), depth=depth), random.Random(11)
    for _ in range(ROUNDS):
        name = chance.choice(names)
        body = deepcopy(sound[name])
        for _ in range(chance.randint(1, 3)):
            spoil(body, chance)
        assert validator.validate(body, profiles=[name]).issues is not None
