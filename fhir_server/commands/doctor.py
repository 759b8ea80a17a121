"""`nhipcau doctor`: what could keep a node from running well, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated

import orjson
import typer
from pydantic import ValidationError
from rich.text import Text

from fhir_server.app import DATABASE, KEY_FILE
from fhir_server.auth.records import FILE as RECORDS_FILE
from fhir_server.commands.terminal import AnyStore, Data, StoreSingle, extensions_at, place_of, print_line
from fhir_server.maintenance import Finding
from fhir_server.resource.instant import instant
from fhir_server.settings import Settings
from fhir_server.site import BUILT
from fhir_server.store.mongodb import examination
from fhir_server.store.opening import MongoDatabase
from fhir_server.store.protocol import UnfitServer
from fhir_server.store.sqlite.upkeep import Damaged, Examination, examine, library_version

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 38, 0)
LEAST_FREE = 1_000_000_000
LARGEST_LOG = 1_000_000_000
FEWEST_MEMBERS = 3
FEWEST_FILES = 1024
OTHERS = stat.S_IRWXO
# SQLite's write-ahead log needs memory that processes share, which these do not give.
NETWORKED = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"})
NAME = re.compile(r"[A-Za-z0-9._-]+")
MARKS = {"good": ("✓", "green"), "warning": ("!", "yellow"), "bad": ("✗", "red")}


@dataclass(frozen=True, slots=True)
class Examined:
    """What is examined: the folder, the database in it or elsewhere, whether to look at every index."""

    data: Path
    database: Path
    thorough: bool = False
    mongodb: MongoDatabase | None = None


def doctor(
    data: Data = Path("nhipcau-data"),
    store: AnyStore = None,
    *,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Compare every index with its table; takes long on much data.")
    ] = False,
    store_single: StoreSingle = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for what could keep the server from running well; exit with 1 when something must be mended."""
    place = place_of(store, is_single=store_single)
    if isinstance(place, MongoDatabase):
        subject = Examined(data, data / DATABASE, thorough, place)
        checks = {name: check for name, check in CHECKS.items() if name not in OF_SQLITE} | {"store": check_mongodb}
    else:
        subject, checks = Examined(data, place or data / DATABASE, thorough), CHECKS
    found = [(name, finding) for name, check in checks.items() for finding in check(subject)]
    if not any(name == "settings" and finding.state == "bad" for name, finding in found):
        found += [finding for extension in extensions_at(data) for finding in extension.examined()]
    if as_json:
        print_line(Text(orjson.dumps([_as_json(*each) for each in found], option=orjson.OPT_INDENT_2).decode()))
    else:
        for name, finding in found:
            _tell(name, finding)
    raise typer.Exit(int(any(finding.state == "bad" for _, finding in found)))


def _as_json(name: str, finding: Finding) -> dict[str, str | None]:
    return {"check": name, "state": finding.state, "text": finding.text, "fix": finding.fix}


def _tell(name: str, finding: Finding) -> None:
    mark, colour = MARKS[finding.state]
    print_line(Text.assemble((mark, colour), f" {name}: {finding.text}"))
    if finding.fix:
        print_line(Text(f"    {finding.fix}", "bold"))


def check_python(subject: Examined) -> Iterator[Finding]:
    """Whether Python is new enough."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield Finding("bad", f"Python {version} is too old.", "Install Python 3.11 or newer, then run make setup.")
    else:
        yield Finding("good", f"Python {version}")


def check_packages(subject: Examined) -> Iterator[Finding]:
    """Whether everything that the server is made of is installed."""
    try:
        needed = [each for each in metadata.requires("nhipcau") or () if "extra ==" not in each]
    except metadata.PackageNotFoundError:
        yield Finding("bad", "The package nhipcau is not installed.", "Run make setup.")
        return
    names = [found[0] for each in needed if (found := NAME.match(each))]
    missing = [name for name in names if not _is_installed(name)]
    if missing:
        yield Finding("bad", f"Not installed: {', '.join(missing)}.", "Run make setup.")
    else:
        yield Finding("good", f"all {len(names)} are installed")


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def check_settings(subject: Examined) -> Iterator[Finding]:
    """Whether the environment holds only settings that exist, with values that they can have."""
    try:
        chosen = Settings()
    except ValidationError as failure:
        for fault in failure.errors():
            name = "_".join(["NHIPCAU", *map(str, fault["loc"])]).upper()
            yield Finding("bad", f"{name} cannot be {fault['input']!r}: {fault['msg']}", f"Correct or unset {name}.")
        return
    if chosen.validation == "off":
        fix = "Unset NHIPCAU_VALIDATION unless what is written is checked elsewhere."
        yield Finding("warning", "Writes are not validated.", fix)
    if not chosen.referential_integrity:
        fix = "Unset NHIPCAU_REFERENTIAL_INTEGRITY unless that is meant."
        yield Finding("warning", "References may lead nowhere.", fix)
    yield Finding("good", f"dates without a zone are of {chosen.time_zone}")


def check_limits(subject: Examined) -> Iterator[Finding]:
    """Whether enough files can be open at once: each connection is one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FEWEST_FILES:
        yield Finding("warning", f"Only {soft} files can be open at once.", "Raise it: ulimit -n 65536.")
    else:
        yield Finding("good", f"{soft} files can be open at once")


