"""`nhipcau user`: the people who log in, changed while the server runs."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from fhir_server.auth.person import (
    Person,
    PersonError,
    checked,
    new_totp,
    person_of,
    readable_password,
    totp_uri,
    with_password,
)
from fhir_server.auth.records import records_at
from fhir_server.auth.session import end_sessions
from fhir_server.auth.throttle import Throttle
from fhir_server.auth.tokens import Tokens
from fhir_server.commands.terminal import AnyStore, Data, StoreSingle, made, place_of, print_line, stop
from fhir_server.store.records import Records

people_app = typer.Typer(help="People who log in.", no_args_is_help=True)

Login = Annotated[str, typer.Argument(metavar="LOGIN", help="What the person types to log in.")]
RoleOption = Annotated[
    list[str] | None, typer.Option("--role", metavar="ROLE", help="What the person is; several times.")
]
OrganizationOption = Annotated[
    list[str] | None,
    typer.Option("--organization", metavar="ID", help="The id of an Organization that the person works for."),
]
WORDS = {
    "password.short": "A password needs at least 10 characters.",
    "password.long": "A password has at most 256 characters.",
    "password.easy": "This password can be guessed: use neither the login nor a common row.",
}


@contextmanager
def records_in(data: Path, store: str | None, *, is_single: bool) -> Iterator[Records]:
    """The records of a node, while a command works."""
    records = records_at(made(data), place_of(store, is_single=is_single))
    try:
        yield records
    finally:
        records.close()


@people_app.command("add")
def add(  # noqa: PLR0913 -- each is an option of the command
    login: Login,
    name: Annotated[str, typer.Option(metavar="NAME", help="The name as it is shown.")] = "",
    role: RoleOption = None,
    fhir_user: Annotated[
        str, typer.Option(metavar="REFERENCE", help="Who this is as a resource, such as Practitioner/123.")
    ] = "",
    organization: OrganizationOption = None,
    *,
    ask_password: Annotated[
        bool, typer.Option("--ask-password", help="Ask for a password (or read a line) in place of making one.")
    ] = False,
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    store_single: StoreSingle = False,
) -> None:
    """Add a person; print the password that was made, which the first log-in must change."""
    password = typed_password() if ask_password else readable_password()
    try:
        person = checked(Person(login, name or login, "", tuple(role or ()), fhir_user, tuple(organization or ())))
        person = with_password(person, password, must_change=not ask_password)
    except PersonError as error:
        stop(told(error))
    with records_in(data, store, is_single=store_single) as records:
        if not records.add("person", login, person.as_json()):
            stop(f"There is somebody with the login {login} already.")
    print_line(Text(f"{login}: {', '.join(person.roles)}", "green"))
    if not ask_password:
        print_line(Text(f"password: {password}"))


@people_app.command("list")
def list_people(
    data: Data = Path("nhipcau-data"), store: AnyStore = None, *, store_single: StoreSingle = False
) -> None:
    """List the people who can log in."""
    with records_in(data, store, is_single=store_single) as records:
        for login, record in records.listed("person"):
            person = person_of(record.body)
            marks = [mark for mark, holds in (("disabled", person.disabled), ("second factor", person.totp)) if holds]
            facts = (person.name, ", ".join(person.roles), person.fhir_user, " ".join(person.organizations), *marks)
            print_line(Text.assemble((login, "bold"), f"  {' · '.join(filter(None, facts))}"))


@people_app.command("change")
def change_person(
    login: Login,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Another name.")] = None,
    role: RoleOption = None,
    fhir_user: Annotated[str | None, typer.Option(metavar="REFERENCE", help="Another resource.")] = None,
    organization: OrganizationOption = None,
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    *,
    store_single: StoreSingle = False,
) -> None:
    """Change what is told; it holds from the next request on."""

    def changed(person: Person) -> Person:
        return replace(
            person,
            name=person.name if name is None else name,
            roles=tuple(role) if role else person.roles,
            fhir_user=person.fhir_user if fhir_user is None else fhir_user,
            organizations=tuple(organization) if organization else person.organizations,
        )

    with records_in(data, store, is_single=store_single) as records:
        change(records, login, changed)
    print_line(Text(f"{login} was changed.", "green"))


@people_app.command("password")
def password_of(
    login: Login,
    *,
    ask_password: Annotated[
        bool, typer.Option("--ask-password", help="Ask for a password (or read a line) in place of making one.")
    ] = False,
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    store_single: StoreSingle = False,
) -> None:
    """Set another password, end all sessions and forget failures; the next log-in must change a made one."""
    password = typed_password() if ask_password else readable_password()
    with records_in(data, store, is_single=store_single) as records:
        change(records, login, lambda person: with_password(person, password, must_change=not ask_password))
        end_sessions_of(records, login)
    print_line(Text(f"{login} has another password.", "green"))
    if not ask_password:
        print_line(Text(f"password: {password}"))


@people_app.command()
def totp(
    login: Login,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away, so that it can be set up anew.")] = False,
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    store_single: StoreSingle = False,
) -> None:
    """Give a second factor and print what the authenticator app takes, or take it away."""
    secret = "" if remove else new_totp()
    with records_in(data, store, is_single=store_single) as records:
        person = change(records, login, lambda person: replace(person, totp=secret, totp_step=0))
    print_line(Text(f"{login} has {'no' if remove else 'a'} second factor.", "green"))
    if secret:
        print_line(Text(totp_uri(person, secret, "Nhịp Cầu")))


@people_app.command()
def disable(
    login: Login, data: Data = Path("nhipcau-data"), store: AnyStore = None, *, store_single: StoreSingle = False
) -> None:
    """Let somebody in no more, and end what they allowed, at once."""
    with records_in(data, store, is_single=store_single) as records:
        change(records, login, lambda person: replace(person, disabled=True))
        ended = Tokens(records, time.time, "").revoke_all(person=login)
        end_sessions_of(records, login)
    print_line(Text(f"{login} cannot log in; {ended} permissions ended.", "green"))


@people_app.command()
def enable(
    login: Login, data: Data = Path("nhipcau-data"), store: AnyStore = None, *, store_single: StoreSingle = False
) -> None:
    """Let somebody in again."""
    with records_in(data, store, is_single=store_single) as records:
        change(records, login, lambda person: replace(person, disabled=False))
    print_line(Text(f"{login} can log in.", "green"))


def change(records: Records, login: str, changed: Callable[[Person], Person]) -> Person:
    """Change a person; stop the command where there is none, or the change cannot be."""
    while True:
        record = records.read("person", login)
        if record is None:
            stop(f"There is nobody with the login {login}: nhipcau user list.")
        try:
            person = checked(changed(person_of(record.body)))
        except PersonError as error:
            stop(told(error))
        if records.change("person", login, person.as_json(), record.revision):
            return person


def end_sessions_of(records: Records, login: str) -> None:
    """Log somebody out everywhere, and forget how often they failed."""
    end_sessions(records, login)
    Throttle(records, time.time).succeeded([("login", login), ("code", login)])


def typed_password() -> str:
    """A password from the terminal, or the first line of what is piped in."""
    return getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def told(error: PersonError) -> str:
    """What is wrong, as a sentence."""
    return WORDS.get(str(error), f"{str(error)[0].upper()}{str(error)[1:]}.")
