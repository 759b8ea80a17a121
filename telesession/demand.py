"""What a request must say before it is sent to a hub, by its kind: rows of a table (Circular 49/2017/TT-BYT)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fhir_server.errors import Issue
from telesession.consultation import EVERY_KIND, Kind
from telesession.vocabulary import Body, objects, path_of


@dataclass(frozen=True, slots=True)
class Demand:
    """A row: what is missing where `holds` says no, and where it belongs."""

    text: str
    where: str
    holds: Callable[[Body], bool]
    kinds: frozenset[Kind] = EVERY_KIND


def _is_about(kind: str) -> Callable[[Body], bool]:
    return lambda request: path_of(request.get("subject")).startswith(f"{kind}/")


def _asks_facility(request: Body) -> bool:
    return any(path_of(each).startswith("Organization/") for each in objects(request, "performer"))


def _asks_something(request: Body) -> bool:
    return any(list(objects(request, name)) for name in ("reasonCode", "reasonReference", "note", "orderDetail"))


def _has_images(request: Body) -> bool:
    kinds = ("ImagingStudy", "Media", "DocumentReference", "DiagnosticReport")
    return any(path_of(each).partition("/")[0] in kinds for each in objects(request, "supportingInfo"))


OF_PATIENTS: frozenset[Kind] = frozenset({"visit", "conference", "imaging"})
DEMANDS: tuple[Demand, ...] = (
    Demand("A consultation is asked of an Organization.", "ServiceRequest.performer", _asks_facility),
    Demand("It is about one Patient.", "ServiceRequest.subject", _is_about("Patient"), OF_PATIENTS),
    Demand("A training is for a Group of trainees.", "ServiceRequest.subject", _is_about("Group"),
           frozenset({"training"})),
    Demand("It asks a question: a reason, a note, or details.", "ServiceRequest.reasonCode", _asks_something,
           frozenset({"conference", "imaging"})),
    Demand("It brings the images that it is about.", "ServiceRequest.supportingInfo", _has_images,
           frozenset({"imaging"})),
)  # fmt: skip


def unmet(request: Body, kind: Kind) -> Iterator[Issue]:
    """Yield what a request lacks before it may be sent."""
    for demand in DEMANDS:
        if kind in demand.kinds and not demand.holds(request):
            yield Issue("error", "required", demand.text, (demand.where,))
