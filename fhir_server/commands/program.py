"""`nhipcau client`: the programs that ask for tokens, changed while the server runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from joserfc.jwk import ECKey, Key, RSAKey
from rich.text import Text

from fhir_server.auth.client import Client, ClientError, checked, client_id_of, client_of, with_new_secret
from fhir_server.auth.tokens import Tokens
from fhir_server.commands.person import records_in
from fhir_server.commands.terminal import AnyStore, Data, StoreSingle, print_line, stop
from fhir_server.store.records import Records

clients_app = typer.Typer(help="Programs that ask for tokens.", no_args_is_help=True)

ClientId = Annotated[str, typer.Argument(metavar="CLIENT", help="The client id.")]
Algorithm = Literal["ES384", "RS384"]
RSA_BITS = 3072


@clients_app.command("add")
def add(  # noqa: PLR0913 -- each is an option of the command
    name: Annotated[str, typer.Argument(metavar="NAME", help="The program's name; its client id is made of it.")],
    scope: Annotated[str, typer.Option(metavar="SCOPES", help="The most that it can be granted.")],
    jwks: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Its public keys, as a JWKS.")
    ] = None,
    jwks_uri: Annotated[str, typer.Option(metavar="URL", help="Where its public keys are.")] = "",
    make_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make a key pair: the private key goes into this file, the JWKS is printed."),
    ] = None,
    redirect: Annotated[
        list[str] | None, typer.Option(metavar="URI", help="Where people are sent back to; several times.")
    ] = None,
    role: Annotated[list[str] | None, typer.Option(metavar="ROLE", help="What it is where it acts for itself.")] = None,
    organization: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="The id of an Organization that it acts for.")
    ] = None,
    *,
    secret: Annotated[bool, typer.Option("--secret", help="It proves itself by a secret, which is printed.")] = False,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="It is the facility's own: people are not asked whether they agree.")
    ] = False,
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    store_single: StoreSingle = False,
) -> None:
    """Register a program: one that acts for itself (with keys), or for people (with redirect URIs)."""
    keys = read_jwks(jwks) if jwks else new_key(make_key) if make_key else None
    signs = keys is not None or bool(jwks_uri)
    try:
        client = Client(
            id=client_id_of(name),
            name=name,
            method="private_key_jwt" if signs else "client_secret_basic" if secret else "none",
            scope=scope,
            redirect_uris=tuple(redirect or ()),
            jwks=keys,
            jwks_uri=jwks_uri,
            roles=tuple(role or (("his",) if signs or secret else ())),
            organizations=tuple(organization or ()),
            trusted=trusted,
        )
        made, plain = with_new_secret(client) if secret and not signs else (client, "")
        made = checked(made)
    except ClientError as error:
        stop(told(error))
    with records_in(data, store, is_single=store_single) as records:
        if not records.add("client", made.id, made.as_json()):
            stop(f"There is a program with the client id {made.id} already.")
    print_line(Text(f"client id: {made.id}", "green"))
    if plain:
        print_line(Text(f"secret: {plain}"))
    if make_key and keys is not None:
        print_line(Text(f"private key: {make_key}\n{orjson.dumps(keys, option=orjson.OPT_INDENT_2).decode()}"))


@clients_app.command("key")
def key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file for the private key.")],
    algorithm: Annotated[Algorithm, typer.Option(help="What it signs with.")] = "ES384",
) -> None:
    """Make a key pair for a HIS vendor: the private key goes into the file, the JWKS to hand over is printed."""
    print_line(Text(orjson.dumps(new_key(file, algorithm), option=orjson.OPT_INDENT_2).decode()))


@clients_app.command("list")
def list_clients(
    data: Data = Path("nhipcau-data"), store: AnyStore = None, *, store_single: StoreSingle = False
) -> None:
    """List the programs that are registered."""
    with records_in(data, store, is_single=store_single) as records:
        for name, record in records.listed("client"):
            client = client_of(record.body)
            marks = [mark for mark, holds in (("trusted", client.trusted), ("disabled", client.disabled)) if holds]
            places = (*client.redirect_uris, *client.roles, *client.organizations)
            facts = (client.name, client.method, client.scope, *places, *marks)
            print_line(Text.assemble((name, "bold"), f"  {' · '.join(filter(None, facts))}"))


@clients_app.command("keys")
def keys_of(
    client: ClientId,
    jwks: Annotated[
        Path, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Its new public keys, as a JWKS.")
    ],
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    *,
    store_single: StoreSingle = False,
) -> None:
    """Put other public keys in the place of a program's."""
    keys = read_jwks(jwks)
    with records_in(data, store, is_single=store_single) as records:
        change(records, client, lambda each: replace(each, jwks=keys, jwks_uri="", method="private_key_jwt"))
    print_line(Text(f"{client} has other keys.", "green"))


@clients_app.command("disable")
def disable(
    client: ClientId, data: Data = Path("nhipcau-data"), store: AnyStore = None, *, store_single: StoreSingle = False
) -> None:
    """Let a program in no more, and end its tokens, at once."""
    with records_in(data, store, is_single=store_single) as records:
        change(records, client, lambda each: replace(each, disabled=True))
        ended = Tokens(records, time.time, "").revoke_all(client=client)
    print_line(Text(f"{client} gets no tokens; {ended} permissions ended.", "green"))


@clients_app.command("enable")
def enable(
    client: ClientId, data: Data = Path("nhipcau-data"), store: AnyStore = None, *, store_single: StoreSingle = False
) -> None:
    """Let a program in again."""
    with records_in(data, store, is_single=store_single) as records:
        change(records, client, lambda each: replace(each, disabled=False))
    print_line(Text(f"{client} gets tokens.", "green"))


def change(records: Records, name: str, changed: Callable[[Client], Client]) -> None:
    """Change a client; stop the command where there is none, or the change cannot be."""
    while True:
        record = records.read("client", name)
        if record is None:
            stop(f"There is no program with the client id {name}: nhipcau client list.")
        try:
            client = checked(changed(client_of(record.body)))
        except ClientError as error:
            stop(told(error))
        if records.change("client", name, client.as_json(), record.revision):
            return


def read_jwks(file: Path) -> Mapping[str, Any]:
    """Return the JWKS in a file; stop the command where there is none. A single key is taken too."""
    try:
        found = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError:
        stop(f"{file} holds no JSON.")
    return {"keys": [found]} if isinstance(found, dict) and "kty" in found else found


def new_key(file: Path, algorithm: Algorithm = "ES384") -> dict[str, Any]:
    """Make a key pair: put the private key into a new file of this user's alone, return the JWKS of the public one."""
    made: Key
    if algorithm == "ES384":
        made = ECKey.generate_key("P-384", auto_kid=True, parameters={"use": "sig", "alg": "ES384"})
    else:
        made = RSAKey.generate_key(RSA_BITS, auto_kid=True, parameters={"use": "sig", "alg": "RS384"})
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            written.write(orjson.dumps(made.as_dict(private=True), option=orjson.OPT_INDENT_2))
    except FileExistsError:
        stop(f"{file} exists: a private key is not written over.")
    return {"keys": [made.as_dict(private=False)]}


def told(error: ClientError) -> str:
    """What is wrong, as a sentence."""
    return f"{str(error)[0].upper()}{str(error)[1:]}."
