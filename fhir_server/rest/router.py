"""From a method and a path to a row of the route table, or a refusal that says what exists (FHIR R4, 3.1.0)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fhir_server.errors import Invalid, Issue, NotFound
from fhir_server.rest.exchange import Exchange, Route
from fhir_server.rest.failure import MethodNotAllowed, nearest

TYPE, ID, VERSION, RELATED = "{type}", "{id}", "{version}", "{related}"
VARIABLES = frozenset({TYPE, ID, VERSION, RELATED})
IS_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch


@dataclass(slots=True)
class Step:
    """What may follow the steps of a path so far: words, or one variable; and the routes that end here, by method."""

    words: dict[str, Step] = field(default_factory=dict)
    variable: str = ""
    following: Step | None = None
    routes: dict[str, list[Route]] = field(default_factory=dict)


class Router:
    """The route table as a tree of steps. `types` are the resource types that a path may name."""

    def __init__(self, routes: Iterable[Route], types: frozenset[str]) -> None:
        self.routes = tuple(routes)
        self.types = types
        self._root = Step()
        for route in self.routes:
            self._enter(route)

    def find(self, exchange: Exchange) -> Route:
        """Return the route of an exchange and fill in what its path says; raise NotFound or MethodNotAllowed."""
        step = self._root
        for text in exchange.path:
            word = step.words.get(text)
            if word is not None:
                step = word
                continue
            if step.following is None:
                raise self._unknown(text, step, exchange)
            self._take(step, text, exchange)
            step = step.following
        method = "GET" if exchange.method == "HEAD" else exchange.method
        found = step.routes.get(method)
        if found is not None:
            for route in found:
                if not route.types or exchange.type in route.types:
                    return route
        raise self._refused(step, exchange)

    def _enter(self, route: Route) -> None:
        step = self._root
        for text in route.path.split("/")[1:]:
            if not text:
                continue
            if text in VARIABLES:
                assert step.variable in ("", text), f"{route.path} and another route differ in a variable"
                step.variable = text
                step.following = step.following or Step()
                step = step.following
            else:
                step = step.words.setdefault(text, Step())
        # A route of some types stands before one of all.
        step.routes.setdefault(route.method, []).append(route)
        step.routes[route.method].sort(key=lambda each: not each.types)

    def _take(self, step: Step, text: str, exchange: Exchange) -> None:
        variable = step.variable
        if text.startswith("$"):
            words = [word for word in step.words if word.startswith("$")]
            raise NotFound(f"There is no operation {text[:80]} here.{nearest(text, words)}")
        if variable == TYPE:
            if text not in self.types:
                raise self._unknown_type(text)
            exchange.type = text
        elif variable == ID:
            if IS_ID(text) is None:
                raise unknown_id(text)
            exchange.id = text
        elif variable == VERSION:
            exchange.version = text
        else:
            if text != "*" and text not in self.types:
                raise self._unknown_type(text)
            exchange.related = text

    def _unknown_type(self, text: str) -> NotFound:
        return NotFound(f"R4 has no resource type {text[:80]!r}.{nearest(text, self.types)}")

    def _unknown(self, text: str, step: Step, exchange: Exchange) -> NotFound:
        return NotFound(f"Nothing is at {'/'.join(exchange.path)[:200]!r}.{nearest(text, step.words)}")

    def _refused(self, step: Step, exchange: Exchange) -> NotFound | MethodNotAllowed:
        routes = [route for found in step.routes.values() for route in found]
        allowed = sorted({route.method for route in routes if not route.types or exchange.type in route.types})
        where = "/".join(exchange.path) or "the base URL"
        if allowed:
            text = f"{exchange.method[:20]} cannot be used on {where[:200]}, which takes {', '.join(allowed)}."
            return MethodNotAllowed(text, tuple(allowed))
        if routes:
            types = sorted({name for route in routes for name in route.types})
            return NotFound(f"{where[:200]} does not exist: this is for {', '.join(types)}.")
        return NotFound(f"Nothing is at {where[:200]!r}.")


def unknown_id(text: str) -> Invalid:
    """The failure of a path that holds no id where one must be."""
    what = "An id is 1 to 64 letters, digits, hyphens and dots"
    return Invalid(Issue("error", "value", f"{what}; {text[:80]!r} is none."))


def steps_of(path: Sequence[str]) -> tuple[str, ...]:
    """Return the steps of a path, without an empty one at its end."""
    return tuple(path[:-1] if path and not path[-1] else path)