def check_folder(subject: Examined) -> Iterator[Finding]:
    """Whether the data folder is there, on a disk of this machine, and its own user's alone."""
    folder = subject.data
    if not folder.is_dir():
        yield Finding("warning", f"{folder} does not exist.", f"nhipcau serve --data {folder} makes it.")
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        fix = f"Run as its owner, or: chown -R $(id -un) {folder}"
        yield Finding("bad", f"{folder} cannot be written by this user.", fix)
        return
    kind = filesystem_of(folder)
    if kind in NETWORKED:
        yield Finding("bad", f"{folder} is on a network disk ({kind}).", "Keep the data on a disk of this machine.")
    yield Finding("good", f"{folder} ({kind or 'unknown file system'})")


def filesystem_of(folder: Path) -> str | None:
    """The type of the file system that a folder is on; None where that cannot be told."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return None
    resolved = str(folder.resolve())
    best, kind = "", None
    for line in mounts.read_text(errors="replace").splitlines():
        _, point, name, *_ = line.split()
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, name
    return kind


def check_permissions(subject: Examined) -> Iterator[Finding]:
    """Whether nobody else on the machine can read health data and keys, and this user can write them."""
    named = subject.database, subject.data / KEY_FILE, subject.data / RECORDS_FILE
    files = [file for file in named if file.exists()]
    if not files:
        return
    for file in files:
        if not os.access(file, os.R_OK | os.W_OK):
            yield Finding("bad", f"{file} cannot be written by this user.", f"chown $(id -un) {file}")
        shielded = subject.data.is_dir() and not subject.data.stat().st_mode & stat.S_IXOTH
        if file.stat().st_mode & OTHERS and not shielded:
            yield Finding("warning", f"{file} can be read by everybody on this machine.", f"chmod o-rwx {file}")
            return
    yield Finding("good", "the files are this user's")


def check_space(subject: Examined) -> Iterator[Finding]:
    """Whether the disk has room for growth."""
    place = next(each for each in (subject.data, *subject.data.resolve().parents) if each.exists())
    free = shutil.disk_usage(place).free
    size = subject.database.stat().st_size if subject.database.exists() else 0
    text = f"{free / 1e9:.1f} GB free, {size / 1e9:.2f} GB of data"
    if free < LEAST_FREE:
        yield Finding("bad", f"{text}.", "Free some space, or move the data to a larger disk.")
    elif free < size:
        yield Finding("warning", f"{text}: too little for a backup beside it.", "Back up to another disk.")
    else:
        yield Finding("good", text)


def check_store(subject: Examined) -> Iterator[Finding]:
    """Whether the database is whole, and of a schema that this release knows."""
    if not subject.database.exists():
        yield Finding("good", "there is no data yet")
        return
    try:
        found = examine(subject.database, thoroughly=subject.thorough)
    except Damaged as damage:
        yield Finding("bad", f"The database cannot be read: {damage}", RESTORE)
        return
    yield from _of_database(found)
    yield from _of_clock(found)


def _of_database(found: Examination) -> Iterator[Finding]:
    if found.faults:
        yield Finding("bad", f"The database is damaged: {'; '.join(found.faults[:3])}", RESTORE)
    if found.schema > found.known_schema:
        text = f"The database has schema {found.schema}, this release knows {found.known_schema}."
        yield Finding("bad", text, "Run the newer release that wrote it.")
    elif found.schema == 0:
        yield Finding("bad", "The file is not a database of this server.", "Name the right folder with --data.")
    elif found.schema < found.known_schema:
        text = f"The database has schema {found.schema}; starting the server brings it to {found.known_schema}."
        yield Finding("warning", text, "Make a backup first: nhipcau backup FOLDER.")
    if found.log_size > LARGEST_LOG:
        text = f"The log of the database has grown to {found.log_size / 1e9:.1f} GB."
        yield Finding("warning", text, "Look for a program that keeps the database open; stop it and the server once.")
    if found.is_whole:
        counts = f"{found.resources:,} resources, {found.versions:,} versions, {found.t:,} commits"
        looked = "whole" if found.looked_through else "not looked through for its size (--thorough does)"
        yield Finding("good", f"{looked}, schema {found.schema}: {counts}")


def _of_clock(found: Examination) -> Iterator[Finding]:
    if found.at > time.time() * 1000 + 1000:
        text = f"The clock says {instant(int(time.time() * 1000))}, and the last commit is of {instant(found.at)}."
        yield Finding("bad", text, "Set the clock of the machine, by NTP: timedatectl set-ntp true.")


def check_mongodb(subject: Examined) -> Iterator[Finding]:
    """Whether the database answers, keeps what it acknowledges, and is of a schema that this release knows."""
    assert subject.mongodb is not None
    try:
        found = asyncio.run(examination.examine(subject.mongodb.url, is_single=subject.mongodb.is_single))
    except examination.Unreachable as failure:
        yield Finding(
            "bad", f"{subject.mongodb} does not answer: {failure}", "Look at its log, and at user and network."
        )
        return
    except UnfitServer as failure:
        yield Finding("bad", str(failure))
        return
    server = found.server
    if server.kind == "single":
        fix = "Make it a replica set of three members (docs: Scale out with MongoDB)."
        yield Finding("warning", "The server is no replica set: its disk is all there is.", fix)
    elif server.kind == "replica set" and server.members < FEWEST_MEMBERS:
        yield Finding("warning", f"The replica set has {server.members} members.", "Three let one fail.")
    if found.schema > found.known_schema:
        text = f"The database has schema {found.schema}, this release knows {found.known_schema}."
        yield Finding("bad", text, "Run the newer release that wrote it.")
    if found.waiting:
        yield Finding(
            "warning", f"{found.waiting} entries of the log wait to be applied.", "A server does it when it runs."
        )
    if found.at > time.time() * 1000 + 1000:
        text = f"The clock says {instant(int(time.time() * 1000))}, and the last commit is of {instant(found.at)}."
        yield Finding("bad", text, "Set the clocks of all machines, by NTP: timedatectl set-ntp true.")
    how = "joins concisely" if server.is_concise else "joins step by step"
    counts = f"{found.versions:,} versions of {found.types} types, {found.t:,} commits"
    yield Finding("good", f"MongoDB {server.version}, {server.kind}, {how}: {counts}")


def check_clock(subject: Examined) -> Iterator[Finding]:
    """Whether the clock can be right: not before this code was written down."""
    written = Path(__file__).stat().st_mtime
    now = time.time()
    if now < written - 86_400:
        text = f"The clock says {instant(int(now * 1000))}, which is before this release was installed."
        yield Finding("bad", text, "Set the clock of the machine, by NTP: timedatectl set-ntp true.")
    else:
        yield Finding("good", instant(int(now * 1000)))


def check_app(subject: Examined) -> Iterator[Finding]:
    """Whether the app in the browser was built."""
    if (BUILT / "index.html").is_file():
        yield Finding("good", "built")
    else:
        yield Finding("warning", "The app was not built: / shows a page that says so.", "Run make setup with Node.js.")


def check_sqlite(subject: Examined) -> Iterator[Finding]:
    """Whether the database library is new enough."""
    version = library_version()
    if tuple(map(int, version.split("."))) < OLDEST_SQLITE:
        yield Finding("bad", f"SQLite {version} is too old.", "Run make setup.")
    else:
        yield Finding("good", f"SQLite {version}")


OF_SQLITE = frozenset({"sqlite", "store", "disk"})
RESTORE = "Stop the server, keep the folder, and restore the last backup: nhipcau restore FOLDER --data NEW."
CHECKS: dict[str, Callable[[Examined], Iterator[Finding]]] = {
    "python": check_python,
    "packages": check_packages,
    "sqlite": check_sqlite,
    "settings": check_settings,
    "app": check_app,
    "clock": check_clock,
    "limits": check_limits,
    "folder": check_folder,
    "permissions": check_permissions,
    "disk": check_space,
    "store": check_store,
}
