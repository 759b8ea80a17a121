"""`nhipcau backup` and `nhipcau restore`: a checked copy of a node's data, made while it runs, and the way back."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from fhir_server.app import DATABASE, KEY_FILE
from fhir_server.audit.trail import CHECKPOINTS_FILE
from fhir_server.audit.trail import KEY_FILE as AUDIT_KEY_FILE
from fhir_server.auth.records import FILE as RECORDS_FILE
from fhir_server.auth.records import copy_kept, records_at
from fhir_server.commands.copying import (
    LISTING,
    Previous,
    copy_database,
    copy_file,
    copy_folders,
    digest,
    files_in,
    is_below,
    kept_by,
    listed,
    listing,
)
from fhir_server.commands.terminal import AnyStore, Data, StoreSingle, extensions_at, made, print_line, stop, stored_in
from fhir_server.maintenance import Kept
from fhir_server.resource.instant import instant
from fhir_server.signature import FILE as SIGNING_KEY_FILE
from fhir_server.store.opening import Place, opened
from fhir_server.store.sqlite.upkeep import Damaged, Examination, examine

MANIFEST = "backup.json"
FORM = 2
"""The form of the manifest."""
FORMS = (1, FORM)
"""Those that can be restored; the first had resources and accounts alone."""
OWN = Kept(secrets=(KEY_FILE, AUDIT_KEY_FILE, SIGNING_KEY_FILE))
"""What the server keeps beside its database and accounts."""
DAMAGED = 1
"""The exit status of a restore without what was damaged."""
TOLD = 5


def back_up(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="A new or empty folder.")],
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    *,
    store_single: StoreSingle = False,
    previous: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", exists=True, file_okay=False, help="An earlier backup on the same disk: link its files."
        ),
    ] = None,
) -> None:
    """Copy the data into a folder while the server runs, check the copy, and write its checksums."""
    place = stored_in(store, data, is_single=store_single)
    _refuse_occupied(folder, "A backup")
    earlier = None if previous is None else Previous(previous, _listing(previous))
    target = made(folder)
    target.chmod(0o700)
    try:
        manifest = _backed_up(data, place, target, earlier)
    except OSError as failure:
        stop(f"The backup is not complete: {failure}. Free some space or mend the disk, and make it anew.")
    what = "resources: {resources}, versions: {versions}, commit: {commit}, other files: {others}"
    print_line(Text(what.format(**manifest), "green"))
    print_line(Text(f"The copy in {target} was checked. Restore it with: nhipcau restore {target} --data DIR"))


def _backed_up(data: Path, place: Place, target: Path, previous: Previous | None) -> dict[str, Any]:
    """Make the copy; return its manifest."""
    kept = kept_by(extensions_at(data), OWN)
    # What follows the resources must not be ahead of them in the copy, and what they name must be in it.
    if (data / CHECKPOINTS_FILE).exists():
        copy_file(data / CHECKPOINTS_FILE, target / CHECKPOINTS_FILE, lambda _: None)
    databases = [name for name in kept.databases if (data / name).exists()]
    for name in databases:
        copy_database(data / name, target / name)
    commit = asyncio.run(_copied(place, target / DATABASE))
    found = _examined(target / DATABASE)
    _copy_records(data, place, target)
    secrets = [name for name in kept.secrets if (data / name).exists()]
    for name in secrets:
        copy_file(data / name, target / name, lambda _: None)
    others = _copy_others(data, target, kept, previous)
    names = (DATABASE, RECORDS_FILE, CHECKPOINTS_FILE, LISTING, *databases, *secrets)
    files = {name: digest(target / name) for name in names if (target / name).exists()}
    manifest = {"form": FORM, "madeAt": instant(int(time.time() * 1000)), "commit": commit, "schema": found.schema}
    manifest |= {"resources": found.resources, "versions": found.versions, "others": others, "files": files}
    # Whatever was written is on the disk before the manifest says that it is complete.
    os.sync()
    _write_durably(target / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    return manifest


def _copy_others(data: Path, target: Path, kept: Kept, previous: Previous | None) -> int:
    """Copy the folders that are kept, and list their files; return how many there are."""
    number = 0
    size = sum(_size(data / path) for path in files_in(data, kept.folders))
    with _bar() as bar, (target / LISTING).open("w") as file:
        task = bar.add_task("backup", total=size)
        copied = copy_folders(data, target, kept.folders, previous, lambda more: bar.advance(task, more))
        for line in listed(copied):
            file.write(line)
            number += 1
    return number


def restore(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="The folder of a backup.")
    ],
    data: Data = Path("nhipcau-data"),
) -> None:
    """Put a backup into a new or empty folder, after its checksums and the database were checked."""
    manifest = _manifest(folder)
    _refuse_occupied(data, "A restore")
    for name, wanted in manifest["files"].items():
        if not is_below(name) or not (folder / name).is_file():
            stop(f"The backup is not complete: {name} is missing.")
        if digest(folder / name) != wanted:
            stop(f"The backup is damaged: {name} is not what was written. Take an older one.")
    others = _listing(folder)
    target = made(data)
    damaged = _restore_others(folder, target, others)
    for name in sorted(set(manifest["files"]) - {LISTING}, key=lambda name: name == DATABASE):
        # The resources come last: before, no server takes the folder for a whole one.
        part = target / f"{name}.part"
        copy_file(folder / name, part, lambda _: None)
        _sync(part)
        part.rename(target / name)
    found = _examined(target / DATABASE)
    os.sync()
    counts = f"resources: {found.resources}, versions: {found.versions}, commit: {found.t}"
    print_line(Text(f"{counts}, other files: {len(others) - len(damaged)}", "green"))
    print_line(Text(f"Restored into {target}. Start it with: nhipcau serve --data {target}"))
    if damaged:
        some = ", ".join(damaged[:TOLD])
        text = f"{len(damaged)} files of the backup are missing or not what was written, and were left out: {some}"
        print_line(Text(f"{text}. Copy them from an older backup to the same place.", "red"), to_errors=True)
        raise typer.Exit(DAMAGED)


def _restore_others(folder: Path, target: Path, others: dict[str, str]) -> list[str]:
    """Copy the files of folders back; return those that are missing or damaged, which are left out."""
    damaged = []
    with _bar() as bar:
        task = bar.add_task("restore", total=sum(_size(folder / path) for path in others))
        for path, wanted in others.items():
            part = (target / path).with_name(f"{Path(path).name}.part")
            try:
                is_whole = copy_file(folder / path, part, lambda more: bar.advance(task, more)) == wanted
            except FileNotFoundError:
                is_whole = False
            if is_whole:
                part.rename(target / path)
            else:
                part.unlink(missing_ok=True)
                damaged.append(path)
    return damaged


def _bar() -> Progress:
    """The bar; it stands on stderr, so that what a script reads stays clean."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _listing(folder: Path) -> dict[str, str]:
    try:
        return listing(folder / LISTING)
    except ValueError as fault:
        stop(f"The backup cannot be used: {fault}.")


