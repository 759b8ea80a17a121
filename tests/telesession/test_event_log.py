"""The log that viewers read, and the figures of their lines."""

from __future__ import annotations

import asyncio

import pytest

from fhir_server.errors import Invalid
from telesession.event_log import EventLog, Kind
from telesession.network import REASON, Line, figures_in


def log_of(*kinds: Kind, length: int = 5) -> EventLog:
    log = EventLog("aa", length)
    for kind in kinds:
        log.add(kind, lambda _viewer: {})
    return log


def test_a_reader_gets_what_is_new_and_of_states_the_last_alone():
    log = log_of("roster", "chat", "roster", "chat", "roster")
    assert [(each.number, each.kind) for each in log.after(0) or []] == [(2, "chat"), (4, "chat"), (5, "roster")]
    assert log.after(5) == []
    assert [each.number for each in log.after(3) or []] == [4, 5]


@pytest.mark.parametrize("number", [-1, 0, 99])
def test_a_reader_who_is_too_late_or_from_elsewhere_is_told_so(number: int):
    assert log_of("chat", "chat", "chat", "chat", "chat", "chat", "chat").after(number) is None


@pytest.mark.parametrize(
    ("text", "place"), [("aa-3", 3), ("bb-3", None), ("aa-x", None), ("", None), (None, None), ("aa-" + "9" * 40, None)]
)
def test_an_id_of_another_log_has_no_place(text: str | None, place: int | None):
    assert log_of().place(text) == place


def test_who_waits_is_woken():
    async def story() -> None:
        log = log_of()
        waiting = asyncio.create_task(log.wait(log.turn, 30))
        await asyncio.sleep(0)
        log.add("chat", lambda _viewer: {})
        await asyncio.wait_for(waiting, 5)
        await asyncio.wait_for(log.wait(log.turn - 1, 30), 5)
        await log.wait(log.turn, 0.01)

    asyncio.run(story())


def test_a_line_is_judged_after_seconds_and_not_by_one_bad_moment():
    line = Line()
    poor, good = {"lost": 0.2}, {"lost": 0.0, "availableKbps": 900}
    assert [line.judged(poor, at) for at in (0, 2.9, 3)] == [None, None, REASON]
    assert [line.judged(good, at) for at in (4, 13.9, 14)] == [None, None, ""]
    assert line.judged({"availableKbps": 100}, 15) is None
    assert line.judged({"lost": 0.07}, 16) is None
    assert line.judged({"availableKbps": 100}, 18) is None


def test_figures_are_numbers_in_their_range():
    assert figures_in({"lost": 0.5, "sentKbps": 10, "other": "x"}) == {"lost": 0.5, "sentKbps": 10}
    for wrong in ({"lost": 1.5}, {"lost": float("nan")}, {"sentKbps": "1"}, {"freezes": True}, {}):
        with pytest.raises(Invalid):
            figures_in(wrong)
