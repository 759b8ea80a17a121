"""The command `nhipcau`: check files, evaluate expressions, look into packages, run the service."""

import asyncio
import gc
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from pydantic import ValidationError
from rich.text import Text
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from fhir_server.app import Origin, Service, application, limits_of
from fhir_server.auth.entrance import maker
from fhir_server.auth.records import records_at
from fhir_server.commands.terminal import (
    COLOURS,
    AnyStore,
    Data,
    Packages,
    StoreSingle,
    definitions_with,
    issue_line,
    made,
    place_of,
    print_line,
    stop,
)
from fhir_server.definitions.registry import Definitions, r4
from fhir_server.demo.guide import guide_lines, who_lines
from fhir_server.demo.story import HUB, Admitted, demo_facts, tell_story
from fhir_server.errors import FhirError, Invalid, Issue, TooLarge
from fhir_server.extension import Extension, installed
from fhir_server.fhirpath.engine import Engine
from fhir_server.formats import numbered_lines, receive, receive_exact
from fhir_server.metrics import Board, Metrics
from fhir_server.package import load_package
from fhir_server.part import Part
from fhir_server.resource.exact import dump_exact
from fhir_server.rest.node import Node
from fhir_server.server import answer
from fhir_server.settings import Settings, settings
from fhir_server.store.opening import MongoDatabase, opened
from fhir_server.store.protocol import UnfitServer
from fhir_server.store.records import Records
from fhir_server.store.sqlite.connection import UnknownSchema
from fhir_server.validation.validator import Validator
from fhir_server.workers import supervise

COMMANDS_GROUP = "fhir_server.commands"
"""The entry points by which extensions bring commands."""
COMMANDS: dict[str, Part[typer.Typer | Callable[..., None]]] = {
    "user": Part("fhir_server.commands.person:people_app"),
    "client": Part("fhir_server.commands.program:clients_app"),
    "audit": Part("fhir_server.commands.auditing:audit_app"),
    "import": Part("fhir_server.commands.importing:load"),
    "export": Part("fhir_server.commands.exporting:dump"),
    "reindex": Part("fhir_server.commands.reindexing:reindex"),
    "assign-owner": Part("fhir_server.commands.assigning:assign_owner"),
    "backup": Part("fhir_server.commands.backup:back_up"),
    "restore": Part("fhir_server.commands.backup:restore"),
    "doctor": Part("fhir_server.commands.doctor:doctor"),
    "explain": Part("fhir_server.commands.explain:explain"),
    **{each.name: Part(each.value) for each in entry_points(group=COMMANDS_GROUP)},
}
ADMIT: Part[Callable[[Records, str], Admitted]] = Part("fhir_server.demo.people:admit")

MAKE_PACKAGE: Part[Callable[[Definitions, Path], bytes]] = Part("fhir_server.package_making:make_package")


class Commands(TyperGroup):
    """The commands: those of the table are loaded when they are called, or told about."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        # By their names alone they have a place in the list, and can be proposed for one that is mistyped.
        self.commands.update({name: TyperCommand(name) for name in COMMANDS})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; None where there is none."""
        if cmd_name in COMMANDS:
            self.commands[cmd_name] = loaded(cmd_name)
        return super().get_command(ctx, cmd_name)


def loaded(name: str) -> Any:
    """Return a command of the table as Typer makes it."""
    holder, part = typer.Typer(rich_markup_mode=None), COMMANDS[name].load()
    if isinstance(part, typer.Typer):
        holder.add_typer(part, name=name)
    else:
        holder.command(name)(part)
    return get_group(holder).commands[name]


app = typer.Typer(
    cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
package_app = typer.Typer(help="Look into FHIR packages.", no_args_is_help=True)
app.add_typer(package_app, name="package")

BACKLOG = 1024
FORMATS = "JSON, XML or NDJSON."
Port = Annotated[int, typer.Option(min=0, max=65535, metavar="NUMBER", help="The port to listen on.")]


Asking = Literal["on", "off"]
Auth = Annotated[
    Asking | None, typer.Option(help="Whether callers must say who they are; always where others can come in.")
]
DEMO = {"auth": "on", "second_factor_roles": (), "organization": HUB}
ASKED: dict[Asking, str] = {
    "on": "Callers need a token: nhipcau user add, nhipcau client add.",
    "off": "Only programs on this machine can reach it: nobody is asked who they are.",
}


@app.callback()
def nhipcau() -> None:
    """Nhịp Cầu, a FHIR R4 server."""


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILES", exists=True, dir_okay=False, help=FORMATS)],
    profile: Annotated[list[str] | None, typer.Option(metavar="URL", help="Also check against this profile.")] = None,
    package: Packages = None,
    depth: Annotated[
        Literal["write", "full"] | None, typer.Option(help="What a server must refuse, or all that can be said.")
    ] = None,
) -> None:
    """Check resources; exit with 1 when one has an error."""
    definitions = definitions_with(package)
    validator = Validator(definitions, depth=depth or settings().validation_depth)
    counts: Counter[str] = Counter()
    for name, raw in resources_in(files):
        issues = checked(raw, validator, definitions, profile or ())
        counts.update([issue.severity for issue in issues], resources=1)
        for issue in issues:
            print_line(issue_line(name, issue))
    print_line(summary(counts))
    raise typer.Exit(int(counts["error"] + counts["fatal"] > 0))


