"""Times when several people are free: their Slots, less what is booked (IHE ITI Scheduling, 3.115 find)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from telesession.calendar import Span


@dataclass(frozen=True, slots=True)
class Actor:
    """One who is to come: the free Slots (None: no Slots are kept, any time is good), and the spans that are taken."""

    reference: str
    slots: Sequence[tuple[str, Span]] | None
    busy: Sequence[Span] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """A time when all can come, and the Slots that it takes."""

    span: Span
    slots: tuple[str, ...]


def options(actors: Sequence[Actor], window: Span, length: int) -> Iterator[Option]:
    """Yield the times of a length within a window when all actors are free, one after the other."""
    for start, end in common([free(actor, window) for actor in actors], window):
        begin = start
        while begin + length <= end:
            span = begin, begin + length
            yield Option(span, tuple(slot for actor in actors for slot in covering(actor, span)))
            begin += length


def free(actor: Actor, window: Span) -> list[Span]:
    """The spans of a window in which an actor can come, in order and joined."""
    offered = joined([window] if actor.slots is None else [cut(span, window) for _, span in actor.slots])
    return list(without(offered, joined(actor.busy)))


def common(several: Iterable[Sequence[Span]], window: Span) -> list[Span]:
    """The spans that are in every one of some lists."""
    found = [window]
    for spans in several:
        found = [both for one in found for other in spans if (both := cut(one, other))[0] < both[1]]
    return found


def joined(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that touch made one, empty ones left out."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def without(spans: Iterable[Span], taken: Sequence[Span]) -> Iterator[Span]:
    """Yield what is left of spans when others are taken away, which are in order."""
    for start, end in spans:
        begin = start
        for from_, to in taken:
            if from_ < end and begin < to:
                if begin < from_:
                    yield begin, from_
                begin = max(begin, to)
        if begin < end:
            yield begin, end


def cut(span: Span, window: Span) -> Span:
    """The part of a span that is within a window."""
    return max(span[0], window[0]), min(span[1], window[1])


def covering(actor: Actor, span: Span) -> Iterator[str]:
    """Yield the Slots of an actor that a span takes."""
    for slot, (start, end) in actor.slots or ():
        if start < span[1] and span[0] < end:
            yield slot
