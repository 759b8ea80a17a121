"""What a viewer's line can carry: both qualities of pictures, the low one, or the sound alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["sound", "low", "high"]
LEVELS: tuple[Level, ...] = ("sound", "low", "high")

LEAST_KBPS = 150.0
MOST_LOST = 0.15
SECONDS_BAD = 3.0
SECONDS_BAD_ON_TRIAL = 1.5
SECONDS_TRIAL = 8.0
SECONDS_TO_RETRY = 10.0
MOST_SECONDS_TO_RETRY = 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of a line now: what it can take, None where unknown; the share lost; what pictures would need."""

    available_kbps: float | None
    lost: float
    needed_kbps: float


class Adaptation:
    """Steps down when a line is bad for some seconds, and up again by trying, each time after a longer wait.

    A line that carries little cannot say that it could carry more: so it is tried.
    """

    def __init__(self) -> None:
        self.level: Level = "high"
        self.reason = ""
        self._bad_since: float | None = None
        self._since = 0.0
        self._wait = SECONDS_TO_RETRY
        self._tries = False

    def step(self, now: float, line: Line, *, has_low: bool) -> Level:
        """Return the level after a look at the line; `has_low` says whether a low quality is there to step down to."""
        reason = self._complaint(line, has_low=has_low)
        if not reason:
            self._bad_since = None
            self._rise(now, has_low=has_low)
            return self.level
        if self._bad_since is None:
            self._bad_since = now
        if now - self._bad_since >= (SECONDS_BAD_ON_TRIAL if self._tries else SECONDS_BAD):
            self._fall(now, reason, has_low=has_low)
        return self.level

    def reset(self, now: float) -> None:
        """Begin anew at the top: a person chose so."""
        self.level, self._bad_since, self._since, self._wait, self._tries = "high", None, now, SECONDS_TO_RETRY, False

    def _complaint(self, line: Line, *, has_low: bool) -> str:
        if self.level == "sound":
            return ""
        if line.lost > MOST_LOST:
            return f"{line.lost:.0%} of what is sent is lost"
        if line.available_kbps is None:
            return ""
        eases = self.level == "high" and has_low
        least = max(LEAST_KBPS, 0.6 * line.needed_kbps) if eases else LEAST_KBPS
        return f"the line carries {line.available_kbps:.0f} kbit/s" if line.available_kbps < least else ""

    def _fall(self, now: float, reason: str, *, has_low: bool) -> None:
        if self._tries:
            self._wait = min(2 * self._wait, MOST_SECONDS_TO_RETRY)
        self.level = "low" if self.level == "high" and has_low else "sound"
        self.reason, self._bad_since, self._since, self._tries = reason, None, now, False

    def _rise(self, now: float, *, has_low: bool) -> None:
        if self._tries and now - self._since >= SECONDS_TRIAL:
            self._tries = False
            self._wait = SECONDS_TO_RETRY
        if self.level != "high" and now - self._since >= self._wait:
            self.level = "low" if self.level == "sound" and has_low else "high"
            self._since, self._tries = now, True
