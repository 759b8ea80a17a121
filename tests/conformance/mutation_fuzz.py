"""Damaged resources: whatever is sent, the answer is a resource or a list of issues, never another failure.

A body that is read is validated at both depths; what write depth lets pass is indexed; and all of it is written back.
"""

from __future__ import annotations

import random
import tarfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson

from fhir_server.definitions.registry import r4
from fhir_server.errors import FhirError, operation_outcome
from fhir_server.resource.exact import dump_exact, parse_exact
from fhir_server.resource.parsing import parse, repeated_members
from fhir_server.resource.splicing import splice, stamp
from fhir_server.search.index import Indexer
from fhir_server.validation.depth import Depth
from fhir_server.validation.validator import Validator
from fhir_server.xml_format import read_xml, write_xml
from tests.conformance.examples_round_trip import examples
from tests.conformance.result import Result
from tests.properties.mutation import damaged, damaged_bytes

PROCESSES = 2
LARGEST = 20_000
SECONDS = 5.0
XML_SHARE = 0.1


def run(shared: Path, count: int = 100_000) -> list[Result]:
    """Whether each of so many damaged bodies, one for each seed, was read or refused as it should be."""
    with ProcessPoolExecutor(PROCESSES) as pool:
        faults = pool.map(partial(fault, shared), range(count), chunksize=500)
        return [Result(f"seed {seed}", not text, text) for seed, text in enumerate(faults)]


def fault(shared: Path, seed: int) -> str:
    """What went wrong with the body of this seed; nothing where all is well."""
    rng = random.Random(seed)
    base, donor = rng.choice(corpus(shared)), rng.choice(corpus(shared))
    started = time.process_time()
    try:
        if rng.random() < XML_SHARE:
            _judge_xml(damaged_bytes(rng, write_xml(parse_exact(base), r4()), donor))
        else:
            _judge(damaged(rng, base, donor))
    except Exception as error:  # noqa: BLE001 - any kind of failure is what is looked for
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {error}"
    return "" if time.process_time() - started < SECONDS else f"took more than {SECONDS} s"


@cache
def corpus(shared: Path) -> list[bytes]:
    """Official examples and synthetic resources, without the very large, in one order everywhere."""
    return [raw for raw in _all_resources(shared) if len(raw) <= LARGEST]


def _all_resources(shared: Path) -> Iterator[bytes]:
    yield from (raw for _, raw in examples(shared))
    for file in sorted((shared / "data" / "synthea").glob("*.ndjson")):
        yield from file.read_bytes().splitlines()[:100]
    with tarfile.open(shared / "data" / "synthea" / "transaction-bundles.tgz") as archive:
        for member in sorted(archive.getmembers(), key=lambda each: each.name):
            stream = archive.extractfile(member) if member.name.endswith(".json") else None
            if stream is not None:
                yield from (orjson.dumps(entry["resource"]) for entry in orjson.loads(stream.read())["entry"][:100])


@cache
def _validator(depth: Depth) -> Validator:
    return Validator(r4(), depth=depth)


@cache
def _indexer() -> Indexer:
    return Indexer(r4())


def _judge(raw: bytes) -> None:
    try:
        body = parse(raw)
    except FhirError as refusal:
        _check_issues(refusal.issues)
        return
    repeated = repeated_members(raw, body)
    is_valid = _is_valid(body)
    if not repeated:
        _check_writing(raw, is_valid=is_valid)


def _is_valid(body: dict[str, Any]) -> bool:
    verdict = _validator("write").validate(body)
    _check_issues(verdict.issues)
    _check_issues(_validator("full").validate(body).issues)
    if verdict.is_valid:
        _indexer().rows(body)
    return verdict.is_valid


def _check_issues(issues: object) -> None:
    assert isinstance(issues, list | tuple)
    assert all(issue.text for issue in issues)
    orjson.dumps(operation_outcome(issues))


def _check_writing(raw: bytes, *, is_valid: bool) -> None:
    try:
        body = parse_exact(raw)
    except FhirError as refusal:
        _check_issues(refusal.issues)
        return
    assert parse_exact(dump_exact(body)) == body
    meta = b'{"versionId":"1"}'
    assert parse_exact(splice(raw, body, "a", meta)) == body | {"id": "a", "meta": {"versionId": "1"}}
    try:
        assert parse(stamp(raw, body, "a", "1", "now"))["id"] == "a"
        text = write_xml(body, r4())
    except FhirError as refusal:
        _check_issues(refusal.issues)
        return
    back, issues = read_xml(text, r4())
    assert not issues
    assert back == body or not is_valid


def _judge_xml(raw: bytes) -> None:
    try:
        body, issues = read_xml(raw, r4())
    except FhirError as refusal:
        _check_issues(refusal.issues)
        return
    _check_issues(issues)
    _is_valid(body)
