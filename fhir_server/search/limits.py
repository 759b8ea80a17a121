"""How much one search may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """A search that asks for more is TooCostly, save for `count`, to which a larger `_count` is lowered.

    `joins` bounds all chains, `_has` and `_list` of one search together; `targets` the resource types that one step of
    a chain may lead to.
    """

    count: int = 1000
    pairs: int = 200
    values: int = 500
    codes: int = 20_000
    depth: int = 5
    joins: int = 16
    targets: int = 8
    includes: int = 200
    sorts: int = 8
    filter_characters: int = 8000
    filter_terms: int = 200
    filter_depth: int = 20
    contained_types: int = 4
    contained_conditions: int = 250
