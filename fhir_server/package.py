"""FHIR packages: the conformance resources in a `.tgz` or a folder (FHIR NPM packages, JSON or XML)."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson


def read_package(path: Path) -> Iterator[dict[str, Any]]:
    """The resources of a package, sorted by file name."""
    for _name, raw in sorted(package_files(path)):
        body = orjson.loads(raw)
        if isinstance(body, dict) and "resourceType" in body:
            yield body


def package_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """The names and bytes of the JSON files of a package."""
    if path.is_dir():
        for file in path.rglob("*.json"):
            yield file.name, file.read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith(".json") else None
            if stream is not None:
                yield member.name.rpartition("/")[2], stream.read()
