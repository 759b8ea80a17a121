"""Who is heard in a session: the loudest few, chosen calmly (RFC 6464 audio levels)."""

from __future__ import annotations

from collections.abc import Iterable

SILENCE = 127
QUIET = 60
"""What is this many decibels below full scale, or more, is nobody speaking."""
FADES_BY = 0.5
"""How much of a level a tick of silence takes."""
LEADS_BY = 4.0
"""How much louder (decibels) somebody must be to take the place of one who is heard."""


class Loudness:
    """The levels of all sources of a session; `tick` makes one step of time, about a tenth of a second."""

    def __init__(self) -> None:
        self._now: dict[str, int] = {}
        self._score: dict[str, float] = {}
        self._heard: tuple[str, ...] = ()

    def hear(self, source: str, level: int) -> None:
        """Note how many decibels below full scale a packet of a source is."""
        if level < self._now.get(source, SILENCE):
            self._now[source] = level

    def forget(self, source: str) -> None:
        """A source is gone."""
        self._now.pop(source, None)
        self._score.pop(source, None)
        self._heard = tuple(each for each in self._heard if each != source)

    def tick(self) -> None:
        """Take what was heard since the last tick into the scores."""
        for source in {*self._score, *self._now}:
            loud = max(0, QUIET - self._now.get(source, SILENCE))
            before = self._score.get(source, 0.0)
            self._score[source] = max(float(loud), before - max(FADES_BY, before * 0.05))
        self._now.clear()
        calm = {each: score + (LEADS_BY if each in self._heard else 0.0) for each, score in self._score.items()}
        self._heard = tuple(sorted((each for each in calm if self._score[each] > 0), key=lambda each: -calm[each]))

    @property
    def speakers(self) -> tuple[str, ...]:
        """Who is heard, the loudest first."""
        return self._heard

    def chosen(self, of: Iterable[str], count: int) -> list[str]:
        """The `count` sources that a viewer hears: the loudest, then those that came first."""
        rank = {source: place for place, source in enumerate(self._heard)}
        return sorted(of, key=lambda each: rank.get(each, len(rank)))[:count]


def assigned(before: list[str | None], wanted: list[str]) -> list[str | None]:
    """Give each wanted source a place, where it already is if it has one: nobody jumps from slot to slot."""
    kept = [source if source in wanted else None for source in before]
    coming = [source for source in wanted if source not in kept]
    return [source if source is not None else (coming.pop(0) if coming else None) for source in kept]
