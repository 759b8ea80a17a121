"""What becomes of a resource before it is stored: check, index, part (FHIR R4, 3.1.0.4 update, 3.1.0.8 create)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.errors import FhirError, Invalid, Issue, Unprocessable
from fhir_server.repository.reference import Key, Targets, reference_texts
from fhir_server.repository.sent import Sent
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.parsing import Limits, parse, repeated_members
from fhir_server.search.contained import Alone, contained_in
from fhir_server.search.definition import faults
from fhir_server.search.index import Indexer
from fhir_server.search.row import Row
from fhir_server.store.pending import holds
from fhir_server.store.protocol import Content, Indexed, Version
from fhir_server.validation.validator import Validator

REFERRING = 8
"""The number of the rows that every resource has for what it refers to here: of all types the same."""

SEARCHING = "SearchParameter"
NO_LIMITS = Limits(depth=1000, keys=2**40, string=2**40)
REFERRING_KEY = "Resource._reference"
KEPT_BY_STORE = ("_id", "_lastUpdated")
"""Search parameters whose values the store knows anyway."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A resource ready to be committed: its JSON in two pieces, its index rows, and what it refers to here."""

    content: Content
    rows: Sequence[Row]
    references: tuple[Key, ...]


class Intake:
    """Prepares resources. `validator` is None where writes are not validated; `adviser` checks at full depth."""

    def __init__(
        self,
        definitions: Definitions,
        indexer: Indexer,
        targets: Targets,
        *,
        validator: Validator | None,
        adviser: Validator,
    ) -> None:
        self._definitions = definitions
        self.indexer = indexer
        self._targets = targets
        self._validator = validator
        self._adviser = adviser
        self._kept: dict[str, frozenset[int]] = {}

    def prepare(self, sent: Sent, resource_id: str) -> Prepared:
        """Check a resource and make what is stored of it; raise Invalid or Unprocessable for one that is refused."""
        body = sent.body
        self.check(sent)
        if sent.type == SEARCHING and (issues := faults(body, self._definitions)):
            raise Invalid(*issues)
        references = self._targets.all_of(sent.references())
        return Prepared(sent.parts(resource_id), self.rows(body, references), references)

    def indexed(self, version: Version) -> Indexed:
        """The index rows that a stored version has by the definitions that are known now."""
        raw = version.body or b""
        body = parse(raw, NO_LIMITS)
        references = self._targets.all_of(reference_texts(body))
        return Indexed(version.type, version.id, version.version, self.rows(body, references))

    def check(self, sent: Sent) -> None:
        """Raise what is wrong with a resource, as far as writes are validated."""
        body = sent.body
        if self._validator is None:
            if not sent.members_counted and (repeated := repeated_members(sent.json(), body)):
                raise Invalid(*repeated)
            return
        verdict = self._validator.validate(body)
        if not sent.members_counted and (
            repeated := repeated_members(sent.json(), body, verdict.members if not verdict.issues else None)
        ):
            raise Invalid(*repeated)
        if verdict.issues and not verdict.is_valid:
            raise self.refusal(verdict.issues)

    def rows(self, body: dict[str, Any], references: Sequence[Key]) -> Sequence[Row]:
        """The index rows of a resource; those of its references stand in for integrity, one for each target."""
        kept = self._kept_numbers(body["resourceType"])
        found = [row for row in self.indexer.all_rows(body) if row[0] not in kept]
        found += [(REFERRING, resource_id, kind) for kind, resource_id in references]
        return found

    def matching(self, version: Version, alone: Alone) -> Iterator[tuple[str, bytes]]:
        """Yield what matches of a version and what it contains, each by its fragment (empty: itself) and its JSON.

        What the store alone can tell, such as when it was last updated, holds of the version that it found.
        """
        raw = version.body or b""
        body = parse(raw, NO_LIMITS)
        own = alone.asked.get(version.type) if alone.others else None
        if own is not None and holds(own, version.id, self.indexer.rows(body)) is not False:
            yield "", raw
        exact = parse_exact(raw, NO_LIMITS)
        for index, inner in contained_in(body, alone.asked.keys()):
            asked = alone.asked[inner["resourceType"]]
            if holds(asked, "", self.indexer.rows(inner, body)) is not False:
                yield f"#{inner.get('id', '')}", dump_exact(exact["contained"][index])

    def advice(self, body: dict[str, Any]) -> tuple[Issue, ...]:
        """All that can be said of a resource that was accepted: nothing of it is an error."""
        issues = self._adviser.validate(body).issues
        return tuple(replace(issue, severity="warning") if issue.is_error else issue for issue in issues)

    def refusal(self, issues: Sequence[Issue]) -> FhirError:
        """The failure for a resource with these issues: Unprocessable where only profiles forbid it (3.1.0.8)."""
        of_profiles = all(self._is_of_profile(issue) for issue in issues if issue.is_error)
        return (Unprocessable if of_profiles else Invalid)(*issues)

    def _is_of_profile(self, issue: Issue) -> bool:
        structure = self._definitions.structure(issue.profile) if issue.profile else None
        return structure is not None and structure.derivation == "constraint"

    def _kept_numbers(self, kind: str) -> frozenset[int]:
        found = self._kept.get(kind)
        if found is None:
            parameters = self.indexer.parameters.of(kind)
            found = frozenset(parameters[code].number for code in KEPT_BY_STORE if code in parameters)
            self._kept[kind] = found
        return found
