"""A syntax tree to Python closures, checked against the definitions (FHIRPath 2.0, sections 3, 6 and 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.fhirpath import collection, parser, static, syntax, types
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.evaluation import Frame, Run
from fhir_server.fhirpath.function import Function, Table
from fhir_server.fhirpath.model import Model
from fhir_server.fhirpath.node import Node, TypeInfo
from fhir_server.fhirpath.operators import OPERANDS, OPERATIONS, POLARITIES, SHORT_CIRCUITS, Operation
from fhir_server.fhirpath.static import Static
from fhir_server.fhirpath.tree import UNORDERED_FUNCTIONS

VALUE_SET = "http://hl7.org/fhir/ValueSet/"
EXTENSION = "http://hl7.org/fhir/StructureDefinition/"
CONSTANTS = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
CHAINED = parser.CHAINED
TYPE_OPERATIONS = frozenset({"is", "as", "ofType"})
BOOLEAN = static.system("Boolean")
RESULTS = {
    **dict.fromkeys("= != ~ !~ < <= > >= in contains and or xor implies".split(), BOOLEAN),
    "&": static.system("String"),
    "/": static.system("Decimal", "Quantity"),
    "div": static.system("Integer"),
}


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled expression with what is known about its result."""

    run: Run
    static: Static
    is_ordered: bool = True


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known where an expression stands: the type of its context."""

    this: Static


@dataclass(frozen=True, slots=True)
class Compiler:
    """Compiles expressions.

    `strict` makes it an error to name an element that no type of the input has, and to use `as` on several items;
    `ordered` makes it an error to take the first or last of children() and descendants(), which have no order.
    """

    model: Model
    functions: Table
    strict: bool = True
    ordered: bool = False

    def compile(self, tree: syntax.Syntax, scope: Scope) -> Code:
        """The closure of a node of the tree."""
        try:
            return COMPILERS[type(tree)](self, tree, scope)
        except FHIRPathError as error:
            raise error.located(tree.position) from None

    def empty(self, tree: syntax.Empty, scope: Scope) -> Code:
        """`{}`."""
        return Code(lambda frame: [], static.EMPTY)

    def literal(self, tree: syntax.Literal, scope: Scope) -> Code:
        """A value."""
        value = tree.value
        return Code(lambda frame: [value], static.of_literal(literal_type(value)))

    def variable(self, tree: syntax.Variable, scope: Scope) -> Code:
        """`%name`."""
        name = tree.name
        if name in VARIABLES:
            return Code(VARIABLES[name], static.UNKNOWN)
        text = constant(name)
        if text is not None:
            return Code(lambda frame: [text], static.system("String"))
        position = tree.position

        def run(frame: Frame) -> list[Any]:
            for known in (frame.variables, frame.evaluation.variables):
                if known is not None and name in known:
                    return known[name]
            raise FHIRPathError(f"The variable %{name} is not defined", position)

        return Code(run, static.UNKNOWN)

    def special(self, tree: syntax.Special, scope: Scope) -> Code:
        """`$this`, `$index` or `$total`."""
        if tree.name == "this":
            return Code(lambda frame: frame.this, scope.this)
        if tree.name == "index":
            return Code(lambda frame: [] if frame.index is None else [frame.index], static.system("Integer"))
        return Code(lambda frame: frame.total or [], static.UNKNOWN)

    def name(self, tree: syntax.Name, scope: Scope) -> Code:
        """An element of the source, or a type at the head of a path."""
        if tree.source is None:
            if tree.name[:1].isupper() and self.model.knows(tree.name):
                return self.head_type(tree.name, scope)
            source = Code(lambda frame: frame.this, scope.this)
        else:
            source = self.compile(tree.source, scope)
        found = static.element(self.model, source.static, tree.name)
        if found is None and self.strict:
            kinds = " or ".join(sorted(source.static.types or ())[:3])
            raise FHIRPathError(f"Unknown element '{tree.name}' of {kinds}", tree.position)
        return Code(navigation(source.run, tree.name), found or static.UNKNOWN)

    def head_type(self, name: str, scope: Scope) -> Code:
        """The context itself, where it is of the type."""
        known = scope.this.types
        if self.strict and known and not any(self.related(kind, name) for kind in known):
            raise FHIRPathError(f"The context is {' or '.join(sorted(known)[:3])}, not {name}")
        kind = syntax.TypeName(0, name, "FHIR")

        def run(frame: Frame) -> list[Any]:
            model = frame.evaluation.model
            return [item for item in frame.this if types.is_of(model, item, kind)]

        narrower = known is None or any(not self.model.is_subtype(a, name) for a in known)
        return Code(run, replace(scope.this, types=frozenset({name})) if narrower else scope.this)

    def related(self, one: str, other: str) -> bool:
        """True when one of two types specialises the other."""
        return self.model.is_subtype(one, other) or self.model.is_subtype(other, one)

    def index(self, tree: syntax.Index, scope: Scope) -> Code:
        """`source[index]`."""
        source = self.compile(tree.source, scope)
        self.check_order(source, tree.position)
        number = self.compile(tree.index, scope)
        items, at, position = source.run, number.run, tree.position

        def run(frame: Frame) -> list[Any]:
            found = items(frame)
            try:
                index = collection.integer(at(frame), "an index")
            except FHIRPathError as error:
                raise error.located(position) from None
            return [] if index is None or not 0 <= index < len(found) else [found[index]]

        return Code(run, source.static.one())

    def polarity(self, tree: syntax.Polarity, scope: Scope) -> Code:
        """`-operand`."""
        operand = self.compile(tree.operand, scope)
        if self.strict and not static.may_be(operand.static, ("Integer", "Decimal", "Quantity")):
            raise FHIRPathError(f"'{tree.operator}' takes a number or a quantity", tree.position)
        apply, run = POLARITIES[tree.operator], operand.run
        return Code(located(lambda frame: apply(run(frame)), tree.position), operand.static)

    def binary(self, tree: syntax.Binary, scope: Scope) -> Code:
        """`left operator right`."""
        if tree.operator in CHAINED and isinstance(tree.left, syntax.Binary) and tree.left.operator == tree.operator:
            return self.chained(tree, scope)
        left, right = self.isolated(tree.left, scope), self.isolated(tree.right, scope)
        self.check_operands(tree, left.static, right.static)
        apply, one, other = OPERATIONS[tree.operator], left.run, right.run
        deciding = SHORT_CIRCUITS.get(tree.operator)
        if deciding is None:
            run = located(lambda frame: apply(one(frame), other(frame)), tree.position)
        else:
            run = located(short_circuit(apply, one, other, deciding=deciding), tree.position)
        result = RESULTS.get(tree.operator)
        if tree.operator == "|":
            result = left.static.joined(right.static).several()
        elif result is None:
            result = left.static.joined(right.static).one()
        return Code(run, result, left.is_ordered and right.is_ordered)

    def chained(self, tree: syntax.Binary, scope: Scope) -> Code:
        """`a operator b operator c ...`, evaluated in a loop."""
        parts = [self.isolated(part, scope) for part in syntax.chain(tree, tree.operator)]
        known = parts[0].static
        for part in parts[1:]:
            self.check_operands(tree, known, part.static)
            known = RESULTS.get(tree.operator) or known.joined(part.static)
        apply, deciding = OPERATIONS[tree.operator], SHORT_CIRCUITS.get(tree.operator)
        first, *rest = [part.run for part in parts]
        if tree.operator == "|":
            return Code(united([first, *rest]), known.several(), all(part.is_ordered for part in parts))

        def run(frame: Frame) -> list[Any]:
            found = first(frame)
            for other in rest:
                if deciding is not None and len(found) == 1 and found[0] is deciding:
                    return found
                found = apply(found, other(frame))
            return found

        return Code(located(run, tree.position), known, all(part.is_ordered for part in parts))

    def check_operands(self, tree: syntax.Binary, left: Static, right: Static) -> None:
        """Refuse operands that no form of the operator takes."""
        forms = OPERANDS.get(tree.operator)
        if not self.strict or forms is None:
            return
        if not any(static.may_be(left, one) and static.may_be(right, other) for one, other in forms):
            raise FHIRPathError(f"'{tree.operator}' does not take {named(left)} and {named(right)}", tree.position)

    def type_operation(self, tree: syntax.TypeOperation, scope: Scope) -> Code:
        """`operand is type` and `operand as type`."""
        kind = types.known(self.model, tree.type)
        return self.typed(tree.operator, self.compile(tree.operand, scope), kind, tree.position)

    def typed(self, operator: str, source: Code, kind: syntax.TypeName, position: int) -> Code:
        """A test or a filter by type."""
        items = source.run
        limit = 1 if operator == "is" or (operator == "as" and self.strict) else None

        def run(frame: Frame) -> list[Any]:
            found = items(frame)
            if limit is not None and len(found) > limit:
                raise FHIRPathError(f"'{operator}' works on a single item, found {len(found)}", position)
            model = frame.evaluation.model
            if operator == "is":
                return [types.is_of(model, item, kind) for item in found]
            return [item for item in found if types.becomes(model, item, kind)]

        result = BOOLEAN if operator == "is" else types.narrowed(kind, source.static)
        return Code(run, result, source.is_ordered)

    def call(self, tree: syntax.Call, scope: Scope) -> Code:
        """`source.function(arguments)`."""
        source = self.compile(tree.source, scope) if tree.source else Code(lambda frame: frame.this, scope.this)
        if tree.function in TYPE_OPERATIONS:
            if len(tree.arguments) != 1:
                raise FHIRPathError(f"{tree.function}() takes 1 argument", tree.position)
            kind = types.specifier(self.model, tree.arguments[0])
            return self.typed(tree.function, source, kind, tree.position)
        function = self.functions.get(tree.function)
        if function is None:
            raise FHIRPathError(f"Unknown function {tree.function}()", tree.position)
        if not function.minimum <= len(tree.arguments) <= function.most:
            raise FHIRPathError(f"{tree.function}() takes {function.arity()}", tree.position)
        self.check_input(tree, function, source)
        return APPLICATIONS[function.arguments](self, tree, function, source, scope)

    def check_input(self, tree: syntax.Call, function: Function, source: Code) -> None:
        """Refuse an input that the function cannot take."""
        if function.ordered:
            self.check_order(source, tree.position)
        if self.strict and function.accepts and not static.may_be(source.static, function.accepts):
            wanted = " or ".join(function.accepts)
            raise FHIRPathError(f"{tree.function}() takes {wanted}, not {named(source.static)}", tree.position)

    def check_order(self, source: Code, position: int) -> None:
        """Refuse to take a place in a collection without order."""
        if self.ordered and not source.is_ordered:
            raise FHIRPathError("The collection has no order to take a place in", position)

    def on_values(self, tree: syntax.Call, function: Function, source: Code, scope: Scope) -> Code:
        """A function whose arguments are evaluated where the call stands."""
        arguments = [self.isolated(argument, scope) for argument in tree.arguments]
        runs, items, evaluate = [a.run for a in arguments], source.run, function.evaluate
        if not runs:
            run: Run = lambda frame: evaluate(frame, items(frame))  # noqa: E731 one form for each arity
        elif len(runs) == 1:
            only = runs[0]
            run = lambda frame: evaluate(frame, items(frame), only(frame))  # noqa: E731 the same
        else:
            run = lambda frame: evaluate(frame, items(frame), *[a(frame) for a in runs])  # noqa: E731 the same
        result = function.result(source.static, tuple(a.static for a in arguments))
        is_ordered = source.is_ordered and tree.function not in UNORDERED_FUNCTIONS
        return Code(located(run, tree.position), result, is_ordered)

    def on_expressions(self, tree: syntax.Call, function: Function, source: Code, scope: Scope) -> Code:
        """A function that evaluates its arguments itself, for each item."""
        inner = Scope(source.static.one())
        arguments = [self.isolated(argument, inner) for argument in tree.arguments]
        self.check_criterion(tree, arguments)
        runs, items, evaluate = [a.run for a in arguments], source.run, function.evaluate
        result = function.result(source.static, tuple(a.static for a in arguments))
        return Code(
            located(lambda frame: evaluate(frame, items(frame), *runs), tree.position), result, source.is_ordered
        )

    def check_criterion(self, tree: syntax.Call, arguments: list[Code]) -> None:
        """Refuse an iif() whose criterion cannot be one boolean."""
        if not self.strict or tree.function != "iif":
            return
        criterion = arguments[0].static
        if len(united_literals(tree.arguments[0])) > 1 or not static.may_be(criterion, ("Boolean",)):
            raise FHIRPathError("The criterion of iif() is not a single boolean", tree.arguments[0].position)

    def on_type(self, tree: syntax.Call, function: Function, source: Code, scope: Scope) -> Code:
        """A function whose argument names a type."""
        kinds = [types.specifier(self.model, argument).name for argument in tree.arguments]
        items, evaluate = source.run, function.evaluate
        result = function.result(source.static, ())
        return Code(located(lambda frame: evaluate(frame, items(frame), *kinds), tree.position), result)

    def sort(self, tree: syntax.Call, function: Function, source: Code, scope: Scope) -> Code:
        """A sort, in which a key with a minus in front sorts downwards, be it a string."""
        inner = Scope(source.static.one())
        keys: list[Any] = []
        for argument in tree.arguments:
            descending = isinstance(argument, syntax.Polarity) and argument.operator == "-"
            operand = argument.operand if isinstance(argument, syntax.Polarity) and descending else argument
            keys.append((self.isolated(operand, inner).run, descending))
        items, evaluate = source.run, function.evaluate
        return Code(located(lambda frame: evaluate(frame, items(frame), keys), tree.position), source.static)

    def isolated(self, tree: syntax.Syntax, scope: Scope) -> Code:
        """An operand or argument: variables that it defines end with it."""
        code = self.compile(tree, scope)
        if not any(isinstance(part, syntax.Call) and part.function == "defineVariable" for part in syntax.walk(tree)):
            return code
        inside = code.run
        return replace(code, run=lambda frame: inside(frame.forked()))


def united_literals(tree: syntax.Syntax) -> set[Any]:
    """The different literals that a union is certain to hold."""
    if isinstance(tree, syntax.Literal):
        return {collection.key(tree.value)}
    if isinstance(tree, syntax.Binary) and tree.operator == "|":
        return united_literals(tree.left) | united_literals(tree.right)
    return set()


def navigation(source: Run, name: str) -> Run:
    """Take the elements of a name."""

    def run(frame: Frame) -> list[Any]:
        found: list[Any] = []
        select = frame.evaluation.model.select
        for item in source(frame):
            if item.__class__ is Node:
                select(item, name, found)
            elif item.__class__ is TypeInfo:
                found += [part for part in (getattr(item, TYPE_INFO.get(name, ""), None),) if part]
        return found

    return run


TYPE_INFO = {"namespace": "namespace", "name": "name", "baseType": "base"}


def located(run: Run, position: int) -> Run:
    """The closure, whose errors say where in the expression they arise."""

    def evaluate(frame: Frame) -> list[Any]:
        try:
            return run(frame)
        except FHIRPathError as error:
            raise error.located(position) from None

    return evaluate


def united(runs: list[Run]) -> Run:
    """The items of all expressions, equal ones once."""
    return lambda frame: collection.distinct([item for run in runs for item in run(frame)])


def short_circuit(apply: Operation, left: Run, right: Run, *, deciding: bool) -> Run:
    """A boolean operator whose right side is evaluated only when the left does not decide."""
    outcome = [deciding] if apply([deciding], []) == [deciding] else [True]

    def run(frame: Frame) -> list[Any]:
        one = left(frame)
        if len(one) == 1 and one[0] is deciding:
            return outcome
        return apply(one, right(frame))

    return run


def literal_type(value: syntax.LiteralValue) -> str:
    """The System type of a literal."""
    from_class = {bool: "Boolean", int: "Integer", str: "String"}
    return from_class.get(type(value), type(value).__name__)


def named(known: Static) -> str:
    """Types for a message."""
    return " or ".join(sorted(known.types or ())[:3]) or "an empty collection"


def constant(name: str) -> str | None:
    """The text of a variable that FHIR defines by rule."""
    if name.startswith("vs-"):
        return VALUE_SET + name.removeprefix("vs-")
    if name.startswith("ext-"):
        return EXTENSION + name.removeprefix("ext-")
    return CONSTANTS.get(name)


def node_or_nothing(node: Node | None) -> list[Any]:
    """A node as a collection."""
    return [] if node is None else [node]


VARIABLES: dict[str, Run] = {
    "context": lambda frame: frame.evaluation.context,
    "resource": lambda frame: node_or_nothing(frame.evaluation.resource),
    "rootResource": lambda frame: node_or_nothing(frame.evaluation.root),
}
COMPILERS: dict[type[syntax.Syntax], Callable[[Compiler, Any, Scope], Code]] = {
    syntax.Empty: Compiler.empty,
    syntax.Literal: Compiler.literal,
    syntax.Variable: Compiler.variable,
    syntax.Special: Compiler.special,
    syntax.Name: Compiler.name,
    syntax.Index: Compiler.index,
    syntax.Polarity: Compiler.polarity,
    syntax.Binary: Compiler.binary,
    syntax.TypeOperation: Compiler.type_operation,
    syntax.Call: Compiler.call,
}
APPLICATIONS: dict[str, Callable[[Compiler, syntax.Call, Function, Code, Scope], Code]] = {
    "values": Compiler.on_values,
    "expressions": Compiler.on_expressions,
    "type": Compiler.on_type,
    "keys": Compiler.sort,
}
