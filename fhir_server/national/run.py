"""The operation $viewdefinition-run: a view as a table, at once (SQL on FHIR v2, OperationDefinition)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.errors import Invalid, Issue, TooCostly
from fhir_server.fhirpath.engine import Engine
from fhir_server.national.catalogue import own_view, view_at
from fhir_server.national.definition import View, read_view
from fhir_server.national.population import Given, Population, Stored, patients_of
from fhir_server.national.tabulation import form_of, written
from fhir_server.national.view import Runner, view_engine
from fhir_server.resource.instant import epoch_milliseconds
from fhir_server.rest.argument import Arguments, Input
from fhir_server.rest.exchange import Exchange, Reply
from fhir_server.rest.node import Node
from fhir_server.rest.operation import Operation

DEFINITION = "http://sql-on-fhir.org/OperationDefinition/$viewdefinition-run"
ENGINE = "view engine"


def engine_of(node: Node) -> Engine:
    """Return the engine of views of a node, made anew when its definitions grow."""
    known: tuple[int, Engine] | None = node.remembered.get(ENGINE)
    if known is None or known[0] != node.definitions.generation:
        known = node.remembered[ENGINE] = (node.definitions.generation, view_engine(node.definitions))
    return known[1]


async def run(node: Node, exchange: Exchange, arguments: Arguments) -> Reply:
    """Return the rows of a view in the form asked for."""
    form = form_of(arguments.text("_format"), exchange.header(b"accept"))
    view = await asked_view(node, exchange, arguments)
    population = await population_of(node, exchange, arguments)
    most = node.settings.view_rows
    limit = arguments.one("_limit", int)
    rows = await rows_of(node, view, population, most if limit is None else min(limit, most), cut=limit is not None)
    header = arguments.one("header", bool)
    body = written(form, view.columns, rows, header=header is not False)
    return Reply(200, body, media_type=form.media_type)


async def rows_of(
    node: Node, view: View, population: Population, most: int, *, cut: bool = False
) -> list[dict[str, Any]]:
    """Return the rows of a view; where there are more than `most`, cut there, or raise TooCostly."""
    runner = Runner(engine_of(node), view)
    rows: list[dict[str, Any]] = []
    async for body in population.of(view.resource):
        rows += runner.rows(body)
        if cut and len(rows) >= most:
            break
        if len(rows) > most:
            text = f"The view has more than {most:,} rows: set _limit, name a patient, or use $viewdefinition-export."
            raise TooCostly(text)
    return rows[:most]


async def asked_view(node: Node, exchange: Exchange, arguments: Arguments) -> View:
    """Return the view that a call names or brings along; raise NotFound, InvalidView, or Invalid for none or two."""
    sent, reference = arguments.resource("viewResource"), arguments.resource("viewReference")
    named = [each for each in (sent, reference, exchange.id or None) if each is not None]
    if len(named) != 1:
        text = "A view is named by viewReference or brought along as viewResource: one of them."
        raise Invalid(Issue("error", "required", text))
    body: Mapping[str, Any]
    if sent is not None:
        body = sent
    elif reference is not None:
        body = await view_at(node, str(reference.get("reference", "")))
    else:
        body = own_view(exchange.id)
    return read_view(engine_of(node), body)


async def population_of(node: Node, exchange: Exchange, arguments: Arguments) -> Population:
    """Return the resources that a call is about: those that it brings along, or the stored ones."""
    given: Sequence[Any] = arguments.many("resource")
    if given:
        return Given([each for each in given if isinstance(each, dict)])
    patient = arguments.resource("patient")
    groups = [str(each.get("reference", "")) for each in arguments.many("group")]
    named = None if patient is None else str(patient.get("reference", ""))
    since = arguments.text("_since")
    return Stored(
        node,
        await patients_of(node, exchange.base, named, groups),
        None if since is None else epoch_milliseconds(since),
    )


FILTERS = (
    Input("patient", "Reference"),
    Input("group", "Reference", many=True),
    Input("_since", "instant"),
    Input("source", "string", supported=False, reason="views are run on what this server stores"),
)
INPUTS = (
    Input("_format", "code"),
    Input("header", "boolean"),
    Input("viewReference", "Reference"),
    Input("viewResource", "ViewDefinition"),
    *FILTERS,
    Input("_limit", "positiveInt"),
    Input("resource", "Resource", many=True),
)
OPERATIONS = (
    Operation("viewdefinition-run", DEFINITION, ("system",), run, INPUTS, scope="s", native=True),
    Operation(
        "viewdefinition-run",
        DEFINITION,
        ("type", "instance"),
        run,
        INPUTS,
        scope="s",
        native=True,
        place="ViewDefinition",
    ),
)