@app.command()
def fhirpath(
    expression: Annotated[str, typer.Argument(metavar="EXPRESSION", help="A FHIRPath expression.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help=FORMATS)],
) -> None:
    """Evaluate an expression on each resource of a file; print one line of JSON for each value."""
    engine = Engine(r4())
    for _name, raw in resources_in([file]):
        resource = receive_exact(raw, r4(), limits_of(settings()))
        kind = resource["resourceType"]
        if kind not in r4().resource_types:
            raise Invalid(f"R4 has no resource type {kind}.")
        for value in engine.compile(expression, kind).values(resource):
            print_line(Text(dump_exact(value).decode()))


@package_app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, help="A package (.tgz) or its folder.")],
) -> None:
    """List the definitions in a FHIR package, and what is wrong with any."""
    package = load_package(r4().extended(), file)
    print_line(Text(f"{package.name} {package.version or ''}".rstrip(), "bold"))
    for kind, count in package.counts.items():
        print_line(Text(f"{count:6} {kind}"))
    for canonical in package.canonicals:
        print_line(Text(canonical))
    for issue in package.issues:
        print_line(issue_line(file.name, issue), to_errors=True)
    raise typer.Exit(int(any(issue.is_error for issue in package.issues)))


@package_app.command()
def build(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="Definitions as JSON.")
    ],
    output: Annotated[Path, typer.Option(metavar="FILE", dir_okay=False, help="The package that is written.")],
) -> None:
    """Make a FHIR package (.tgz) of a folder with a package.json; the same folder gives the same bytes."""
    made(output.absolute().parent)
    output.write_bytes(MAKE_PACKAGE.load()(r4().extended(), folder))
    print_line(Text(str(output)))


@app.command()
def serve(  # noqa: PLR0913 -- each is an option of the command
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Port = 8080,
    data: Data = Path("nhipcau-data"),
    workers: Annotated[int, typer.Option(min=1, max=64, metavar="NUMBER", help="How many processes answer.")] = 1,
    store: AnyStore = None,
    validation: Annotated[
        Literal["off", "base", "profiles"] | None, typer.Option(help="What a write is checked against.")
    ] = None,
    auth: Auth = None,
    package: Packages = None,
    *,
    store_single: StoreSingle = False,
    archive: Annotated[
        str | None, typer.Option(metavar="orthanc=URL", help="An Orthanc that keeps the images, not the data folder.")
    ] = None,
    media: Annotated[
        str | None, typer.Option(metavar="ENGINE", help="What carries sessions: aiortc, janus=URL,URL or off.")
    ] = None,
) -> None:
    """Run the server until it is stopped."""
    asks = auth_of(host, auth, settings().base_url)
    database = place_of(store, is_single=store_single)
    if isinstance(database, MongoDatabase):
        asyncio.run(tried(database))
    listener = listening(host, port)
    given = {"auth": asks, "validation": validation, "archive": archive, "media": media}
    chosen = Settings(**settings().model_dump() | {name: value for name, value in given.items() if value is not None})
    # What is loaded before workers part is in memory once, as long as the collector leaves it alone.
    maker(chosen)
    extensions = installed()
    gc.freeze()
    base = base_of(host, listener)
    print_line(Text(f"FHIR R4: {chosen.base_url or f'{base}/fhir'}\n{ASKED[asks]}"))
    origin = Origin(made(data), bases=(f"{base}/fhir",), database=database)
    run(listener, lambda: application(definitions_with(package), chosen, origin, extensions=extensions), workers)


async def tried(database: MongoDatabase) -> None:
    """Open a database and close it again: what is wrong with it is told before a server begins."""
    store = await opened(database, time.time)
    await store.close()


