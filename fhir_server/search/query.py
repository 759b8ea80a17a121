"""The door to search: the parameters of a URL become a Query (FHIR R4, 3.1.1 Search)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Literal

from fhir_server.errors import Issue, Unsupported
from fhir_server.search.codes import CodeDoor
from fhir_server.search.limits import Limits
from fhir_server.search.parameters import Parameters
from fhir_server.search.plan import Plan

Total = Literal["none", "estimate", "accurate"]
Summary = Literal["true", "text", "data", "count", "false"]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Query:
    """What a search asks for.

    `applied` are the pairs that had an effect, in order and as sent, for the self link; `ignored` says why others had
    none. `count` is already lowered to the limit, None where it was not asked for; `total` is None likewise. `cursor`
    is what `_cursor` said, and `explain` is true where the plan was asked for.
    """

    plan: Plan
    applied: tuple[Pair, ...] = ()
    ignored: tuple[Issue, ...] = ()
    count: int | None = None
    total: Total | None = None
    summary: Summary = "false"
    elements: tuple[str, ...] = ()
    cursor: str | None = None
    explain: bool = False


class Searcher:
    """Reads searches; what it compiled is renewed when the definitions grow.

    `zone` is where dates without a zone are, and `bases` are this server's own base URLs: both as the Indexer has them.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        codes: CodeDoor,
        zone: tzinfo,
        bases: tuple[str, ...] = (),
        limits: Limits | None = None,
    ) -> None:
        self.parameters = parameters
        self.limits = limits or Limits()

    def query(
        self,
        types: tuple[str, ...],
        pairs: Sequence[Pair],
        *,
        lenient: bool = False,
        compartment: tuple[str, str] | None = None,
        now: int,
    ) -> Query:
        """What these pairs ask of some resource types, or of all where none is named and `_type` names none.

        `compartment` is its type and id; `now` is in milliseconds since 1970. Raises Invalid, Unsupported or TooCostly,
        each naming the parameter; `lenient` leaves out what is Invalid or Unsupported, and reports it in `ignored`.
        """
        raise Unsupported("Search is not yet there.")
