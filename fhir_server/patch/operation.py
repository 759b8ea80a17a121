"""One operation of a patch as failures name it: its index, what it does, and where (FHIR R4, 3.1.0.9.1 patch)."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from fhir_server.errors import Invalid, Issue, TooComplex, TooCostly, TooLarge, Unprocessable
from fhir_server.resource.exact import dump_exact

MOST_OPERATIONS = 1000
_LONGEST_EXCERPT = 80
_MOST_NAMES = 12


@dataclass(frozen=True, slots=True)
class Operation:
    """The operation at `index`, counted from 0; `summary` is what it does and where, as `replace /name/0`."""

    index: int
    summary: str = ""
    expression: tuple[str, ...] = ()

    def malformed(self, text: str, fix: str | None = None) -> Invalid:
        """The failure of an operation that cannot be read."""
        return Invalid(self._issue("invalid", text, fix))

    def refused(self, text: str, fix: str | None = None) -> Unprocessable:
        """The failure of an operation that this resource does not allow."""
        return Unprocessable(self._issue("processing", text, fix))

    def too_large(self, text: str) -> TooComplex:
        """The failure of an operation whose result would pass a limit."""
        return TooComplex(self._issue("too-long", text, None))

    def too_costly(self) -> TooCostly:
        """The failure of an operation that makes the patch visit too much."""
        return TooCostly(self._issue("too-costly", "the patch visits more than one patch may visit", None))

    def _issue(self, code: str, text: str, fix: str | None) -> Issue:
        what = f" ({self.summary})" if self.summary else ""
        return Issue("error", code, f"Operation [{self.index}]{what}: {text}.", self.expression, fix=fix)


def refuse_too_many(count: int) -> None:
    """Raise TooLarge for a patch of more operations than are applied at once."""
    if count > MOST_OPERATIONS:
        text = f"The patch has {count} operations; at most {MOST_OPERATIONS} are applied at once."
        raise TooLarge(
            Issue("error", "too-long", text, fix="Send several patches, or the whole resource as an update.")
        )


def excerpt(value: Any) -> str:
    """The beginning of a text, or of a JSON value as it is written."""
    text = value if isinstance(value, str) else dump_exact(value).decode()
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """Which known name was perhaps meant, or all of them where they are few."""
    names = list(known)
    close = get_close_matches(name[:_LONGEST_EXCERPT], names[:1000], 1)
    if close:
        return f"Did you mean {close[0]!r}?"
    shown = ", ".join(map(excerpt, names[:_MOST_NAMES])) + (", ..." if len(names) > _MOST_NAMES else "")
    return f"Known here: {shown or 'nothing'}."