@app.command()
def demo(
    data: Data = Path("nhipcau-demo"),
    port: Port = 8080,
    auth: Annotated[Asking, typer.Option(help="Whether people must log in.")] = "on",
) -> None:
    """Run the server on this machine with a story to try, and say what to open, and as whom."""
    listener = listening("127.0.0.1", port)
    base = base_of("127.0.0.1", listener)
    folder = made(data)
    origin = Origin(folder, bases=(f"{base}/fhir",))
    asks = auth == "on"
    print_line(Text(f"Mở / Open: {base}/\nFHIR R4: {base}/fhir"))
    admitted = demo_people(folder, base) if asks else Admitted((), ())
    for line in who_lines(admitted.users):
        print_line(Text(line))
    print_line(Text(f"{'' if asks else 'Không cần đăng nhập. / No login is needed. '}Ctrl+C: dừng / stop."))

    async def tell(node: Node, extensions: Sequence[Extension]) -> None:
        try:
            story = await tell_story(node, extensions)
        except FhirError as failure:
            print_line(Text(f"nhipcau: {failure}", "red"), to_errors=True)
            raise
        for line in guide_lines(base, story, asks=asks):
            print_line(Text(line))
        keep_facts(folder / "demo.json", demo_facts(base, story, admitted))

    chosen = settings().model_copy(update=DEMO if asks else {"auth": "off"})
    run(listener, lambda: application(definitions_with(None), chosen, origin, tell, installed()))


def demo_people(folder: Path, base: str) -> Admitted:
    """Let the demo's people and programs in; return who they are."""
    records = records_at(folder, None)
    try:
        return ADMIT.load()(records, base)
    finally:
        records.close()


def keep_facts(file: Path, facts: dict[str, Any]) -> None:
    """Write what the demo tells of itself, passwords included, for this user alone; whole or not at all."""
    part = file.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written:
        written.write(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    part.replace(file)


def main() -> None:
    """Run the command; a failure or a wrong setting is told, and the exit status is then 2."""
    try:
        app()
    except FhirError as failure:
        for issue in failure.issues:
            print_line(issue_line("nhipcau", issue), to_errors=True)
        sys.exit(2)
    except (UnfitServer, UnknownSchema) as failure:
        print_line(Text(f"nhipcau: {failure}"), to_errors=True)
        sys.exit(2)
    except ValidationError as failure:
        for fault in failure.errors():
            name = "_".join(["NHIPCAU", *map(str, fault["loc"])]).upper()
            print_line(
                Text(f"nhipcau: the setting {name} cannot be {fault['input']!r}: {fault['msg']}"), to_errors=True
            )
        sys.exit(2)


def resources_in(files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield a name and the text of each resource in the files; those of NDJSON are named by file and line."""
    for file in files:
        if file.suffix == ".ndjson":
            yield from ((f"{file}:{number}", line) for number, line in numbered_lines(file.read_bytes()))
        else:
            yield str(file), file.read_bytes()


def checked(raw: bytes, validator: Validator, definitions: Definitions, profiles: Sequence[str]) -> tuple[Issue, ...]:
    """Return all that is found in one resource, or why it cannot be read."""
    try:
        if len(raw) > settings().body_bytes:
            raise TooLarge(f"The resource is longer than {settings().body_bytes} bytes.")
        received = receive(raw, definitions, limits_of(settings()))
        return (*received.issues, *validator.validate(received.body, profiles=profiles).issues)
    except FhirError as failure:
        return failure.issues


def summary(counts: Counter[str]) -> Text:
    """Return the closing line of a check."""
    errors = counts["error"] + counts["fatal"]
    colour = COLOURS["error"] if errors else "green"
    return Text(f"resources: {counts['resources']}, errors: {errors}, warnings: {counts['warning']}", colour)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; stop the command when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        stop(f"Cannot listen on {host}, port {port}: {error.strerror}.")
    # Accepted connections inherit it; asyncio sets it only where a socket names its protocol, and this one does not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def base_of(host: str, listener: socket.socket) -> str:
    """Return the URL that a listener is reached by."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def auth_of(host: str, auth: Asking | None, base_url: str) -> Asking:
    """Return whether callers are asked; stop the command where strangers could come in, or tokens be overheard."""
    if is_loopback(host):
        return auth or settings().auth
    if auth == "off":
        stop(f"Without authentication the server listens on this machine only, not on {host}: use --host 127.0.0.1.")
    if not base_url.startswith("https://"):
        stop(
            f"To listen on {host}, set NHIPCAU_BASE_URL to the https URL that clients know, and put a proxy that "
            "speaks TLS before this server."
        )
    return "on"


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def run(listener: socket.socket, service: Callable[[], Service], workers: int = 1) -> None:
    """Serve until SIGTERM or SIGINT; what was accepted is finished, and the exit status is 0."""
    if workers == 1:
        answer(listener, service, Metrics())
        return
    board = Board(workers)

    def work(number: int, lifeline: int) -> None:
        answer(listener, service, Metrics(board, number), lifeline)

    supervise(workers, work, listener.close)
