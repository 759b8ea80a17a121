"""`nhipcau backup` and `nhipcau restore`: a checked copy of a node's data, made while it runs, and the way back."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from fhir_server.app import DATABASE, KEY_FILE
from fhir_server.auth.records import FILE as RECORDS_FILE
from fhir_server.auth.records import copy_kept, records_at
from fhir_server.commands.terminal import AnyStore, Data, StoreSingle, made, print_line, stop, stored_in
from fhir_server.resource.instant import instant
from fhir_server.store.opening import Place, opened
from fhir_server.store.sqlite.upkeep import Damaged, Examination, examine

MANIFEST = "backup.json"
FORM = 1
"""The form of the manifest."""


def back_up(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="A new or empty folder.")],
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    *,
    store_single: StoreSingle = False,
) -> None:
    """Copy the data into a folder while the server runs, check the copy, and write its checksums."""
    place = stored_in(store, data, is_single=store_single)
    _refuse_occupied(folder, "A backup")
    target = made(folder)
    target.chmod(0o700)
    commit = asyncio.run(_copied(place, target / DATABASE))
    found = _examined(target / DATABASE)
    if (data / KEY_FILE).exists():
        shutil.copy2(data / KEY_FILE, target / KEY_FILE)
    _copy_records(data, place, target)
    names = (DATABASE, KEY_FILE, RECORDS_FILE)
    files = {name: digest(target / name) for name in names if (target / name).exists()}
    manifest = {"form": FORM, "madeAt": instant(int(time.time() * 1000)), "commit": commit, "schema": found.schema}
    manifest |= {"resources": found.resources, "versions": found.versions, "files": files}
    _write_durably(target / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    print_line(Text(f"resources: {found.resources}, versions: {found.versions}, commit: {commit}", "green"))
    print_line(Text(f"The copy in {target} was checked. Restore it with: nhipcau restore {target} --data DIR"))


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
        if Path(name).name != name or not (folder / name).is_file():
            stop(f"The backup is not complete: {name} is missing.")
        if digest(folder / name) != wanted:
            stop(f"The backup is damaged: {name} is not what was written. Take an older one.")
    target = made(data)
    for name in manifest["files"]:
        part = target / f"{name}.part"
        shutil.copy2(folder / name, part)
        _sync(part)
        part.rename(target / name)
    found = _examined(target / DATABASE)
    _sync(target)
    print_line(Text(f"resources: {found.resources}, versions: {found.versions}, commit: {found.t}", "green"))
    print_line(Text(f"Restored into {target}. Start it with: nhipcau serve --data {target}"))


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
    if not isinstance(manifest, dict) or manifest.get("form") != FORM or DATABASE not in manifest.get("files", {}):
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


def digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_durably(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for each in (*path.parent.iterdir(), path.parent):
        _sync(each)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
