"""How often a member may be there by a profile (FHIR R4, 2.32 ElementDefinition.min, max)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.definitions.datatype import Member
from fhir_server.validation.item import Finder, Item
from fhir_server.validation.run import Fault, Json, Rule, Run


@dataclass(frozen=True, slots=True)
class Cardinality:
    """The least and the greatest number of an element, None for no bound; `label` is its name in messages."""

    low: int
    top: int | None
    label: str
    profile: str

    def judge(self, holder: Json, items: Sequence[Item], run: Run) -> None:
        """Report too few or too many."""
        count = len(items)
        if count < self.low:
            self.report_lack(holder, count, run)
        elif self.top is not None and count > self.top:
            self.report_excess(holder, items[0].key, count, run)

    def report_lack(self, holder: Json, count: int, run: Run) -> None:
        """Report that an object has too few."""
        text = f"{self.label}: at least {self.low} required, found {count}."
        run.report(Fault(holder, None, None, "error", "required", text, None, self.profile))

    def report_excess(self, holder: Json, key: str | None, count: int, run: Run) -> None:
        """Report that an object has too many."""
        text = f"{self.label}: at most {self.top} allowed, found {count}."
        if not self.top:
            text = f"{self.label} is not allowed here."
        run.report(Fault(holder, key, None, "error", "structure", text, None, self.profile))


def cardinality_rule(find: Finder, members: Sequence[Member], cardinality: Cardinality) -> Rule:
    """The rule for the number of a member."""
    if len(members) == 1 and cardinality.top is None and cardinality.low == 1:
        return required_rule(members[0].key, cardinality)
    if len(members) == 1 and cardinality.top == 0:
        return prohibited_rule(members[0].key, cardinality)
    return lambda holder, run: cardinality.judge(holder, find(holder), run)


def required_rule(key: str, cardinality: Cardinality) -> Rule:
    """The rule that a member must be there."""
    sibling = f"_{key}"

    def rule(holder: Json, run: Run) -> None:
        if key not in holder and sibling not in holder:
            cardinality.report_lack(holder, 0, run)

    return rule


def prohibited_rule(key: str, cardinality: Cardinality) -> Rule:
    """The rule that a member must not be there."""
    sibling = f"_{key}"

    def rule(holder: Json, run: Run) -> None:
        if key in holder or sibling in holder:
            cardinality.report_excess(holder, key, 1, run)

    return rule
