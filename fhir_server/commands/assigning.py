"""`nhipcau assign-owner`: say which facility what is stored already belongs to, with a bar."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from fhir_server.access.decision import UNBOUND_CLASSES
from fhir_server.access.resource_class import CLASS_OF
from fhir_server.app import Origin, Service
from fhir_server.commands.reindexing import known, progress_bar
from fhir_server.commands.terminal import (
    AnyStore,
    Data,
    Kinds,
    Packages,
    StoreSingle,
    definitions_with,
    print_line,
    stop,
    stored_in,
)
from fhir_server.errors import FhirError
from fhir_server.search.plan import EVERYTHING, Plan
from fhir_server.settings import settings

AT_ONCE = 50
NEVER_OWNED = frozenset({"AuditEvent"})


def assign_owner(
    organization: Annotated[str, typer.Option(metavar="ID", help="The id of the facility's Organization.")],
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    kinds: Kinds = None,
    package: Packages = None,
    *,
    store_single: StoreSingle = False,
) -> None:
    """Give to a facility what belongs to nobody, because it was stored before callers were asked who they are."""
    place = stored_in(store, data, is_single=store_single)
    definitions = definitions_with(package)
    chosen = known(kinds or (), definitions) if kinds else frozenset(about_patients())
    own = settings().model_copy(update={"organization": organization})
    service = Service(definitions, own, Origin(data, database=place))
    assigned, left = asyncio.run(_assigned(service, organization, chosen - NEVER_OWNED))
    print_line(Text(f"assigned: {assigned}", "green"))
    if left:
        print_line(Text(f"left as they are, because they would be refused if they were sent today: {left}", "yellow"))
        raise typer.Exit(1)


def about_patients() -> list[str]:
    """The types that are not there for everybody."""
    return [kind for kind, about in CLASS_OF.items() if about not in UNBOUND_CLASSES]


async def _assigned(service: Service, organization: str, kinds: frozenset[str]) -> tuple[int, int]:
    """Return how many resources have an owner now, and how many could not be given one."""
    async with service.running() as node:
        repository = node.repository
        try:
            await repository.read("Organization", organization)
        except FhirError as failure:
            stop(f"{failure} Import the facilities first.")
        place = assigned = looked_at = 0
        with progress_bar() as bar:
            total = sum([await repository.count(Plan({kind: EVERYTHING})) for kind in sorted(kinds)])
            row = bar.add_task("assign-owner", total=total)
            while True:
                stretch = await repository.assign(kinds, organization, place, AT_ONCE)
                if stretch.place == place:
                    break
                place = stretch.place
                looked_at += stretch.read
                assigned += stretch.indexed
                bar.update(row, completed=min(looked_at, total))
        return assigned, looked_at - assigned
