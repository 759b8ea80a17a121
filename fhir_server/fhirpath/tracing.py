"""Functions that look at the evaluation itself: trace, defineVariable, the clock (FHIRPath 2.0, section 5.9)."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.collection import string
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame, Run
from fhir_server.fhirpath.function import Function, Table, each
from fhir_server.fhirpath.static import always, same, system
from fhir_server.fhirpath.temporal import Date, Time

RESERVED = frozenset({"context", "resource", "rootResource", "ucum", "sct", "loinc"})


def trace(frame: Frame, focus: list[Any], name: Run, projection: Run | None = None) -> list[Any]:
    """The input; whoever asked is told what is traced."""
    told = frame.evaluation.trace
    if told is None:
        return focus
    label = string(name(frame), "the name of a trace") or ""
    seen = [found for part in each(frame, focus, projection) for found in part] if projection else focus
    told(label, seen)
    return focus


def define_variable(frame: Frame, focus: list[Any], name: Run, value: Run | None = None) -> list[Any]:
    """The input; the variable has its value from here on."""
    label = string(name(frame), "the name of a variable")
    if label is None or label in RESERVED or label in (frame.variables or {}) or label in frame.evaluation.variables:
        raise FHIRPathError(f"The variable %{label} cannot be defined: the name is taken")
    inner = Frame(frame.evaluation, focus, frame.variables, frame.index, frame.total)
    frame.define(label, value(inner) if value else focus)
    return focus


def now(frame: Frame, focus: list[Any]) -> list[Any]:
    """The moment of the evaluation."""
    return [frame.evaluation.moment]


def today(frame: Frame, focus: list[Any]) -> list[Any]:
    """The date of the evaluation."""
    return [Date(frame.evaluation.moment.fields[:3])]


def time_of_day(frame: Frame, focus: list[Any]) -> list[Any]:
    """The time of the evaluation."""
    moment = frame.evaluation.moment
    return [Time(moment.fields[3:], moment.fraction)]


FUNCTIONS: Table = {
    "trace": Function(trace, 1, 2, "expressions", same),
    "defineVariable": Function(define_variable, 1, 2, "expressions", same),
    "now": Function(now, result=always(system("DateTime"))),
    "today": Function(today, result=always(system("Date"))),
    "timeOfDay": Function(time_of_day, result=always(system("Time"))),
}
