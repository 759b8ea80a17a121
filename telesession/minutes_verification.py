"""`nhipcau minutes verify`: which signatures under minutes hold, and which do not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from fhir_server.commands.terminal import AnyStore, Data, StoreSingle, print_line, stop, stored_in
from fhir_server.signature import FILE, key_in
from telesession.attestation import Verdict, attested, verdicts
from telesession.minutes import MODES
from telesession.minutes_source import Bundled, Found, Served, Source, Stored
from telesession.vocabulary import Json, objects, path_of

minutes_app = typer.Typer(help="The minutes of consultations.", no_args_is_help=True)


@minutes_app.callback()
def group() -> None:
    """The minutes of consultations."""


@dataclass(frozen=True, slots=True)
class Told:
    """A line about minutes or a signature; `is_wrong` where something that is claimed does not hold."""

    text: str
    is_wrong: bool = False


@minutes_app.command("verify")
def verify(
    source: Annotated[
        str,
        typer.Argument(metavar="[SOURCE]", help="A FHIR base URL or a file (a Bundle); without it the data folder."),
    ] = "",
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="THUMBPRINT", help="A key to trust (RFC 7638), may be repeated; for the data folder its own."
        ),
    ] = None,
    token: Annotated[
        Path | None, typer.Option("--token-file", exists=True, dir_okay=False, help="A file with a token for the URL.")
    ] = None,
    *,
    store_single: StoreSingle = False,
) -> None:
    """Say which signatures under minutes hold; exit with 1 when one that is claimed does not."""
    if source.startswith(("http://", "https://")):
        where: Source = Served(source, token.read_text().strip() if token else "")
    elif source:
        if not Path(source).is_file():
            stop(f"There is no file {source}.")
        where = Bundled(Path(source))
    else:
        where = Stored(stored_in(store, data, is_single=store_single))
    keys = frozenset(key or ())
    if not keys and not source and (data / FILE).exists():
        keys = frozenset({key_in(data).thumbprint()})
    lines = asyncio.run(_lines(where, keys))
    for each in lines:
        print_line(Text(each.text, "red" if each.is_wrong else ""))
    wrong = sum(each.is_wrong for each in lines)
    print_line(Text(f"minutes: {sum(not each.text.startswith(' ') for each in lines)}, wrong: {wrong}"))
    if not keys:
        print_line(Text("No key was named to compare with (--key): whose the keys are was not checked."))
    raise typer.Exit(int(wrong > 0))


async def _lines(source: Source, keys: frozenset[str]) -> list[Told]:
    found = await source.found()
    return [line for identity in sorted(found.minutes) for line in await _about(source, found, identity, keys)]


async def _about(source: Source, found: Found, identity: str, keys: frozenset[str]) -> list[Told]:
    minutes, trails = found.minutes[identity], found.trails_of(identity)
    now = list(verdicts(minutes, trails))
    former = [not each.holds and await _held(source, minutes, trails, each) for each in now]
    signatures = [_line(each, keys, is_former=is_former) for each, is_former in zip(now, former, strict=True)]
    return [Told(f"Composition/{identity} {minutes.get('status')}"), *signatures, *_claims(minutes, now, keys)]


async def _held(source: Source, minutes: Json, trails: Sequence[Json], verdict: Verdict) -> bool:
    """Whether a signature holds for the version that it was made under, which was changed since."""
    former = await source.version(str(minutes["id"]), verdict.version) if verdict.version else None
    return former is not None and any(
        each.holds and each.provenance == verdict.provenance for each in verdicts(former, trails)
    )


def _line(verdict: Verdict, keys: frozenset[str], *, is_former: bool) -> Told:
    who = f"{verdict.role} {verdict.signer} {verdict.when}"
    if is_former:
        return Told(f"  holds for version {verdict.version}, which was changed since: {who}")
    if not verdict.holds:
        return Told(f"  does not hold: {who}")
    if keys and verdict.key not in keys:
        return Told(f"  holds by the key {verdict.key}, which is none of those trusted: {who}")
    return Told(f"  holds: {who}, key {verdict.key}")


def _claims(minutes: Json, found: list[Verdict], keys: frozenset[str]) -> Iterator[Told]:
    """Yield what the minutes say of their signatures and is not so."""
    good = attested(minutes, found, keys)
    for each in objects(minutes, "attester"):
        mode = str(each.get("mode"))
        if mode not in MODES:
            continue
        signer = f"{MODES[mode].role} {path_of(each.get('party'))}"
        if "time" not in each:
            yield Told(f"  not signed yet: {signer}")
        elif mode not in good:
            yield Told(f"  said to be signed and is not: {signer}", is_wrong=True)
    claimed = {str(each.get("mode")) for each in objects(minutes, "attester") if "time" in each}
    if minutes.get("status") == "final" and not claimed >= set(MODES):
        yield Told("  final, and not signed by chair and secretary", is_wrong=True)
