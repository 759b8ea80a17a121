"""How often somebody may fail to say who they are (OWASP ASVS 2.2.1; NIST SP 800-63B, 5.2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from fhir_server.errors import Throttled
from fhir_server.store.records import Records

Counted = Literal["address", "client", "login", "code"]
Subject = tuple[Counted, str]
"""What is counted, and of whom."""


class Rule(NamedTuple):
    """So many failures are let pass in so many seconds, counted from the first."""

    failures: int
    seconds: int


RULES: dict[Counted, Rule] = {
    "address": Rule(50, 60),  # from one address, of whoever: a facility has one
    "client": Rule(10, 60),  # of a client from one address
    "login": Rule(10, 900),  # of a login, from wherever
    "code": Rule(5, 900),  # of second factors of a login
}


class Throttle:
    """Counts failures in the records, so that all processes count together."""

    def __init__(self, records: Records, clock: Callable[[], float]) -> None:
        self._records = records
        self._clock = clock

    def admit(self, *subjects: Subject) -> None:
        """Raise Throttled where one of these failed too often."""
        now = int(self._clock())
        for counted, name in subjects:
            record = self._records.read("attempts", _name(counted, name))
            if record is not None and record.expires > now and record.body["count"] >= RULES[counted].failures:
                raise Throttled(f"Too many failures; try again in {record.expires - now} seconds.")

    def failed(self, *subjects: Subject) -> None:
        """Count a failure of each of these."""
        now = int(self._clock())
        for counted, name in subjects:
            self._count(_name(counted, name), now, now + RULES[counted].seconds)

    def _count(self, name: str, now: int, until: int) -> None:
        while True:
            record = self._records.read("attempts", name)
            if record is None:
                if self._records.add("attempts", name, {"count": 1}, until):
                    return
            elif record.expires <= now:
                if self._records.change("attempts", name, {"count": 1}, record.revision, until):
                    return
            elif self._records.change("attempts", name, {"count": record.body["count"] + 1}, record.revision):
                return

    def succeeded(self, subjects: Iterable[Subject]) -> None:
        """Forget the failures of these."""
        for counted, name in subjects:
            record = self._records.read("attempts", _name(counted, name))
            if record is not None:
                self._records.change("attempts", _name(counted, name), None, record.revision)


def _name(counted: Counted, name: str) -> str:
    return f"{counted}:{name[:200]}"
