"""Where the frames of an instance are in its file, and cutting them out (PS3.5, 8)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PREAMBLE = 128
DEFLATED = "1.2.840.10008.1.2.1.99"
INFLATED = ".inflated"
AT_ONCE_BYTES = 4_000_000

Range = tuple[int, int]
"""A place in a file, and how many bytes are there."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Where frames are: `count` of `size` bytes each from `start` on, or the ranges that make up each.

    The places are in the file, or, where that is deflated, in what it inflates to.
    """

    start: int = 0
    size: int = 0
    count: int = 0
    ranges: Sequence[Sequence[Range]] = ()

    def of(self, number: int) -> Sequence[Range]:
        """The ranges of a frame, counted from 1; none where it is not there."""
        if self.ranges:
            return self.ranges[number - 1] if 0 < number <= len(self.ranges) else ()
        return ((self.start + (number - 1) * self.size, self.size),) if 0 < number <= self.count else ()


def inflated(path: Path) -> Path:
    """Where the data set of a deflated file is, as it is without that."""
    return path.with_name(path.name + INFLATED)


def cut(descriptor: int, start: int, length: int, flags: int) -> bytes:
    """Return a piece of a file; raise BlockingIOError where it would have to be waited for, and must not be."""
    piece = bytearray(length)
    view, read = memoryview(piece), 0
    while read < length:
        got = os.preadv(descriptor, [view[read:]], start + read, flags)
        if not got:
            break
        if flags and got < length - read:
            raise BlockingIOError
        read += got
    return bytes(view[:read])


def cut_out(source: Path, frames: Frames, numbers: Sequence[int], flags: int) -> Sequence[bytes] | None:
    """Return frames as they stand in a file; None where one is not there.

    With flags, raise BlockingIOError where they would have to be waited for.
    """
    places = [frames.of(number) for number in numbers]
    if not all(places):
        return None
    if flags and sum(length for ranges in places for _, length in ranges) > AT_ONCE_BYTES:
        raise BlockingIOError
    with source.open("rb", buffering=0) as file:
        return [b"".join(cut(file.fileno(), *each, flags) for each in ranges) for ranges in places]
