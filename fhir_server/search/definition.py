"""Whether a SearchParameter can be put to use: its expression, its components, its code (FHIR R4, 5.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.search_parameter import SearchParameter, filtered_cast, search_parameter_from
from fhir_server.errors import Issue
from fhir_server.fhirpath.engine import Engine
from fhir_server.fhirpath.error import FHIRPathError
from fhir_server.fhirpath.parser import parse
from fhir_server.fhirpath.syntax import text
from fhir_server.search.parameters import CORE, own_alternatives, types_of

EXPRESSION = "SearchParameter.expression"


def is_of_core(url: str) -> bool:
    """Whether a definition is one of R4's own, which are compiled: a stored copy changes nothing."""
    return url.startswith(CORE)


def faults(body: Mapping[str, Any], definitions: Definitions) -> tuple[Issue, ...]:
    """Return why a SearchParameter of the right structure cannot be used; each issue says where.

    One whose structure is wrong has no faults here: that is for validation to say.
    """
    try:
        definition = search_parameter_from(body)
        if is_of_core(definition.url):
            return ()
        return tuple(_faults(body, definition, definitions))
    except (KeyError, TypeError, AttributeError):
        return ()


def _faults(body: Mapping[str, Any], definition: SearchParameter, definitions: Definitions) -> Iterator[Issue]:
    engine = Engine(definitions)
    wrong = next(_wrong_expressions(body, engine), None)
    if wrong is not None:
        yield wrong
    elif definition.expression is not None:
        yield from _misplaced(definition, definitions, engine)
    for name in types_of(definition, definitions):
        known = definitions.search_parameters(name).get(definition.code)
        if known is not None and known.url != definition.url:
            reason = f"{name} is already searched by {definition.code}, as {known.url} defines it."
            yield Issue("error", "duplicate", reason, ("SearchParameter.code",), fix="Choose another code.")
            return


def _wrong_expressions(body: Mapping[str, Any], engine: Engine) -> Iterator[Issue]:
    """The expressions that do not compile, whatever they are about."""
    written = [(body["expression"], EXPRESSION)] if "expression" in body else []
    for place, component in enumerate(body.get("component", ())):
        written.append((component["expression"], f"SearchParameter.component[{place}].expression"))
    for source, where in written:
        try:
            parse(source)
            engine.compile(filtered_cast(source), strict=False)
        except FHIRPathError as error:
            yield Issue("error", "invalid", f"The expression is wrong: {error.within(source)}", (where,))


def _misplaced(definition: SearchParameter, definitions: Definitions, engine: Engine) -> Iterator[Issue]:
    """Why the expression cannot be about a type that the parameter is for: the first such type."""
    tree = parse(definition.expression or "")
    for name in types_of(definition, definitions):
        own = own_alternatives(tree, name, definitions)
        if own is None:
            reason = f"No part of the expression is about {name}, which the parameter is to be for."
            yield Issue("error", "invalid", reason, (EXPRESSION,))
            return
        try:
            engine.compile(text(own), name)
        except FHIRPathError as error:
            yield Issue("error", "invalid", f"The expression is wrong for {name}: {error}", (EXPRESSION,))
            return
