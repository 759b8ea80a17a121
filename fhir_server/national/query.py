"""The operation $sqlquery-run: SQL over the rows of views, in a sandbox (SQL on FHIR v2, SQLQuery Library)."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from math import isfinite
from typing import Any

import orjson

from fhir_server.errors import Invalid, Issue, NoStore, TooCostly, Unprocessable
from fhir_server.national.catalogue import content_of, library_at, view_at
from fhir_server.national.definition import IS_NAME, read_view
from fhir_server.national.population import Stored, patients_of
from fhir_server.national.run import FILTERS, engine_of, rows_of
from fhir_server.national.tabulation import PARQUET, form_of, rows_written
from fhir_server.part import Part
from fhir_server.resource.instant import epoch_milliseconds
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation

DEFINITION = "http://sql-on-fhir.org/OperationDefinition/$sqlquery-run"
SQL_TEXT = "https://sql-on-fhir.org/ig/StructureDefinition/sql-text"
SANDBOX = "fhir_server.national.sandbox"
ROWS_IN: Part[Callable[[bytes], tuple[list[str], list[dict[str, Any]]]]] = Part("fhir_server.national.parquet:rows_in")
OF_SQL = frozenset({"application/sql", "text/sql"})
MOST_TABLES = 20
MOST_AT_ONCE = 2
SECONDS_TO_START = 20.0
CONFIG = {
    "threads": "1",
    "max_temp_directory_size": "0KB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
}
AT_ONCE = "queries at once"
TEXT_OR_NAME = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|::|:([A-Za-z_][A-Za-z0-9_]*)"


async def run(node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
    """Return what a query over views answers, in the form asked for."""
    form = form_of(arguments.text("_format"), exchange.header(b"accept"))
    library = await asked_library(node, arguments)
    sql = sql_in(library)
    parameters = parameters_in(library, arguments.resource("parameters"))
    tables = await tables_of(node, exchange, library, arguments)
    table = await queried(node, named(sql, parameters), parameters, tables)
    if form.name == "parquet":
        return Reply(200, table, media_type=form.media_type)
    names, rows = ROWS_IN.load()(table)
    body = rows_written(form, names, [{key: _plain(value) for key, value in row.items()} for row in rows],
                        header=arguments.one("header", bool) is not False)  # fmt: skip
    return Reply(200, body, media_type=form.media_type)


async def asked_library(node: Node, arguments: Arguments) -> Mapping[str, Any]:
    """Return the Library that a call names or brings along; raise NotFound, or Invalid for none or two."""
    sent, reference = arguments.resource("queryResource"), arguments.resource("queryReference")
    if (sent is None) == (reference is None):
        text = "A query is named by queryReference or brought along as queryResource: one of them."
        raise Invalid(Issue("error", "required", text))
    return sent if sent is not None else await library_at(node, str((reference or {}).get("reference", "")))


def sql_in(library: Mapping[str, Any]) -> str:
    """Return the SQL of a Library: its text, or its data; raise Unprocessable where there is none."""
    for attachment in library.get("content", ()):
        for extension in attachment.get("extension", ()):
            if extension.get("url") == SQL_TEXT and isinstance(extension.get("valueString"), str):
                return str(extension["valueString"])
    raw = content_of(library, OF_SQL)
    if raw is None:
        text = "The Library holds no SQL: a content of application/sql."
        raise Unprocessable(Issue("error", "not-found", text, ("Library.content",)))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Unprocessable(Issue("error", "value", "The SQL is no UTF-8.", ("Library.content",))) from None


def parameters_in(library: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the values of the parameters that a Library declares; raise Invalid for another."""
    known = {str(each.get("name")) for each in library.get("parameter", ()) if each.get("use", "in") == "in"}
    found: dict[str, Any] = {}
    for item in (given or {}).get("parameter", ()):
        name = item.get("name")
        if name not in known:
            raise Invalid(Issue("error", "invalid", f"The query declares no parameter {str(name)[:80]}."))
        found[name] = next((value for key, value in item.items() if key.startswith("value")), None)
    for name in sorted(known - set(found)):
        raise Invalid(Issue("error", "required", f"The query needs the parameter {name[:80]}."))
    return found


