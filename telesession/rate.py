"""How often somebody may do something: a bucket for each, which fills with time (token bucket, RFC 2697's idea)."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from fhir_server.errors import Throttled

MOST_REMEMBERED = 10_000


class Rate:
    """So many at once, and so many a second after that, for each who is counted."""

    def __init__(self, burst: float, per_second: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._left: dict[Hashable, tuple[float, float]] = {}

    def allows(self, who: Hashable, cost: float = 1) -> bool:
        """Whether this one may now, which is counted."""
        left = self.left(who)
        if left < cost:
            return False
        if len(self._left) >= MOST_REMEMBERED:
            self._forget_full()
        self._left[who] = left - cost, self._clock()
        return True

    def left(self, who: Hashable) -> float:
        """How many this one has left now."""
        left, at = self._left.get(who, (self._burst, 0.0))
        return min(self._burst, left + max(0.0, self._clock() - at) * self._per_second)

    def needs(self, who: Hashable, cost: float = 1) -> None:
        """Count one, or raise Throttled."""
        if not self.allows(who, cost):
            seconds = max(1, round((cost - self.left(who)) / self._per_second))
            raise Throttled(f"Too much was asked at once: ask again in {seconds} seconds.")

    def _forget_full(self) -> None:
        self._left = {who: kept for who, kept in self._left.items() if self.left(who) < self._burst}
        if len(self._left) >= MOST_REMEMBERED:
            self._left.clear()
