"""The official examples, parsed exactly and written back: the same bytes but for white space between tokens."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from fhir_server.resource.exact import dump_exact, parse_exact
from tests.conformance.result import Result

ARCHIVE = "data/fhir/hl7.fhir.r4.examples-4.0.1.tgz"
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[^\s"]+')


def examples(shared: Path) -> Iterator[tuple[str, bytes]]:
    """The name and bytes of every official example."""
    with tarfile.open(shared / ARCHIVE) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            name = member.name.rpartition("/")[2]
            stream = archive.extractfile(member)
            if stream is not None and name.endswith(".json") and name not in ("package.json", ".index.json"):
                yield name, stream.read()


def tokens(raw: bytes) -> bytes:
    """JSON text without the white space between its tokens."""
    return b"".join(TOKEN.findall(raw))


def run(shared: Path) -> list[Result]:
    """Whether each example comes back as it was."""
    results = []
    for name, raw in examples(shared):
        if "resourceType" not in json.loads(raw):
            continue
        written = dump_exact(parse_exact(raw))
        results.append(Result(name, tokens(written) == tokens(raw), "" if written else "nothing written"))
    return results
