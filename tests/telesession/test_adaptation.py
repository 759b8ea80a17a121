from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from telesession.adaptation import LEVELS, Adaptation, Line

GOOD = Line(900.0, 0.0, 200.0)
THIN = Line(64.0, 0.0, 200.0)
LOSSY = Line(900.0, 0.4, 200.0)


def after(adaptation: Adaptation, line: Line, begin: float, end: float, *, has_low: bool = False) -> str:
    at = begin
    while at < end:
        adaptation.step(at, line, has_low=has_low)
        at += 0.5
    return adaptation.level


def test_a_good_line_keeps_everything():
    assert after(Adaptation(), GOOD, 0, 60) == "high"


def test_a_thin_line_keeps_the_sound_and_says_why():
    adaptation = Adaptation()
    assert after(adaptation, THIN, 0, 2.5) == "high"
    assert after(adaptation, THIN, 2.5, 5) == "sound"
    assert "64 kbit/s" in adaptation.reason


def test_the_low_quality_comes_first_where_there_is_one():
    adaptation = Adaptation()
    assert after(adaptation, THIN, 0, 4, has_low=True) == "low"
    assert after(adaptation, THIN, 4, 9, has_low=True) == "sound"


def test_heavy_loss_is_a_bad_line_and_a_moment_of_it_is_not():
    adaptation = Adaptation()
    after(adaptation, LOSSY, 0, 2)
    assert after(adaptation, GOOD, 2, 4) == "high"
    assert after(adaptation, LOSSY, 4, 8) == "sound"


def test_pictures_come_back_when_the_line_does():
    adaptation = Adaptation()
    after(adaptation, THIN, 0, 4)
    assert after(adaptation, GOOD, 4, 20) == "high"


def test_each_vain_trial_waits_longer():
    adaptation = Adaptation()
    changes, before = [], adaptation.level
    for tick in range(600):
        line = THIN if adaptation.level == "high" else Line(None, 0.0, 0.0)
        level = adaptation.step(tick / 2, line, has_low=False)
        if level != before:
            changes.append((tick / 2, level))
            before = level
    tries = [at for at, level in changes if level == "high"]
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert waits == sorted(waits)
    assert waits[-1] >= 60


def test_a_person_can_ask_for_everything_again():
    adaptation = Adaptation()
    after(adaptation, THIN, 0, 4)
    adaptation.reset(4.0)
    assert adaptation.level == "high"


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1000) | st.none(), st.floats(0, 1), st.booleans()), max_size=100))
def test_any_line_leads_to_a_level(looks: list[tuple[float | None, float, bool]]):
    adaptation = Adaptation()
    for at, (available, lost, has_low) in enumerate(looks):
        assert adaptation.step(at / 2, Line(available, lost, 200.0), has_low=has_low) in LEVELS
