"""What is wrong with an expression, and where in it."""

from __future__ import annotations

from fhir_server.errors import Invalid, Issue

EXCERPT = 30


class FHIRPathError(Invalid):
    """An expression that cannot be parsed, compiled or evaluated.

    `position` counts characters from 0 and is None until it is known; `source` is the text it counts in.
    """

    def __init__(self, message: str, position: int | None = None, source: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.source = source

    def located(self, position: int) -> FHIRPathError:
        """This error with a position, unless it already has a nearer one."""
        if self.position is None:
            self.position = position
        return self

    def within(self, source: str) -> FHIRPathError:
        """This error with the text of the expression, unless it already has it."""
        if self.source is None:
            self.source = source
            self.issues = (Issue("error", self.code, str(self)),)
        return self

    @property
    def line_and_column(self) -> tuple[int, int] | None:
        """Where the error is, both counted from 1."""
        if self.position is None or self.source is None:
            return None
        before = self.source[: self.position]
        return before.count("\n") + 1, self.position - before.rfind("\n")

    @property
    def excerpt(self) -> str:
        """The text around the error, with a mark in front of the offending place."""
        if self.position is None or self.source is None:
            return ""
        start, end = max(0, self.position - EXCERPT), self.position + EXCERPT
        opening, closing = "..." if start else "", "..." if end < len(self.source) else ""
        return f"{opening}{self.source[start : self.position]}>>>{self.source[self.position : end]}{closing}"

    def __str__(self) -> str:
        place = self.line_and_column
        if place is None:
            return self.message
        line, column = place
        where = f"line {line}, column {column}" if line > 1 else f"column {column}"
        return f"{self.message} (at {where}: {self.excerpt})"
