"""What commands have in common on the terminal: options, lines, and the way to stop (the command `nhipcau`)."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from fhir_server.app import DATABASE
from fhir_server.definitions.registry import Definitions, r4
from fhir_server.errors import Issue
from fhir_server.extension import Extension, Surroundings, installed
from fhir_server.package import add_installed, load_package
from fhir_server.settings import settings
from fhir_server.store.opening import SCHEMES, MongoDatabase, Place

COLOURS = {"fatal": "bold red", "error": "red", "warning": "yellow", "information": "cyan"}

Packages = Annotated[
    list[Path] | None,
    typer.Option("--package", metavar="FILE", exists=True, help="First add this FHIR package (.tgz or folder)."),
]
Data = Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="The folder that everything is kept in.")]

Kinds = Annotated[
    list[str] | None, typer.Option("--type", metavar="TYPE", help="Only resources of this type; may be repeated.")
]
AnyStore = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Where resources are kept: sqlite:///FILE or mongodb://HOSTS/NAME."),
]
StoreSingle = Annotated[
    bool, typer.Option("--store-single", help="Accept a MongoDB that is no replica set: its disk is then all there is.")
]


def definitions_with(packages: Iterable[Path] | None) -> Definitions:
    """Return the definitions of R4, what is installed, and these packages; what cannot be used is told, not fatal."""
    definitions = add_installed(r4().extended())
    for package in packages or ():
        for issue in load_package(definitions, package).issues:
            if issue.is_error:
                print_line(issue_line(package.name, issue), to_errors=True)
    return definitions


def issue_line(name: str, issue: Issue) -> Text:
    """Return one finding as one line: file, severity, place, text."""
    place = f" {', '.join(issue.expression)}" if issue.expression else ""
    source = f" [{issue.rule}]" if issue.rule else ""
    return Text.assemble(
        (name, "dim"), ": ", (issue.severity, COLOURS[issue.severity]), place, f": {issue.text}{source}"
    )


def print_line(line: Text, *, to_errors: bool = False) -> None:
    """Print a line as it is, however narrow the terminal."""
    Console(stderr=to_errors).print(line, soft_wrap=True, highlight=False)


def made(folder: Path) -> Path:
    """Return a folder, made for this user alone if it does not exist."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def database_of(url: str | None) -> Path | None:
    """Return the file that the URL of a store names; stop the command for other stores."""
    if url is None:
        return None
    if not url.startswith("sqlite:///"):
        stop(f"There is no store for {url} here: this needs sqlite:///FILE.")
    return Path(url.removeprefix("sqlite://") if url.startswith("sqlite:////") else url.removeprefix("sqlite:///"))


def place_of(url: str | None, *, is_single: bool) -> Place | None:
    """Return the file or the database that the URL of a store names; stop the command for other stores."""
    if url is not None and url.startswith(SCHEMES):
        return MongoDatabase(url, is_single)
    if url is not None and not url.startswith("sqlite:///"):
        stop(f"There is no store for {url}: there are sqlite:///FILE and mongodb://HOSTS/NAME.")
    return database_of(url)


def stored_in(url: str | None, data: Path, *, is_single: bool) -> Place:
    """Return where what is stored is; stop the command where nothing is."""
    place = place_of(url, is_single=is_single) or data / DATABASE
    if isinstance(place, Path) and not place.exists():
        stop(f"There is no data in {place}.")
    return place


def stop(text: str) -> NoReturn:
    """Say why a command cannot go on, and stop it."""
    print_line(Text(text), to_errors=True)
    raise typer.Exit(2)


def extensions_at(data: Path) -> list[Extension]:
    """Return the installed extensions for a data folder."""
    chosen = settings()
    surroundings = Surroundings(chosen, data, time.time, chosen.base_url or "http://localhost/fhir")
    return [make(surroundings) for make in installed()]
