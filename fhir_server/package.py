"""FHIR packages: the conformance resources in a `.tgz`, a folder, a guide's zip or a single file, as JSON or XML.

FHIR NPM package specification; FHIR R4, 5.3.2 for the snapshots that a package leaves out.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from fhir_server.definitions.registry import Definitions
from fhir_server.definitions.snapshot import SnapshotFault
from fhir_server.definitions.structure import TYPE_URL
from fhir_server.errors import FhirError, Invalid, Issue, Severity, TooLarge
from fhir_server.xml_format import read_xml

SUFFIXES = (".json", ".xml")
SKIPPED_FOLDERS = frozenset({"example", "examples", "openapi", "other", "tests"})
INNER_PACKAGE = "package.tgz"
GROUP = "fhir_server.packages"
"""The entry points that name folders of definitions which every server has, each as module:folder."""
BROKEN = (KeyError, TypeError, ValueError, AttributeError, RecursionError)
BROKEN_ARCHIVE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True)
class PackageLimits:
    """How much a package may hold, in bytes once unpacked, so that a hostile one costs no more than a large one."""

    files: int = 50_000
    file_bytes: int = 64 * 2**20
    total_bytes: int = 1024 * 2**20


STANDARD_LIMITS = PackageLimits()


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One file of a package: its bare name, for messages only, and its bytes."""

    name: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a package added: how many resources of each kind, and what was wrong with which file."""

    name: str
    version: str | None
    counts: Mapping[str, int]
    canonicals: tuple[str, ...]
    issues: tuple[Issue, ...]


def read_package(path: Path, limits: PackageLimits = STANDARD_LIMITS) -> Iterator[dict[str, Any]]:
    """The JSON resources of a package, sorted by file name; Invalid when the archive cannot be read."""
    for file in sorted(package_files(path, limits), key=lambda file: file.name):
        body = orjson.loads(file.raw) if file.name.endswith(".json") else None
        if isinstance(body, dict) and "resourceType" in body:
            yield body


def load_package(definitions: Definitions, path: Path, limits: PackageLimits = STANDARD_LIMITS) -> Loaded:
    """Add all conformance resources of a package to the definitions, and make the snapshots that it lacks.

    A fault in one resource becomes an issue that names its file, and takes nothing away from the others. Raise Invalid
    when the archive itself cannot be read, TooLarge when it passes the limits.
    """
    loading = Loading(definitions)
    for file in sorted(package_files(path, limits), key=lambda file: (file.name.endswith(".xml"), file.name)):
        loading.take(file)
    loading.complete()
    return loading.loaded(path.name)


def installed_packages() -> tuple[Path, ...]:
    """The folders of definitions that are installed beside the server, in the order of their names."""
    found = sorted(entry_points(group=GROUP), key=lambda each: each.name)
    return tuple(Path(str(files(each.module))) / each.attr for each in found)


def add_installed(definitions: Definitions) -> Definitions:
    """Add what is installed beside the server; snapshots are made when they are first asked for."""
    for folder in installed_packages():
        for body in read_package(folder):
            definitions.add(body)
    return definitions


def package_files(path: Path, limits: PackageLimits = STANDARD_LIMITS) -> Iterator[PackageFile]:
    """The JSON and XML files of a package; names decide nothing but the format, and links lead nowhere."""
    budget = Budget(limits)
    if path.is_dir():
        yield from folder_files(path, budget)
    elif path.suffix in SUFFIXES:
        budget.spend(path.stat().st_size)
        yield PackageFile(path.name, path.read_bytes())
    else:
        with path.open("rb") as stream:
            yield from archive_files(stream, path.name, budget)


class Budget:
    """What is left of the limits while a package is read."""

    def __init__(self, limits: PackageLimits) -> None:
        self.file_bytes = limits.file_bytes
        self._files = limits.files
        self._bytes = limits.total_bytes

    def spend(self, size: int) -> None:
        """Take one file of this size; TooLarge when it does not fit."""
        if size > self.file_bytes:
            raise TooLarge(f"A file of the package has {size} bytes; at most {self.file_bytes} are read")
        self._files -= 1
        if self._files < 0:
            raise TooLarge("The package has too many files")
        self.unpack(size)

    def unpack(self, size: int) -> None:
        """Count bytes that come out of the archive, whether they are kept or not."""
        self._bytes -= size
        if self._bytes < 0:
            raise TooLarge("The package is too large once unpacked")


def folder_files(folder: Path, budget: Budget) -> Iterator[PackageFile]:
    """The files of a folder and those below it."""
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if name.lower() not in SKIPPED_FOLDERS)
        for name in sorted(names):
            file = Path(place, name)
            if name.endswith(SUFFIXES) and file.is_file() and not file.is_symlink():
                budget.spend(file.stat().st_size)
                yield PackageFile(name, file.read_bytes())


def archive_files(stream: BinaryIO, name: str, budget: Budget) -> Iterator[PackageFile]:
    """The files of a zip or of a tar archive, packed or not, told apart by their first bytes."""
    start = stream.read(4)
    stream.seek(0)
    try:
        if start.startswith(b"PK"):
            yield from zip_files(stream, budget)
        else:
            unpacked = gzip.GzipFile(fileobj=stream) if start.startswith(b"\x1f\x8b") else stream
            yield from tar_files(unpacked, budget)
    except BROKEN_ARCHIVE as error:
        raise Invalid(f"{name} is not a package that can be read: {error}") from None


class Metered(io.RawIOBase):
    """A stream that charges every byte read to the budget, so that nothing unpacks without end."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, budget: Budget) -> None:
        super().__init__()
        self._stream = stream
        self._budget = budget

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the stream."""
        data = self._stream.read(size)
        self._budget.unpack(len(data))
        return data


def tar_files(stream: BinaryIO | gzip.GzipFile, budget: Budget) -> Iterator[PackageFile]:
    """The regular JSON and XML files of a tar archive, read in one pass."""
    with tarfile.open(fileobj=Metered(stream, budget), mode="r|") as archive:
        for member in archive:
            folders, _, name = member.name.rpartition("/")
            content = archive.extractfile(member) if member.isreg() and wanted(folders, name) else None
            if content is not None:
                budget.spend(member.size)
                yield PackageFile(name, content.read())


def zip_files(stream: BinaryIO, budget: Budget) -> Iterator[PackageFile]:
    """The JSON and XML files of a zip; a guide's zip that holds the guide's package stands for that package."""
    with zipfile.ZipFile(stream) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        inner = next((e for e in entries if e.filename.rpartition("/")[2] == INNER_PACKAGE), None)
        if inner is not None:
            budget.spend(inner.file_size)
            yield from tar_files(gzip.GzipFile(fileobj=io.BytesIO(archive.read(inner))), budget)
            return
        for entry in entries:
            folders, _, name = entry.filename.rpartition("/")
            if wanted(folders, name):
                budget.spend(entry.file_size)
                yield PackageFile(name, archive.read(entry))


def wanted(folders: str, name: str) -> bool:
    """True for a file that may hold a conformance resource."""
    return name.endswith(SUFFIXES) and SKIPPED_FOLDERS.isdisjoint(folders.lower().split("/"))


class Loading:
    """One package on its way into the definitions."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._issues: list[Issue] = []
        self._counts: Counter[str] = Counter()
        self._sources: dict[tuple[str, str, str | None], str] = {}
        self._structures: list[tuple[str, str]] = []
        self._manifest: Mapping[str, Any] = {}

    def take(self, file: PackageFile) -> None:
        """Add what a file holds: a resource, a bundle of them, or the package's manifest."""
        body = self._read(file)
        if body is None:
            return
        if file.name == "package.json" and "resourceType" not in body:
            self._manifest = body
        elif body.get("resourceType") == "Bundle":
            entries = body.get("entry", ())
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
                    self._add(file, entry["resource"])
        else:
            self._add(file, body)

    def _read(self, file: PackageFile) -> dict[str, Any] | None:
        try:
            if file.name.endswith(".json"):
                body = orjson.loads(file.raw)
                return body if isinstance(body, dict) else None
            if b"http://hl7.org/fhir" not in file.raw[:4096]:
                return None
            body, issues = read_xml(file.raw, self._definitions)
        except (FhirError, ValueError, RecursionError) as error:
            self._report("error", "structure", file.name, f"cannot be read: {error}")
            return None
        self._pass_on((replace(issue, severity="warning") for issue in issues), file.name)
        return body

    def _add(self, file: PackageFile, resource: dict[str, Any]) -> None:
        kind, url, version = resource.get("resourceType"), resource.get("url"), resource.get("version")
        if not isinstance(kind, str) or not isinstance(url, str):
            return
        if self._is_core_type(kind, url):
            self._report("warning", "business-rule", file.name, f"{url} is a type of FHIR R4 itself and stays as it is")
            return
        earlier = self._sources.get((kind, url, version))
        if earlier is not None:
            if earlier.rpartition(".")[0] != file.name.rpartition(".")[0]:
                self._report("warning", "duplicate", file.name, f"{url} was already in {earlier}, which stays")
            return
        try:
            kept = self._definitions.add(resource)
        except BROKEN as error:
            self._report("error", "structure", file.name, f"the {kind} {url} cannot be used: {described(error)}")
            return
        if kept:
            self._sources[kind, url, version] = file.name
            self._counts[kind] += 1
            if kind == "StructureDefinition":
                self._structures.append((file.name, f"{url}|{version}" if version else url))

    def _is_core_type(self, kind: str, url: str) -> bool:
        return kind == "StructureDefinition" and url.startswith(TYPE_URL) and self._definitions.is_core(url)

    def complete(self) -> None:
        """Make the snapshots that the package left out."""
        for file_name, canonical in self._structures:
            structure = self._definitions.stated_structure(canonical)
            if structure is None or structure.elements:
                continue
            try:
                self._pass_on(self._definitions.snapshots.make(structure).issues, file_name)
            except SnapshotFault as error:
                self._pass_on(error.issues, file_name)

    def _report(self, severity: Severity, code: str, file_name: str, text: str) -> None:
        self._issues.append(Issue(severity, code, f"{file_name}: {text}"))

    def _pass_on(self, issues: Iterable[Issue], file_name: str) -> None:
        self._issues.extend(replace(issue, text=f"{file_name}: {issue.text}") for issue in issues)

    def loaded(self, name: str) -> Loaded:
        """What was added, under the name that the package gives itself."""
        canonicals = (f"{url}|{version}" if version else url for _, url, version in self._sources)
        return Loaded(
            name=str(self._manifest.get("name", name)),
            version=self._manifest.get("version"),
            counts=dict(sorted(self._counts.items())),
            canonicals=tuple(canonicals),
            issues=tuple(self._issues),
        )


def described(error: Exception) -> str:
    """What a reader stumbled over, in words."""
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error) or type(error).__name__