def _copy_records(data: Path, place: Place, target: Path) -> None:
    if isinstance(place, Path) and not (data / RECORDS_FILE).exists():
        return
    source, copied = records_at(data, place), records_at(target, None)
    try:
        copy_kept(source, copied)
    finally:
        source.close()
        copied.close()


async def _copied(place: Place, target: Path) -> int:
    store = await opened(place, time.time)
    try:
        return await store.backup(target)
    finally:
        await store.close()


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = orjson.loads((folder / MANIFEST).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        stop(f"{folder} holds no complete backup: its {MANIFEST} cannot be read.")
    if not isinstance(manifest, dict) or manifest.get("form") not in FORMS or DATABASE not in manifest.get("files", {}):
        stop(f"{folder / MANIFEST} is not of a backup that this release can restore.")
    return manifest


def _refuse_occupied(folder: Path, what: str) -> None:
    if folder.exists() and any(folder.iterdir()):
        stop(f"{what} needs a new or empty folder, and there is something in {folder}.")


def _examined(path: Path) -> Examination:
    try:
        found = examine(path, thoroughly=True)
    except Damaged as damage:
        stop(f"The copy cannot be read: {damage}")
    if not found.is_whole:
        stop(f"The copy is damaged: {'; '.join(found.faults[:3]) or f'schema {found.schema}'}. Run nhipcau doctor.")
    return found


def _write_durably(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _sync(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
