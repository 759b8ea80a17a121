"""The door to FHIRPath: compile an expression once, evaluate it on many resources (FHIRPath 2.0; FHIR R4, 2.9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.fhirpath import errata, parser, static
from fhir_server.fhirpath.collection import boolean
from fhir_server.fhirpath.compiler import Compiler, Scope
from fhir_server.fhirpath.environment import Environment, NullEnvironment
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Evaluation, Frame, Run, Trace
from fhir_server.fhirpath.function import Table
from fhir_server.fhirpath.functions import FUNCTIONS
from fhir_server.fhirpath.model import Model
from fhir_server.fhirpath.node import Node, decimal_from, plain
from fhir_server.fhirpath.predicate.condition import Conditions, shape
from fhir_server.fhirpath.predicate.forms import FORMS
from fhir_server.fhirpath.predicate.surroundings import (
    VALUELESS,
    Predicate,
    ReadAll,
    Surroundings,
    Unsupported,
    is_met,
)
from fhir_server.fhirpath.static import Static
from fhir_server.fhirpath.syntax import Syntax

REMEMBERED_EXPRESSIONS = 4096


def utc_now() -> datetime:
    """The clock of the machine."""
    return datetime.now(UTC)


class Expression:
    """A compiled expression; `tree` is its syntax and `static` what is known about its result."""

    __slots__ = ("_engine", "_run", "source", "static", "tree")

    def __init__(self, engine: Engine, source: str, tree: Syntax, run: Run, known: Static) -> None:
        self._engine = engine
        self._run = run
        self.source = source
        self.tree = tree
        self.static = known

    def evaluate(
        self,
        value: Any,
        *,
        type: str | None = None,  # noqa: A002 the word of the standard
        resource: Any = None,
        root: Any = None,
        variables: Mapping[str, Any] | None = None,
        environment: Environment | None = None,
        trace: Trace | None = None,
    ) -> list[Any]:
        """What the expression yields on a resource, a Node, or a JSON value whose type is given.

        `resource` and `root` are %resource and %rootResource, the value itself unless given. Elements come as Node,
        computed values as bool, int, Decimal, str, Date, DateTime, Time or Quantity. Raises FHIRPathError.
        """
        engine = self._engine
        node = engine.node(value, type)
        own = engine.node(resource) if resource is not None else node
        top = engine.node(root) if root is not None else own
        given = {name: engine.collection(item) for name, item in (variables or {}).items()}
        around = environment or engine.environment
        state = Evaluation(engine.model, around, engine.clock, [node], own, top, given)
        state.trace = trace
        return self.run(state)

    def run(self, state: Evaluation) -> list[Any]:
        """What the expression yields in an evaluation that the caller prepared."""
        try:
            return self._run(Frame(state, state.context))
        except FHIRPathError as error:
            raise error.within(self.source) from None
        except RecursionError:
            raise FHIRPathError("The expression is nested too deep", 0, self.source) from None

    def values(self, value: Any, **options: Any) -> list[Any]:
        """As evaluate, with plain JSON values: raw elements, numbers, and dates and times as text."""
        return [plain(item) for item in self.evaluate(value, **options)]

    def holds(self, value: Any, **options: Any) -> bool:
        """The result as a condition: an empty result does not hold."""
        return boolean(self.evaluate(value, **options)) is True


class Engine:
    """Compiles and remembers expressions over one set of definitions.

    A `strict` engine refuses elements that the definitions lack; `compile` can choose otherwise for one expression.
    `functions` are those that its expressions know.
    """

    def __init__(
        self,
        definitions: Definitions,
        environment: Environment | None = None,
        *,
        strict: bool = True,
        clock: Callable[[], datetime] = utc_now,
        functions: Table = FUNCTIONS,
    ) -> None:
        self.model = Model(definitions)
        self.functions = functions
        self.environment = environment or NullEnvironment()
        self.strict = strict
        self.clock = clock
        self._compiled = lru_cache(maxsize=REMEMBERED_EXPRESSIONS)(self._compile)
        self._predicates = lru_cache(maxsize=REMEMBERED_EXPRESSIONS)(self._predicate)

    def compile(
        self,
        source: str,
        type: str | None = None,  # noqa: A002 the word of the standard
        *,
        strict: bool | None = None,
        ordered: bool = False,
    ) -> Expression:
        """The expression for a context of a type (any, when None); FHIRPathError where it is wrong."""
        return self._compiled(source, type, self.strict if strict is None else strict, ordered)

    def _compile(self, source: str, context: str | None, strict: bool, ordered: bool) -> Expression:  # noqa: FBT001
        tree = parser.parse(source)
        compiler = Compiler(self.model, self.functions, strict=strict, ordered=ordered)
        this = static.UNKNOWN if context is None else Static(frozenset({context}), many=False)
        try:
            code = compiler.compile(tree, Scope(this))
        except FHIRPathError as error:
            raise error.within(source) from None
        except RecursionError:
            raise FHIRPathError("The expression is nested too deep", 0, source) from None
        return Expression(self, source, tree, code.run, code.static)

    def predicate(self, expression: str, type: str) -> Predicate:  # noqa: A002 the word of the standard
        """A constraint on values of a type, as a test of raw JSON or of a Node; True where it holds.

        Mistakes that R4 published are corrected. Values must have the JSON shape that their definitions give them.
        """
        return self._predicates(errata.corrected(expression), type)

    def _predicate(self, expression: str, context: str) -> Predicate:
        tree = self.compile(expression, context, strict=False).tree
        root = context.partition(".")[0]
        conditions = Conditions(self.model, self._general, context, root if self.model.is_resource(root) else "", FORMS)
        if shape(tree) not in FORMS.true:
            return self.general_predicate(expression, context)
        try:
            specialised = conditions.holds(tree)
        except Unsupported:
            return self.general_predicate(expression, context)

        def holds(value: Any, run: Surroundings) -> bool:
            return specialised(value.value if value.__class__ is Node else value, run)

        return holds if self.model.is_primitive(context) else specialised

    def general_predicate(self, expression: str, context: str) -> Predicate:
        """The same by ordinary evaluation, for what the specialised form does not cover."""
        evaluate = self._general(self.compile(expression, context, strict=False).tree, context)
        return lambda value, run: is_met(list(evaluate(value, run)))

    def _general(self, tree: Syntax, context: str) -> ReadAll:
        """A tree for a context of a type, as a closure on raw values."""
        scope = Scope(Static(frozenset({context}), many=False))
        code = Compiler(self.model, self.functions, strict=False).compile(tree, scope)
        model, clock, run_code = self.model, self.clock, code.run

        def evaluate(value: Any, run: Surroundings) -> list[Any]:
            if value is VALUELESS:
                node = Node(None, context, {})
            else:
                node = value if value.__class__ is Node else Node(value, context)
            resource, root = model.node(run.resource), model.node(run.root)
            state = Evaluation(model, run.environment, clock, [node], resource, root, {})
            return run_code(Frame(state, state.context))

        return evaluate

    def node(self, value: Any, name: str | None = None) -> Node:
        """A value with its type."""
        return value if isinstance(value, Node) else self.model.node(value, name)

    def collection(self, value: Any) -> list[Any]:
        """A variable's value as a collection."""
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [found for part in value for found in self.collection(part)]
        if isinstance(value, dict):
            return [self.node(value)]
        if isinstance(value, float):
            return [decimal_from(value)]
        return [] if value is None else [value]