def named(sql: str, parameters: Mapping[str, Any]) -> str:
    """Return the SQL with `:name` as the engine has it, outside of texts and comments."""

    def put(found: re.Match[str]) -> str:
        return f"${found[1]}" if found[1] in parameters else found[0]

    return re.sub(TEXT_OR_NAME, put, sql, flags=re.DOTALL)


async def tables_of(
    node: Node, exchange: Exchange, library: Mapping[str, Any], arguments: Arguments
) -> dict[str, bytes]:
    """Return the tables that a query is over, by the label or the name of their views, as Parquet."""
    patient = arguments.resource("patient")
    groups = [str(each.get("reference", "")) for each in arguments.many("group")]
    since = arguments.text("_since")
    patients = await patients_of(
        node, exchange.base, None if patient is None else str(patient.get("reference", "")), groups
    )
    population = Stored(node, patients, None if since is None else epoch_milliseconds(since))
    wanted = [each for each in library.get("relatedArtifact", ()) if each.get("type") == "depends-on"]
    if len(wanted) > MOST_TABLES:
        raise TooCostly(f"A query is over {MOST_TABLES} views at most.")
    tables: dict[str, bytes] = {}
    for index, artifact in enumerate(wanted):
        view = read_view(engine_of(node), await view_at(node, str(artifact.get("resource", ""))))
        name = artifact.get("label") or view.name
        if not isinstance(name, str) or IS_NAME(name) is None or name in tables:
            where = f"Library.relatedArtifact[{index}].label"
            raise Unprocessable(Issue("error", "value", "Each view needs a label of its own, a name of SQL.", (where,)))
        rows = await rows_of(node, view, population, node.settings.view_rows)
        tables[name] = await asyncio.to_thread(PARQUET.load(), view.columns, rows)
    return tables


async def queried(node: Node, sql: str, parameters: Mapping[str, Any], tables: Mapping[str, bytes]) -> bytes:
    """Return the rows of a query as Parquet; raise Unprocessable for what cannot be run, TooCostly for too much."""
    memory, seconds = node.settings.query_bytes, node.settings.query_seconds
    asked = {
        "sql": sql, "parameters": parameters, "rows": node.settings.view_rows, "memory": memory, "seconds": seconds,
        "config": {**CONFIG, "memory_limit": f"{memory}B"}, "tables": {name: len(raw) for name, raw in tables.items()},
    }  # fmt: skip
    given = b"".join((orjson.dumps(asked), b"\n", *tables.values()))
    turn = node.remembered.setdefault(AT_ONCE, asyncio.Semaphore(MOST_AT_ONCE))
    async with turn:
        answer = await _answer(given, seconds)
    kind, _, rest = answer.partition(b"\n")
    if kind == b"ok":
        return rest
    if kind == b"no":
        raise Unprocessable(Issue("error", "processing", f"The query cannot be run: {rest.decode(errors='replace')}"))
    raise TooCostly(f"The query took more than {seconds} seconds, or {memory:,} bytes of memory.")


async def _answer(given: bytes, seconds: float) -> bytes:
    """What the sandbox says; nothing where it was ended."""
    command: Sequence[str] = (sys.executable, "-P", "-m", SANDBOX)
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MALLOC_ARENA_MAX": "2"}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            cwd="/",
        )
    except OSError:
        raise NoStore("No process can be started for the query now.") from None
    try:
        async with asyncio.timeout(seconds + SECONDS_TO_START):
            answer, _ = await process.communicate(given)
    except TimeoutError:
        return b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return answer


def _plain(value: Any) -> Any:
    """A value of SQL as JSON has it."""
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else value


INPUTS = (
    Input("_format", "code"),
    Input("header", "boolean"),
    Input("queryReference", "Reference"),
    Input("queryResource", "Library"),
    Input("parameters", "Parameters"),
    *FILTERS,
)
OPERATION = Operation("sqlquery-run", DEFINITION, ("system",), run, INPUTS, scope="s", native=True)
