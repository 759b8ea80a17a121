"""Instants in UTC with milliseconds, and their place on the time line (FHIR R4, 2.24.0.1 instant)."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from fhir_server.errors import Invalid, Issue

Clock = Callable[[], float]
"""Seconds since 1970-01-01T00:00:00Z, as `time.time` gives them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:)([0-5][0-9]|60)(?:\.([0-9]+))?"
    r"(Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
).fullmatch


def now(clock: Clock) -> str:
    """Return the present as an instant, such as `2026-11-23T07:28:03.412Z`."""
    return instant(int(clock() * 1000))


def instant(milliseconds: int) -> str:
    """Return the moment so many milliseconds after 1970-01-01T00:00:00Z as an instant in UTC."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_whole_seconds(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=64)
def _whole_seconds(seconds: int) -> str:
    moment = time.gmtime(seconds)
    return f"{moment.tm_year:04d}-{time.strftime('%m-%dT%H:%M:%S', moment)}"


def epoch_milliseconds(text: str) -> int:
    """Return the milliseconds from 1970-01-01T00:00:00Z to an instant, finer fractions cut; raise Invalid for others.

    A leap second is taken as the first moment of the next minute, as the time line of POSIX has it.
    """
    found = _INSTANT(text)
    if found is None:
        raise _no_instant(text)
    minute, second, fraction, zone = found.groups(default="")
    try:
        moment = datetime.fromisoformat(f"{minute}00{'+00:00' if zone == 'Z' else zone}")
    except ValueError:
        raise _no_instant(text) from None
    return (moment - _EPOCH) // _MILLISECOND + int(second) * 1000 + int(f"{fraction[:3]:0<3}")


def _no_instant(text: str) -> Invalid:
    wanted = "an instant has a date, a time to the second and a zone, such as 2026-11-23T14:28:03.412+07:00"
    return Invalid(Issue("error", "value", f"{text[:100]!r} is not an instant: {wanted}."))
