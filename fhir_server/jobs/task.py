"""The Task that stands for a job: what it is to do, how far it is (FHIR R4, 12.1 Task)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

SYSTEM = "urn:nhipcau:job"
REINDEX = "reindex"
OPEN = ("requested", "ready", "in-progress")
LONGEST_NUMBER = 2**31 - 1

Json = dict[str, Any]


def reindexing(task_id: str, kinds: Collection[str], now: str) -> Json:
    """Return the Task of a job that indexes resources of these types."""
    named = ", ".join(sorted(kinds)) if len(kinds) <= 5 else f"{len(kinds)} types"
    return {
        "resourceType": "Task",
        "id": task_id,
        "status": "requested",
        "intent": "order",
        "code": coded(REINDEX),
        "description": f"Index the resources of {named} anew",
        "authoredOn": now,
        "lastModified": now,
        "input": [{"type": coded("type"), "valueCode": kind} for kind in sorted(kinds)],
    }


def coded(code: str) -> Json:
    """Return a concept of jobs."""
    return {"coding": [{"system": SYSTEM, "code": code}]}


def is_job(task: Mapping[str, Any], code: str) -> bool:
    """Whether a Task is a job of this kind."""
    return any(
        coding.get("system") == SYSTEM and coding.get("code") == code
        for coding in task.get("code", {}).get("coding", ())
    )


def kinds_of(task: Mapping[str, Any]) -> frozenset[str]:
    """Return the types that a Task is about."""
    return frozenset(
        each["valueCode"] for each in task.get("input", ()) if _named(each) == "type" and "valueCode" in each
    )


def outputs(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the outputs of a Task by name."""
    return {
        name: value
        for each in task.get("output", ())
        if (name := _named(each))
        for key, value in each.items()
        if key.startswith("value")
    }


def advanced(task: Json, status: str, now: str, results: Mapping[str, int | str], reason: str | None = None) -> Json:
    """Return a Task with another status, and its outputs in place of the former."""
    made = {**task, "status": status, "lastModified": now}
    made.pop("statusReason", None)
    if reason is not None:
        made["statusReason"] = {"text": reason}
    period = {"start": now, **task.get("executionPeriod", {})}
    made["executionPeriod"] = period if status in OPEN else {**period, "end": now}
    if results:
        made["output"] = [{"type": coded(name), **_value(value)} for name, value in results.items()]
    return made


def _value(value: int | str) -> Json:
    if isinstance(value, int) and value <= LONGEST_NUMBER:
        return {"valueInteger": value}
    return {"valueString": str(value)}


def _named(each: Mapping[str, Any]) -> str | None:
    codings = each.get("type", {}).get("coding", ())
    return next((coding.get("code") for coding in codings if coding.get("system") == SYSTEM), None)
