"""A participant's line by its figures: when pictures are stopped for the sake of the sound, and when they come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.errors import Invalid

Json = dict[str, Any]

SHARES = ("lost",)
RATES = ("sentKbps", "receivedKbps", "availableKbps", "roundTripMs", "jitterMs", "framesPerSecond", "freezes")
LARGEST = 1e7

POOR_LOST, POOR_KBPS = 0.10, 150.0
GOOD_LOST, GOOD_KBPS = 0.05, 250.0
SECONDS_POOR, SECONDS_GOOD = 3.0, 10.0
REASON = "The network is poor: sound only."


def figures_in(body: Mapping[str, Any]) -> Json:
    """The figures in a body, each a number in its range; raise Invalid for others, or for none."""
    found: Json = {}
    for name in (*SHARES, *RATES):
        value = body.get(name)
        if value is None:
            continue
        most = 1.0 if name in SHARES else LARGEST
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise Invalid(f"{name} must be a number from 0 to {most:g}.", expression=(name,))
        found[name] = value
    if not found:
        raise Invalid(f"Send some of the figures {', '.join((*SHARES, *RATES))}.")
    return found


class Line:
    """How a line has been lately: poor for some seconds it has sound only, good for longer it has pictures again."""

    def __init__(self) -> None:
        self._poor_since: float | None = None
        self._good_since: float | None = None

    def judged(self, figures: Mapping[str, Any], now: float) -> str | None:
        """Why there is to be sound only, empty for pictures; None where it stays as it is."""
        lost, rate = figures.get("lost", 0.0), figures.get("availableKbps", GOOD_KBPS)
        is_poor = lost > POOR_LOST or rate < POOR_KBPS
        is_good = lost < GOOD_LOST and rate >= GOOD_KBPS
        self._poor_since = (now if self._poor_since is None else self._poor_since) if is_poor else None
        self._good_since = (now if self._good_since is None else self._good_since) if is_good else None
        if self._poor_since is not None and now - self._poor_since >= SECONDS_POOR:
            return REASON
        if self._good_since is not None and now - self._good_since >= SECONDS_GOOD:
            return ""
        return None
