"""Kinds of failure, each carrying the issues of one OperationOutcome (FHIR R4, 2.36 OperationOutcome).

    FhirError                  exception
    ├── Invalid                invalid           it cannot be read: syntax, structure, a parameter
    │   ├── InvalidValue       value             a parameter has a value that is none of its type
    │   └── TooLarge           too-long          it passes a limit on size or number
    │       └── TooComplex     too-long          its text passes a limit on depth, members or length of a string
    ├── Unprocessable          processing        it can be read, and breaks a rule or a profile
    ├── Unauthorized           login             nobody, or nobody known, is asking
    ├── Forbidden              forbidden         whoever asks may not
    ├── NotFound               not-found         there is no such thing
    │   └── Gone               deleted           there was such a thing
    ├── Conflict               conflict          it contradicts what is stored
    │   ├── PreconditionFailed conflict          the version or condition named by the client does not hold
    │   └── MultipleMatches    multiple-matches  a condition that must match one thing matches several
    ├── Unsupported            not-supported     it is right, and this server does not do it
    ├── NoStore                no-store          it cannot be kept now: the disk is full, or fails
    ├── Unavailable            transient         what the server stands on does not answer now; later is fine
    ├── Throttled              throttled         too much was asked in too short a time; later is fine
    └── TooCostly              too-costly        the answer would cost more than one client may take

Nothing here knows a transport: one table at the rim says what a kind means in HTTP.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding: how bad, what kind (a code of issue-type), what is wrong, and where as FHIRPath.

    `profile` is the canonical whose `rule` (the key of an invariant) was broken, `coding` the system and code of
    the finding itself, `fix` what to do about it where that is known.
    """

    severity: Severity
    code: str
    text: str
    expression: tuple[str, ...] = ()
    profile: str | None = None
    rule: str | None = None
    coding: tuple[str, str] | None = None
    fix: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether what the issue is about must be refused."""
        return self.severity in ("error", "fatal")

    def outcome(self) -> dict[str, Any]:
        """Return the issue as an element of `OperationOutcome.issue`."""
        details: dict[str, Any] = {}
        if self.coding:
            system, code = self.coding
            details["coding"] = [{"system": system, "code": code}]
        details["text"] = self.text
        element: dict[str, Any] = {"severity": self.severity, "code": self.code, "details": details}
        if diagnostics := self._diagnostics():
            element["diagnostics"] = diagnostics
        if self.expression:
            element["expression"] = list(self.expression)
        return element

    def _diagnostics(self) -> str:
        source = [f"rule {self.rule}"] if self.rule else []
        if self.profile:
            source.append(f"profile {self.profile}")
        sentences = [f"By {' of '.join(source)}."] if source else []
        return " ".join([*sentences, self.fix] if self.fix else sentences)


NOTHING_FOUND = Issue("information", "informational", "No issues were found.")


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """Return the issues, in the order given, as an OperationOutcome; no issues become one that says so."""
    elements = [issue.outcome() for issue in issues]
    return {"resourceType": "OperationOutcome", "issue": elements or [NOTHING_FOUND.outcome()]}


class FhirError(Exception):
    """A failure that a client can be told about; `code` is the issue-type that its kind gives to a plain text."""

    code: ClassVar[str] = "exception"

    def __init__(self, *problems: str | Issue, expression: tuple[str, ...] = ()) -> None:
        """Carry each problem; a text becomes an issue of the kind's own code at `expression`."""
        self.issues = tuple(
            problem if isinstance(problem, Issue) else Issue("error", self.code, problem, expression)
            for problem in problems
        )
        super().__init__("; ".join(issue.text for issue in self.issues))

    def operation_outcome(self) -> dict[str, Any]:
        """Return the failure as an OperationOutcome."""
        return operation_outcome(self.issues)


class Invalid(FhirError):
    """What was sent cannot be read: its syntax, its structure or a parameter is wrong."""

    code = "invalid"


class InvalidValue(Invalid):
    """A parameter has a value that is none of its type."""

    code = "value"


class TooLarge(Invalid):
    """What was sent passes a limit on size or number."""

    code = "too-long"


class TooComplex(TooLarge):
    """What was sent is short enough, and passes a limit on its depth, its members or the length of a string."""


class Unprocessable(FhirError):
    """What was sent can be read, and breaks a rule or a profile."""

    code = "processing"


class Unauthorized(FhirError):
    """Nobody, or nobody known, is asking."""

    code = "login"


class Forbidden(FhirError):
    """Whoever asks may not."""

    code = "forbidden"


class Unchanging(FhirError):
    """What is stored is never changed, whoever asks."""

    code = "not-supported"


class NotFound(FhirError):
    """There is no such thing."""

    code = "not-found"


class Gone(NotFound):
    """There was such a thing, and it was deleted."""

    code = "deleted"


class Conflict(FhirError):
    """What was asked contradicts what is stored."""

    code = "conflict"


class PreconditionFailed(Conflict):
    """The version or condition that the client named does not hold."""


class MultipleMatches(Conflict):
    """A condition that must match one thing matches several."""

    code = "multiple-matches"


class Unsupported(FhirError):
    """What was asked is right, and this server does not do it."""

    code = "not-supported"


class NoStore(FhirError):
    """What was sent cannot be kept now: the disk is full, or fails. What is stored can be read."""

    code = "no-store"


class Unavailable(FhirError):
    """What the server stands on, such as its database, does not answer now; the same may be accepted soon."""

    code = "transient"


class Throttled(FhirError):
    """Too much was asked in too short a time; the same will be accepted later."""

    code = "throttled"


class TooCostly(FhirError):
    """The answer would cost more than one client may take."""

    code = "too-costly"
