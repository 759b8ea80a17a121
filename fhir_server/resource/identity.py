"""Ids that the server gives: unique without asking anybody, and in order of time (RFC 9562, 5.7 UUID version 7)."""

from collections.abc import Callable
from itertools import count
from secrets import randbits, token_hex

from fhir_server.resource.instant import Clock

_RANDOM_BITS = 62
_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62


def time_ordered_ids(clock: Clock) -> Callable[[], str]:
    """Return a source of ids: what is made about the same time stands together in every index by id."""

    def new_id() -> str:
        milliseconds = int(clock() * 1000) & 0xFFFFFFFFFFFF
        bits = milliseconds << 80 | _VERSION_AND_VARIANT | randbits(12) << 64 | randbits(_RANDOM_BITS)
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    return new_id


def request_ids() -> Callable[[], str]:
    """Return a source of ids for requests, which are cheap and tell processes apart."""
    process = token_hex(5)
    numbers = count(1)
    return lambda: f"{process}-{next(numbers):x}"
