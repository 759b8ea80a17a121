"""What both depths say of a resource: the errors at full depth as `place: text`, and whether a write is refused."""

from __future__ import annotations

from functools import cache
from typing import Any

from fhir_server.definitions.registry import r4
from fhir_server.errors import Issue
from fhir_server.validation.depth import Depth
from fhir_server.validation.validator import Validator


@cache
def validator(depth: Depth) -> Validator:
    """The validator of a depth by R4's own definitions."""
    return Validator(r4(), depth=depth)


def issues(body: Any, severity: str = "error") -> list[Issue]:
    """The issues of a severity at full depth."""
    return [i for i in validator("full").validate(body).issues if i.severity == severity]


def errors(body: Any) -> list[str]:
    """The errors at full depth."""
    return [f"{i.expression[0]}: {i.text}" for i in issues(body)]


def warnings(body: Any) -> list[str]:
    """The warnings at full depth, best practice aside."""
    return [f"{i.expression[0]}: {i.text}" for i in issues(body, "warning") if i.rule is None]


def is_refused(body: Any) -> bool:
    """True when a write of the resource would be refused."""
    return not validator("write").validate(body).is_valid


def only_full(body: Any) -> list[str]:
    """The errors at full depth of a resource that a write takes, and tells of as warnings when asked."""
    assert not is_refused(body)
    verdict = validator("write").validate(body, warnings=True)
    assert verdict.is_valid
    found = errors(body)
    told = {f"{i.expression[0]}: {i.text}" for i in verdict.issues if i.severity == "warning"}
    assert told.issuperset(found)
    return found
