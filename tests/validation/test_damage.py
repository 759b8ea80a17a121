"""Official examples made wrong in known ways: each gets the verdict that follows from how it was done."""

from __future__ import annotations

import random
from collections.abc import Mapping

import orjson
import pytest

from tests.validation.damage import BOTH, FULL, NONE
from tests.validation.verdict import errors, is_refused

SEEDS = range(40)
LARGEST = 30_000


@pytest.fixture(scope="module")
def sound(r4_examples: Mapping[str, bytes]) -> list[bytes]:
    """Examples in which nothing is wrong."""
    small = [raw for _, raw in sorted(r4_examples.items()) if len(raw) < LARGEST and b'"resourceType"' in raw]
    picked = random.Random(0).sample(small, 900)
    return [raw for raw in picked if not errors(orjson.loads(raw))]


def damaged(sound, damage, seed):
    """One of the examples, damaged."""
    rng = random.Random(f"{damage.__name__} {seed}")
    for _ in range(200):
        body = orjson.loads(rng.choice(sound))
        if damage(body, rng):
            return body
    pytest.skip(f"no example has a place for {damage.__name__}")


@pytest.mark.parametrize("name", BOTH)
def test_what_r4_forbids_is_refused(sound, name):
    for seed in SEEDS:
        body = damaged(sound, BOTH[name], seed)
        assert errors(body), (seed, body)
        assert is_refused(body), (seed, body)


@pytest.mark.parametrize("name", FULL)
def test_what_tools_call_wrong_is_an_error_at_full_depth_and_may_be_written(sound, name):
    for seed in SEEDS:
        body = damaged(sound, FULL[name], seed)
        assert errors(body), (seed, body)
        assert not is_refused(body), (seed, body)


@pytest.mark.parametrize("name", NONE)
def test_what_is_right_stays_right(sound, name):
    for seed in SEEDS:
        body = damaged(sound, NONE[name], seed)
        assert errors(body) == [], (seed, body)
        assert not is_refused(body), (seed, body)
