"""How far the index reaches: which search parameters have rows for every resource (FHIR R4, 3.1.1 Search)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field

import orjson

from fhir_server.definitions.search_parameter import SearchParameter
from fhir_server.errors import Issue
from fhir_server.search.contained import APART
from fhir_server.search.parameters import Parameters, number_key, types_of
from fhir_server.search.plan import EVERYTHING, And, Chain, Near, Not, Or, Plan, Predicate, Present, Referrer, Row
from fhir_server.search.row import FACETS
from fhir_server.store.protocol import Store

INDEX = "search index"
LEASE = "job"
FORM = 3
"""The form of index rows. It changes with what rows hold: all resources are then indexed anew."""

SECONDS_BETWEEN_LOOKS = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class State:
    """What is kept of the index: the definition that each parameter of others than R4 is indexed by.

    `behind` are the types whose rows are of an older form, `leaving` those with rows that nobody asks for any more;
    `round` counts what was completed or dropped.
    """

    form: int = FORM
    parameters: dict[str, str] = field(default_factory=dict)
    behind: list[str] = field(default_factory=list)
    leaving: list[str] = field(default_factory=list)
    round: int = 0


class Coverage:
    """Knows what the index lacks, in every process alike. `catch_up` takes in definitions that others stored."""

    def __init__(self, store: Store, parameters: Parameters, catch_up: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._parameters = parameters
        self._catch_up = catch_up
        self._generation = -1
        self._wanted: Mapping[str, str] = {}
        self._state = State()
        self._lacking: dict[int, str] = {}
        self._progress: Mapping[str, object] = {}

    async def establish(self) -> None:
        """Begin: what a store has that says nothing of its index is taken for an older form."""
        kept = await self._store.note(INDEX)
        if kept is None or orjson.loads(kept)["form"] != FORM:
            state = State(parameters=dict(self.wanted)) if kept is None else State(**orjson.loads(kept))
            state.form, state.behind = FORM, [kind async for kind in self._stored_types()]
            state.parameters = {} if state.behind and kept is None else state.parameters
            await self._store.keep(INDEX, _text(state), kept)
        await self.refresh()

    async def _stored_types(self) -> AsyncIterator[str]:
        if (await self._store.snapshot()).t:
            for kind in sorted(self._parameters.definitions.resource_types):
                if await self._store.count(Plan({kind: EVERYTHING})):
                    yield kind

    @property
    def wanted(self) -> Mapping[str, str]:
        """The parameters of others than R4, each with what tells its definition from another."""
        definitions = self._parameters.definitions
        if self._generation != definitions.generation:
            self._wanted = {
                number_key(kind, each): _fingerprint(each)
                for each in definitions.added_search_parameters()
                for kind in types_of(each, definitions)
            }
            self._generation = definitions.generation
        return self._wanted

    async def refresh(self) -> None:
        """Look at what others did, and drop what is indexed by definitions that are gone."""
        kept = await self._store.note(INDEX)
        # In this order: whoever noted a parameter had learnt of it before.
        await self._catch_up()
        state = State() if kept is None else State(**orjson.loads(kept))
        gone = [key for key in state.parameters if key not in self.wanted]
        if gone:
            for key in gone:
                del state.parameters[key]
            state.leaving = sorted({*state.leaving, *map(_type_of, gone)})
            state.round += 1
            await self._store.keep(INDEX, _text(state), kept)
        self._state = state
        self._lacking = self._numbers_lacking()
        lease = await self._store.note(LEASE) if self._lacking else None
        self._progress = {} if lease is None else orjson.loads(lease)

    async def follow(self, seconds: float = SECONDS_BETWEEN_LOOKS) -> None:
        """Refresh again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.refresh()
            except Exception:
                log.exception("stored definitions could not be read; they are tried again")

    @property
    def types(self) -> frozenset[str]:
        """All resource types."""
        return self._parameters.definitions.resource_types

    @property
    def pending(self) -> frozenset[str]:
        """The types of which some resources have to be indexed anew."""
        return frozenset((*self._state.behind, *self._state.leaving, *map(_type_of, self._keys_lacking())))

    def mark(self, kinds: Collection[str]) -> str:
        """What tells the present definitions of these types from later ones, also where those are the same again."""
        found = sorted((key, text) for key, text in self.wanted.items() if _type_of(key) in kinds)
        return _digest([FORM, sorted(kinds), found])

    def round_mark(self, kinds: Collection[str]) -> str:
        """The same, and another after each time that something was completed or dropped."""
        return _digest([self.mark(kinds), self._state.round])

    async def complete(self, kinds: Collection[str], mark: str) -> bool:
        """Note that these types are indexed whole by the definitions of a mark; False if there are others now."""
        while self.mark(kinds) == mark:
            kept = await self._store.note(INDEX)
            state = State() if kept is None else State(**orjson.loads(kept))
            state.parameters |= {key: text for key, text in self.wanted.items() if _type_of(key) in kinds}
            state.behind = [kind for kind in state.behind if kind not in kinds]
            state.leaving = [kind for kind in state.leaving if kind not in kinds]
            state.round += 1
            if await self._store.keep(INDEX, _text(state), kept):
                await self.refresh()
                return True
        return False

    def gaps(self, plan: Plan) -> tuple[Issue, ...]:
        """Say which parameters of a plan do not reach all resources yet, and how far the work is."""
        if not self._lacking:
            return ()
        found = sorted({self._lacking[p] for p in numbers_in(plan) if p in self._lacking})
        if not found:
            return ()
        indexed, total = self._progress.get("indexed"), self._progress.get("total")
        far = f" {indexed:,} of {total:,} resources are." if total else ""
        text = f"Not all resources are indexed yet by {', '.join(found)}: what is not is not found.{far}"
        task = self._progress.get("task")
        return (Issue("warning", "incomplete", text, fix=f"Task/{task} tells when that is done." if task else None),)

    def _keys_lacking(self) -> list[str]:
        return [key for key, text in self.wanted.items() if self._state.parameters.get(key) != text]

    def _numbers_lacking(self) -> dict[int, str]:
        lacking = set(self._keys_lacking())
        behind = set(self._state.behind)
        if not lacking and not behind:
            return {}
        return {
            number: key.partition(":")[0]
            for key, number in self._parameters.numbers.items()
            if key in lacking or _type_of(key) in behind
        }


def numbers_in(plan: Plan) -> Iterator[int]:
    """Yield the numbers of the parameters that a plan looks at, without facets."""
    for predicate in plan.arms.values():
        yield from _numbers(predicate)
    for sort in plan.sort:
        yield from (number - number % FACETS for number in sort.numbers.values())
    for include in plan.includes:
        yield from include.parameters


def _numbers(predicate: Predicate) -> Iterator[int]:
    match predicate:
        case And(items) | Or(items):
            for item in items:
                yield from _numbers(item)
        case Not(item):
            yield from _numbers(item)
        case Row(number) | Near(number):
            yield (number - number % FACETS) % APART
        case Present(number):
            yield number % APART
        case Chain(number, targets):
            yield number % APART
            for _, inner in targets:
                yield from _numbers(inner)
        case Referrer(number, _, inner):
            yield number
            yield from _numbers(inner)


def _type_of(key: str) -> str:
    return key.partition(".")[0]


def _text(state: State) -> str:
    return orjson.dumps(asdict(state)).decode()


def _digest(value: object) -> str:
    return hashlib.sha256(orjson.dumps(value)).hexdigest()[:16]


def _fingerprint(definition: SearchParameter) -> str:
    components = [[each.definition, each.expression] for each in definition.components]
    return _digest([definition.url, definition.type, definition.expression, list(definition.target), components])
