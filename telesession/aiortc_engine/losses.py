"""Which packets of a stream are missing, and when to ask for them (RFC 4585, 6.2.1 generic NACK)."""

from __future__ import annotations

from telesession.aiortc_engine.packet import follows

MOST_MISSING = 256
"""More at once are a break in the stream, which a keyframe mends."""
SECONDS_BETWEEN = 0.06
MOST_TRIES = 6


class Losses:
    """Follows the sequence numbers of one stream."""

    def __init__(self) -> None:
        self.newest: int | None = None
        self.asked = 0
        self._missing: dict[int, tuple[float, int]] = {}

    def add(self, sequence: int, now: float) -> list[int]:
        """Note a packet; return the numbers to ask for now, oldest first."""
        if self.newest is None:
            self.newest = sequence
            return []
        if follows(sequence, self.newest):
            gap = (sequence - self.newest - 1) & 0xFFFF
            if gap > MOST_MISSING:
                self._missing.clear()
            elif gap:
                self._missing.update({(self.newest + 1 + i) & 0xFFFF: (now, 0) for i in range(gap)})
            self.newest = sequence
        elif self._missing:
            self._missing.pop(sequence, None)
        return self._due(now) if self._missing else []

    def _due(self, now: float) -> list[int]:
        due = [number for number, (at, _) in self._missing.items() if at <= now]
        for number in due:
            tries = self._missing[number][1] + 1
            if tries > MOST_TRIES:
                del self._missing[number]
            else:
                self._missing[number] = now + SECONDS_BETWEEN * tries, tries
        asked = [number for number in due if number in self._missing]
        while len(self._missing) > MOST_MISSING:
            del self._missing[next(iter(self._missing))]
        self.asked += len(asked)
        return asked
