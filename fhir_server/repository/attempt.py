"""One attempt at writing: who is meant, what is stored, and what must hold (FHIR R4, 3.1.0.11.2 transaction rules).

What an attempt has read may be changed by others before it is committed. It says what it relied on, the store refuses
it where that no longer holds, and the next attempt reads again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from fhir_server.access.caller import LOCAL, Caller
from fhir_server.access.label import Label
from fhir_server.definitions.registry import Definitions
from fhir_server.errors import (
    Conflict,
    Gone,
    Invalid,
    Issue,
    MultipleMatches,
    NotFound,
    PreconditionFailed,
    Unprocessable,
)
from fhir_server.patch.apply import apply_patch
from fhir_server.repository.check import WriteCheck, Written
from fhir_server.repository.checking import Surroundings
from fhir_server.repository.history import Span
from fhir_server.repository.intake import REFERRING, Intake, Prepared
from fhir_server.repository.labelling import label_rows
from fhir_server.repository.permission import Permission, labelled
from fhir_server.repository.reference import Key, Links, Targets, conditions_in
from fhir_server.repository.sent import Sent
from fhir_server.repository.write import ANY, Found, Pairs, Saved, Write, placed
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.instant import Clock
from fhir_server.resource.parsing import STANDARD_LIMITS, Limits, parse
from fhir_server.resource.query_string import pairs_in
from fhir_server.resource.reference import parse_reference
from fhir_server.search.plan import Plan, Row, Test
from fhir_server.search.query import Searcher
from fhir_server.store.pending import holds
from fhir_server.store.protocol import Change, Committed, ExistenceUnmet, Expectation, Method, Request, Store, Version

ORDER: Mapping[Method, int] = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}
PREPARED_IN_A_ROW = 20
"""After so many resources of a transaction, others get their turn."""

ANY_TYPE = "Resource"
REFERRERS_NAMED = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """What a node decides about writes.

    `integrity`: references to this server must lead somewhere. `unchanged_makes_version`: an update that changes
    nothing makes a version all the same. `deleted_at_once`: how many resources one conditional delete may delete.
    """

    integrity: bool = True
    unchanged_makes_version: bool = False
    deleted_at_once: int = 1
    limits: Limits = STANDARD_LIMITS


@dataclass(frozen=True, slots=True)
class Means:
    """What every attempt works with; `gaps` says which parameters of a plan do not reach all resources.

    `checks` are those of extensions.
    """

    store: Store
    definitions: Definitions
    intake: Intake
    targets: Targets
    searcher: Searcher
    clock: Clock
    new_id: Callable[[], str]
    span: Span
    rules: Rules
    gaps: Callable[[Plan], tuple[Issue, ...]]
    checks: Sequence[WriteCheck] = ()


@dataclass(slots=True)
class Step:
    """What one write comes to: the changes it makes, or what a conditional create found."""

    write: Write
    key: Key | None = None
    first: int = 0
    count: int = 0
    if_match: int | None = None
    keys: tuple[Key, ...] = ()
    existing: Version | None = None
    sent: Sent | None = None
    warnings: tuple[Issue, ...] = ()


class Attempt:
    """Turns writes into a Request. `tolerated` are the referrers of deleted resources that do not hold a delete up."""

    def __init__(
        self,
        means: Means,
        writes: Sequence[Write],
        tolerated: Mapping[Key, Found],
        permission: Permission | None = None,
        caller: Caller = LOCAL,
    ) -> None:
        self._means = means
        self._permission = permission
        self._caller = caller
        self._steps = [Step(write) for write in writes]
        for write in writes:
            if write.sent is not None:
                write.sent.put_back()
        self._tolerated = tolerated
        self._decided: list[tuple[Plan, Found]] = []
        self._deleted: dict[Key, Step] = {}
        self._made: dict[Key, Step] = {}
        self._references: dict[Key, tuple[Key, ...]] = {}
        self._expectations: list[Expectation] = []
        self._changes: list[Change] = []
        self._steps_of_changes: list[Step] = []
        self._guarded: list[Key] = []
        self._exists: dict[Key, Step] = {}

    async def request(self) -> Request:
        """Return what to commit; raise the failure of the first write that cannot be done."""
        ordered = sorted(self._steps, key=lambda step: ORDER[step.write.method])
        for step in ordered:
            with placed(step.write.place):
                await self._identify(step)
        links = await self._links(ordered)
        for number, step in enumerate(ordered, 1):
            with placed(step.write.place):
                self._change(step, links)
                if self._permission is not None and step.sent is not None and step.count:
                    await self._label(step, self._permission)
            if number % PREPARED_IN_A_ROW == 0:
                await asyncio.sleep(0)
        if self._means.checks:
            await self._check()
        if self._means.rules.integrity:
            self._guard()
            if self._permission is not None:
                await self._refuse_hidden(self._permission)
        return Request(tuple(self._changes), tuple(self._expectations), tuple(self._exists))

    # ---- who is meant

    async def _identify(self, step: Step) -> None:
        write = step.write
        step.sent = write.sent
        if write.criteria is None:
            step.key = (write.type, write.id or self._means.new_id())
        else:
            await self._identify_by_criteria(step, write.criteria)
        if self._permission is not None and step.key is not None:
            await self._permit(step, self._permission)
        if step.key is None:
            return
        if write.method == "DELETE":
            keys = step.keys or (step.key,)
            step.keys = keys
            for key in keys:
                self._claim(key, step)
                self._deleted[key] = step
        else:
            self._claim(step.key, step)
            self._made[step.key] = step
        if write.match is not None or write.unless_exists:
            step.if_match = await self._precondition(write, step.key)
        elif self._permission is not None and step.if_match is None:
            step.if_match = self._pinned(step, self._permission)
        if write.patch is not None:
            await self._patch(step, step.key)

    async def _permit(self, step: Step, permission: Permission) -> None:
        """Leave out of a write what is not there for its caller; raise the failure of one that is not allowed."""
        write = step.write
        assert step.key is not None
        keys = step.keys or (step.key,)
        there = tuple([key for key in keys if await permission.current(write, key) is not None])
        if write.method == "DELETE":
            if not there and write.match is not None:
                raise stale(step.key, None)
            step.keys = there
            step.key = there[0] if there else None
        elif write.method == "PATCH" and not there:
            if write.match is not None:
                raise stale(step.key, None)
            raise NotFound(f"There is no {'/'.join(step.key)} to patch.")

    @staticmethod
    def _pinned(step: Step, permission: Permission) -> int | None:
        """The version that the permission of a write was decided by."""
        if step.write.method == "POST" or len(step.keys) > 1:
            return None
        assert step.key is not None
        return permission.version(step.key) or 0

    async def _label(self, step: Step, permission: Permission) -> None:
        """Keep with what is to be stored whose it is; raise Forbidden where its caller may not store it."""
        assert step.key is not None
        assert step.sent is not None
        change = self._changes[step.first]
        label = await permission.label(step.key, step.sent.body, change.rows)
        self._changes[step.first] = replace(change, label=label.text(), rows=labelled(change.type, change.rows, label))

    async def _check(self) -> None:
        """Let extensions check what is written; what they decided by must be so when it is committed."""
        around = Surroundings(
            self._means, self._permission, self._caller, self._body, self._deleted.__contains__, self._overlaid
        )
        for index, change in enumerate(self._changes):
            checks = [each for each in self._means.checks if change.type in each.types]
            if not checks:
                continue
            key, step = (change.type, change.id), self._steps_of_changes[index]
            former = None
            if change.method != "POST" and any(each.sees_former for each in checks):
                number, former = await around.stored(key)
                if change.if_match is None:
                    self._changes[index] = replace(change, if_match=number)
            written = Written(*key, former, self._body(key), around.caller)
            with placed(step.write.place):
                for each in checks:
                    step.warnings += tuple(await each.check(written, around))
        self._expectations += around.expectations

    def _body(self, key: Key) -> Mapping[str, Any] | None:
        step = self._made.get(key)
        return None if step is None or step.sent is None else step.sent.body

    async def _refuse_hidden(self, permission: Permission) -> None:
        """Raise ExistenceUnmet for new references to what is not there for the caller."""
        targets = [key for key in self._exists if key not in self._made]
        read = self._means.store.read
        hidden = {key for key in targets if not permission.sights.may_refer_to(await read(*key))}
        if not hidden:
            return
        for key, referred in self._references.items():
            new = hidden.intersection(referred).difference(permission.references(key, self._means.targets))
            if new:
                raise ExistenceUnmet(tuple(sorted(new)))

    def _claim(self, key: Key, step: Step) -> None:
        if key in self._deleted or key in self._made:
            text = f"{'/'.join(key)} is changed by more than one entry: in a transaction each resource may be once."
            raise Invalid(Issue("error", "invariant", text))

    async def _identify_by_criteria(self, step: Step, criteria: Pairs) -> None:
        write = step.write
        several = self._means.rules.deleted_at_once if write.method == "DELETE" else 1
        plan, found, versions = await self._matches(write.type, criteria, several + 1)
        if len(found) > several:
            raise MultipleMatches(several_match(write, several))
        if write.method == "DELETE":
            step.keys = tuple(sorted(found))
            step.key = step.keys[0] if found else None
        elif found:
            (step.key,) = found
            if write.method == "POST":
                step.existing, made = versions.get(step.key), self._made.get(step.key)
                step.keys = (step.key,)
                step.key = None
                if step.existing is None and made is None:
                    raise Conflict("What the conditional create found is deleted by the same transaction.")
            else:
                self._agree(write, step.key)
        elif write.method == "PATCH":
            raise NotFound(f"No {write.type} matches the criteria, so there is nothing to patch.")
        else:
            own_id = write.sent.body.get("id") if write.sent is not None and write.method == "PUT" else None
            step.key = (write.type, own_id if isinstance(own_id, str) else self._means.new_id())
            step.if_match = 0 if own_id else None
            self._decided.append((plan, frozenset((step.key,))))

    def _agree(self, write: Write, key: Key) -> None:
        own_id = write.sent.body.get("id") if write.sent is not None else None
        if own_id is not None and own_id != key[1]:
            text = f"The criteria find {'/'.join(key)}, and the resource sent has the id {str(own_id)[:80]!r}."
            raise Invalid(Issue("error", "invalid", text, (f"{write.type}.id",), fix="Leave id out, or send that one."))

    async def _matches(self, kind: str, criteria: Pairs, most: int) -> tuple[Plan, Found, dict[Key, Version]]:
        """What a search finds, as it will be when the writes before it in this request are made."""
        means = self._means
        query = means.searcher.query((kind,), criteria, now=int(means.clock() * 1000))
        plan = query.plan
        if not query.is_specific:
            raise Invalid(nothing_named(criteria))
        if gaps := means.gaps(plan):
            fix = "Wait until they are, or name the resource by other parameters."
            raise Conflict(*(replace(gap, severity="error", fix=fix) for gap in gaps))
        if self._permission is not None:
            plan = self._permission.sights.narrowed(plan)
        for known, keys in self._decided:
            if known == plan:
                return plan, keys, {}
        most += len(self._deleted)
        page = await means.store.run(plan, most)
        versions = {(version.type, version.id): version for version in page.matches}
        self._expectations.append(Expectation(plan, frozenset(versions), most))
        return plan, self._overlaid(plan, frozenset(versions)), versions

    def _overlaid(self, plan: Plan, found: Found) -> Found:
        kept = set(found.difference(self._deleted))
        for key, step in self._made.items():
            arm = plan.arms.get(key[0])
            if arm is None or step.sent is None:
                continue
            rows = self._means.intake.rows(step.sent.body, ())
            if self._permission is not None:
                own = Label(self._permission.sights.caller.organizations[:1])
                rows = (*rows, *label_rows(key[0], own))
            matches = holds(arm, key[1], rows)
            if matches is not None:
                (kept.add if matches else kept.discard)(key)
        return frozenset(kept)

    async def _precondition(self, write: Write, key: Key) -> int:
        """The version that must be current: known from what was sent, or read where that leaves a choice."""
        if write.unless_exists:
            return 0
        if isinstance(write.match, tuple) and len(write.match) == 1:
            return write.match[0]
        current = await self._means.store.read(*key)
        number = current.version if current is not None and current.body is not None else 0
        if number == 0 or (write.match != ANY and number not in (write.match or ())):
            raise stale(key, current)
        return number

    async def _patch(self, step: Step, key: Key) -> None:
        current = await self._means.store.read(*key)
        if current is None:
            raise NotFound(f"There is no {'/'.join(key)} to patch.")
        if current.body is None:
            raise Gone(f"{'/'.join(key)} was deleted: there is nothing to patch.")
        assert step.write.patch is not None
        kind, patch = step.write.patch
        limits = self._means.rules.limits
        patched = apply_patch(kind, patch, parse_exact(current.body, limits), self._means.definitions, limits)
        raw = dump_exact(patched)
        step.sent = Sent(parse(raw, limits), raw, members_counted=True)
        if step.if_match is None:
            step.if_match = current.version

    # ---- links between entries

    async def _links(self, ordered: Sequence[Step]) -> Links:
        """What becomes of fullUrls and of conditional references."""
        links = Links()
        for step in ordered:
            key = step.key or (step.keys[0] if step.keys else None)
            if step.write.full_url is not None and key is not None and step.write.method != "DELETE":
                add_link(links, step.write.full_url, "/".join(key))
        for step in ordered:
            sent = step.sent
            if sent is None or step.key is None or sent.has_no_condition:
                continue
            with placed(step.write.place):
                for text in conditions_in(sent.references()):
                    if text not in links.texts:
                        links.add(text, await self._referred(text))
        return links

    async def _referred(self, text: str) -> str:
        """The resource that a conditional reference means (FHIR R4, 3.1.0.11.2.1 conditional references)."""
        kind, _, query = text.partition("?")
        _, found, _ = await self._matches(kind, pairs_in(query), 2)
        if len(found) == 1:
            (key,) = found
            return "/".join(key)
        how_many = "more than one" if found else "no"
        failure = MultipleMatches if found else PreconditionFailed
        code = "multiple-matches" if found else "not-found"
        raise failure(Issue("error", code, f"The reference {text[:200]!r} finds {how_many} {kind}; it must find one."))

    # ---- what is stored, and what must hold

    def _change(self, step: Step, links: Links) -> None:
        step.first = len(self._changes)
        write = step.write
        if step.key is None:
            return
        if write.method == "DELETE":
            for key in step.keys:
                self._add(step, self._deletion(step, key))
            return
        sent = step.sent
        assert sent is not None
        if links.texts:
            sent.link(links.texts)
        if write.place is not None and self._means.rules.integrity:
            refuse_urns(sent.references())
        prepared = self._means.intake.prepare(sent, step.key[1])
        if links.texts and links.stand_in(prepared.content.before + prepared.content.after):
            sent = step.sent = self._linked_everywhere(sent, links)
            prepared = self._means.intake.prepare(sent, step.key[1])
        skips = write.method != "POST" and not self._means.rules.unchanged_makes_version
        self._add(step, changed(write.method, step, prepared, skips_equal=skips))
        if self._means.rules.integrity:
            self._references[step.key] = prepared.references
            for target in prepared.references:
                self._exists.setdefault(target, step)

    def _deletion(self, step: Step, key: Key) -> Change:
        if self._permission is None:
            return Change("DELETE", *key, if_match=step.if_match)
        must_be = self._permission.version(key) if step.if_match is None else step.if_match
        return Change("DELETE", *key, if_match=must_be, label=self._permission.label_of(key))

    def _linked_everywhere(self, sent: Sent, links: Links) -> Sent:
        linked = links.put_everywhere(sent.json(), self._means.definitions)
        return Sent(orjson.loads(linked), linked, members_counted=sent.members_counted)

    def _add(self, step: Step, change: Change) -> None:
        self._changes.append(change)
        self._steps_of_changes.append(step)
        step.count += 1

    def _guard(self) -> None:
        """Ask for every deleted resource that nothing refers to it, other than what is known not to matter."""
        for key in self._deleted:
            kind, resource_id = key
            tests = (Test("v", "=", resource_id), Test("x", "=", kind))
            plan = Plan({ANY_TYPE: Row(REFERRING, tests)})
            expected = self._tolerated.get(key, frozenset())
            self._guarded.append(key)
            self._expectations.append(Expectation(plan, expected, len(self._steps) + len(expected) + REFERRERS_NAMED))

    # ---- what the store says of it

    def step_of_change(self, index: int) -> Step:
        """The step that made a change."""
        return self._steps_of_changes[index]

    def guarded(self, index: int) -> Key | None:
        """The deleted resource that an expectation is about; None where it is about criteria."""
        place = index - (len(self._expectations) - len(self._guarded))
        return self._guarded[place] if place >= 0 else None

    def holding_up(self, key: Key, referrers: Found) -> Found:
        """The referrers that hold a delete up: those that this request neither deletes nor turns away."""
        return frozenset(
            referrer
            for referrer in referrers
            if referrer not in self._deleted and key in self._references.get(referrer, (key,))
        )

    def step_deleting(self, key: Key) -> Step:
        """The step that deletes a resource."""
        return self._deleted[key]

    def steps_referring(self, key: Key) -> list[Step]:
        """The steps whose resource refers to another."""
        return [step for made, step in self._made.items() if key in self._references.get(made, ())]

    def saved(self, committed: Committed) -> list[Saved]:
        """What became of each write, in the order in which they were asked for."""
        return [self._saved(step, committed) for step in self._steps]

    def _saved(self, step: Step, committed: Committed) -> Saved:
        outcomes = committed.outcomes[step.first : step.first + step.count]
        if outcomes:
            advised = step.write.advised and step.sent is not None
            issues = self._means.intake.advice(step.sent.body) if advised and step.sent is not None else ()
            more = tuple(outcome.version for outcome in outcomes[1:] if outcome.version is not None)
            return Saved(outcomes[0].effect, outcomes[0].version, (*issues, *step.warnings), more)
        if step.write.method == "POST" and step.keys:
            twin = self._made.get(step.keys[0])
            version = step.existing if twin is None else committed.outcomes[twin.first].version
            return Saved("found", version)
        return Saved("unchanged", None)


def add_link(links: Links, full_url: str, path: str) -> None:
    """Let a fullUrl stand for its resource, and the end of one that is a URL of another server as well."""
    links.add(full_url, path)
    if full_url.startswith("urn:"):
        return
    reference = parse_reference(full_url)
    if reference.base is not None and reference.path is not None and reference.path not in links.texts:
        links.add(reference.path, path)


def refuse_urns(texts: Iterable[str]) -> None:
    """Raise Unprocessable for a reference to an entry that the Bundle does not have."""
    for text in texts:
        if text.startswith("urn:"):
            what = f"A reference leads to {text[:100]}, and no entry of the Bundle has that fullUrl."
            raise Unprocessable(Issue("error", "not-found", what))


def changed(method: Method, step: Step, prepared: Prepared, *, skips_equal: bool) -> Change:
    """Return the change that stores a prepared resource."""
    assert step.key is not None
    return Change(method, *step.key, prepared.content, prepared.rows, step.if_match, skips_equal)


def stale(key: Key, current: Version | None) -> PreconditionFailed:
    """The failure of a write that names another version than the current one."""
    path = "/".join(key)
    if current is None:
        return PreconditionFailed(f"{path} does not exist, and the request names a version of it.")
    if current.body is None:
        return PreconditionFailed(f"{path} was deleted by version {current.version}, and the request names another.")
    fix = "Read it again, make the change on what is there now, and send its ETag in If-Match."
    text = f"{path} is at version {current.version}, and the request names another."
    return PreconditionFailed(Issue("error", "conflict", text, fix=fix))


def nothing_named(criteria: Pairs) -> Issue:
    """The issue of criteria that say nothing about a resource, as a whole or in one of their parts."""
    written = "&".join(f"{name}={value}" for name, value in criteria)
    fix = "Give every parameter a value, such as identifier=http://example.org|1."
    return Issue("error", "invalid", f"The criteria {written[:200]!r} do not say which resource is meant.", fix=fix)


def several_match(write: Write, allowed: int) -> Issue:
    """The issue of criteria that find more than they may."""
    if allowed > 1:
        text = f"The criteria find more than the {allowed} resources that may be deleted at once."
    else:
        text = f"The criteria find more than one {write.type}; a conditional {write.method} must find one."
    return Issue("error", "multiple-matches", text, fix="Name it more closely, by an identifier.")
