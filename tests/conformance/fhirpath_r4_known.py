"""Official FHIRPath tests that contradict the specification, and what it says; no other may fail."""

from __future__ import annotations

from collections.abc import Mapping

KNOWN: Mapping[str, str] = {
    "testPlusDate19": (
        "expects 0.1 's' to add nothing; only for precisions above seconds is the decimal portion ignored (6.6.8),"
        " and the R5 suite expects .100"
    ),
    "HighBoundaryDateTimeMillisecond1": (
        "expects T08:00:59.999 as the last moment of hour 8; the hour lasts until T08:59:59.999"
    ),
    "HighBoundaryDateTimeMillisecond3": (
        "expects T08:00:59.999 as the last moment of hour 8; the hour lasts until T08:59:59.999"
    ),
}
