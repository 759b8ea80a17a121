from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from telesession.loudness import Loudness, assigned

NAMES = st.sampled_from(["an", "binh", "cuc", "dung"])


def heard(loudness: Loudness, ticks: int, **levels: int) -> tuple[str, ...]:
    for _ in range(ticks):
        for source, level in levels.items():
            loudness.hear(source, level)
        loudness.tick()
    return loudness.speakers


def test_the_loudest_comes_first_and_silence_is_nobody():
    assert heard(Loudness(), 3, an=30, binh=20, cuc=127) == ("binh", "an")


def test_who_speaks_is_not_displaced_by_somebody_barely_louder():
    loudness = Loudness()
    heard(loudness, 5, an=30)
    assert loudness.chosen(["an", "binh"], 1) == ["an"]
    heard(loudness, 1, an=30, binh=28)
    assert loudness.chosen(["an", "binh"], 1) == ["an"]
    heard(loudness, 1, an=30, binh=20)
    assert loudness.chosen(["an", "binh"], 1) == ["binh"]


def test_a_short_pause_keeps_the_place_and_a_long_one_does_not():
    loudness = Loudness()
    heard(loudness, 10, an=20)
    assert heard(loudness, 5) == ("an",)
    assert heard(loudness, 100) == ()


def test_who_left_is_not_heard():
    loudness = Loudness()
    heard(loudness, 3, an=20)
    loudness.forget("an")
    assert loudness.speakers == ()


def test_nobody_jumps_from_slot_to_slot():
    assert assigned(["an", "binh", None], ["binh", "cuc"]) == ["cuc", "binh", None]


@settings(deadline=None)
@given(st.lists(NAMES | st.none(), max_size=4), st.lists(NAMES, max_size=4, unique=True))
def test_who_is_wanted_has_one_slot_where_slots_suffice(before: list[str | None], wanted: list[str]):
    before = [name if name not in before[:place] else None for place, name in enumerate(before)]
    after = assigned(before, wanted[: len(before)])
    assert sorted(filter(None, after)) == sorted(wanted[: len(before)])
