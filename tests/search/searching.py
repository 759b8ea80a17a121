"""Searches as the tests of queries write them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from fhir_server.definitions.registry import r4
from fhir_server.search.codes import NoCodes
from fhir_server.search.limits import Limits
from fhir_server.search.parameters import Parameters
from fhir_server.search.plan import Predicate
from fhir_server.search.query import Query, Searcher

NOW = 1_795_000_000_000
PARAMETERS = Parameters(r4())


def searcher(limits: Limits | None = None, parameters: Parameters = PARAMETERS) -> Searcher:
    return Searcher(
        parameters, codes=NoCodes(), zone=ZoneInfo("Asia/Ho_Chi_Minh"), bases=("http://own/fhir/",), limits=limits
    )


SEARCHER = searcher()


def search(address: str, by: Searcher = SEARCHER, **more: Any) -> Query:
    """The query of `Type?name=value&...`."""
    kind, _, pairs = address.partition("?")
    return by.query((kind,) if kind else (), parse_qsl(pairs, keep_blank_values=True), now=NOW, **more)


def predicate(address: str, **more: Any) -> Predicate:
    """What a search of one type asks."""
    return search(address, **more).plan.arms[address.partition("?")[0]]


def number(key: str) -> int:
    """The number of `Type.code`."""
    kind, _, code = key.partition(".")
    return PARAMETERS.of(kind)[code].number
