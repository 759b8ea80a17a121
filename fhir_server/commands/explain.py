"""`nhipcau explain`: how a search is understood, as text or JSON, and what it finds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from fhir_server.app import DATABASE, Origin, Service
from fhir_server.commands.terminal import (
    AnyStore,
    Data,
    Packages,
    StoreSingle,
    definitions_with,
    issue_line,
    place_of,
    print_line,
)
from fhir_server.errors import Invalid
from fhir_server.resource.query_string import pairs_in
from fhir_server.rest.node import Node
from fhir_server.settings import settings
from fhir_server.store.opening import MongoDatabase

COMPARTMENT_STEPS = 3


def explain(
    search: Annotated[
        str, typer.Argument(metavar="SEARCH", help="Such as 'Observation?code=8480-6', or a compartment search.")
    ],
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    package: Packages = None,
    *,
    store_single: StoreSingle = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how a search is understood; where there is data, also how many resources match and how long that takes."""
    place = place_of(store, is_single=store_single) or data / DATABASE
    with TemporaryDirectory() as empty:
        known = isinstance(place, MongoDatabase) or place.exists()
        origin = Origin(data if known else Path(empty), database=place if known else None)
        service = Service(definitions_with(package), settings(), origin)
        found = asyncio.run(_explained(service, search, count=known))
    if as_json:
        print_line(Text(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()))
        return
    for line in outline(found):
        print_line(Text(line))


async def _explained(service: Service, search: str, *, count: bool) -> dict[str, Any]:
    async with service.running() as node:
        types, compartment, pairs = parts_of(search)
        _refuse_unknown(node, types)
        query = node.repository.query(types, pairs, compartment=compartment, lenient=True)
        found: dict[str, Any] = {"search": search, "plan": node.repository.explain(query)}
        if query.ignored:
            found["ignored"] = [issue.text for issue in query.ignored]
            for issue in query.ignored:
                print_line(issue_line("ignored", issue), to_errors=True)
        if count:
            started = time.perf_counter()
            found["matches"] = await node.repository.count(query.plan)
            found["milliseconds"] = round((time.perf_counter() - started) * 1000, 1)
        return found


def parts_of(search: str) -> tuple[tuple[str, ...], tuple[str, str] | None, list[tuple[str, str]]]:
    """Return the types, the compartment and the parameters of a search as it stands in a URL below the base."""
    path, _, query = search.partition("?")
    steps = [step for step in path.strip("/").split("/") if step and step != "_search"]
    pairs = list(pairs_in(query))
    if len(steps) == COMPARTMENT_STEPS:
        kind = steps[2]
        return () if kind == "*" else (kind,), (steps[0], steps[1]), pairs
    if len(steps) > 1:
        raise Invalid(f"{path!r} is no search: write TYPE?..., TYPE/ID/TYPE?... or ?....")
    return tuple(steps), None, pairs


def _refuse_unknown(node: Node, types: tuple[str, ...]) -> None:
    for name in types:
        if name not in node.definitions.resource_types:
            raise Invalid(f"R4 has no resource type {name}.")


def outline(found: Any, depth: int = 0) -> Iterator[str]:
    """Yield JSON as indented lines that people can read."""
    margin = "  " * depth
    if isinstance(found, dict):
        for key, value in found.items():
            if isinstance(value, dict | list) and value:
                yield f"{margin}{key}:"
                yield from outline(value, depth + 1)
            else:
                yield f"{margin}{key}: {_plain(value)}"
    elif isinstance(found, list):
        for value in found:
            if isinstance(value, dict | list):
                first, *rest = outline(value, depth + 1)
                yield f"{margin}- {first.strip()}"
                yield from rest
            else:
                yield f"{margin}- {_plain(value)}"
    else:
        yield f"{margin}{_plain(found)}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
