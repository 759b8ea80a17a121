"""The official examples against the reference validator: has the instance an error, and would a write be refused.

The oracle lists for each example its errors as `code|expression|message id`; README of the shared data says how it was
made. Two examples crash the reference and are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fhir_server.definitions.registry import r4
from fhir_server.errors import Issue
from fhir_server.resource.parsing import parse
from fhir_server.validation.validator import Validator
from tests.conformance.examples_round_trip import examples
from tests.conformance.result import Result

ORACLE = "conformance/validator-r4/examples-oracle.tsv"
CRASHED = "-"
MORE = "..."
COMMENT = re.compile(r"/\*.*?\*/|\[url='[^']*'\]")

# Errors that a write lets pass, by message id, and why: they are beyond what R4's definitions forbid, or R4 leaves
# them to the reader. At full depth, and beside a write that asks for an OperationOutcome, they are told.
ACCEPTED_AT_WRITE: Mapping[str, str] = {
    "TYPE_SPECIFIC_CHECKS_CANONICAL_ABSOLUTE": "R4's expression for canonical allows a relative one",
    "TYPE_SPECIFIC_CHECKS_DT_CANONICAL_TYPE": "a canonical to a known definition of another type",
    "TYPE_SPECIFIC_CHECKS_DT_URL_INTERNAL": "a canonical #id that nothing answers to; the rule is about references",
    "Type_Specific_Checks_DT_UUID_Valid": "a uri that starts like a UUID; R4's expression for uri allows it",
    "Type_Specific_Checks_DT_OID_Valid": "a uri that starts like an OID; R4's expression for uri allows it",
    "Type_Specific_Checks_DT_Code_WS": "a no-break space in a code; R4's expression for code allows it",
    "TYPE_SPECIFIC_CHECKS_DT_IDENTIFIER_IETF_SYSTEM_VALUE": "the identifier's system promises another kind of value",
    "TYPE_SPECIFIC_CHECKS_DT_ATT_B64_DECODE_FAIL": "white space in base64; R4's expression allows it",
    "TYPE_SPECIFIC_CHECKS_DT_ATT_HASH_MISMATCH": "the hash is not that of the data",
    "Unknown_Code_in_Version": "a code that its code system lacks, under a binding that is not required",
    "Unknown_Code_in": "a code that is no URI in the system of URIs, under a binding that is not required",
    "Validation_VAL_Profile_Minimum": "a vital-signs profile that a LOINC code implies",
    "BUNDLE_ENTRY_URL_MATCHES_TYPE_ID": "a fullUrl that looks like another resource's",
    "BUNDLE_BUNDLE_ENTRY_FULLURL_REQUIRED": "an entry without fullUrl",
    "BUNDLE_BUNDLE_ENTRY_NOTFOUND_APPARENT": "a reference in a document to an entry with another fullUrl",
    "BUNDLE_BUNDLE_ENTRY_NOTFOUND_CANNOT": "a reference in a document to an entry with another fullUrl",
    "launches straight into slicing": "a snapshot with slices of an element that is not sliced",
}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the reference says of one example."""

    name: str
    errors: Sequence[str]
    is_whole: bool


def oracle(shared: Path) -> Iterator[Opinion]:
    """The opinions of the reference, of those examples that it could read."""
    header, *rows = (shared / ORACLE).read_text().splitlines()
    columns = header.split("\t")
    for line in rows:
        row = dict(zip(columns, [*line.split("\t"), "", ""], strict=False))
        if row["errors"] != CRASHED:
            found = [e for e in row["error_list"].split(" ; ") if e]
            errors = [e for e in found if e != MORE]
            if bool(errors) != (row["errors"] != "0"):
                raise ValueError(f"{row['file']}: the list and the number of errors differ")
            yield Opinion(row["file"], errors, MORE not in found)


@dataclass(frozen=True, slots=True)
class Survey:
    """The outcome of all examples: agreement, errors seen at the same place of all, kinds of error a write takes."""

    results: Sequence[Result]
    same_place: int
    errors: int
    accepted: Mapping[str, Sequence[str]]


def survey(shared: Path) -> Survey:
    """Judge every example at both depths and compare."""
    raw, full, write = dict(examples(shared)), Validator(r4(), depth="full"), Validator(r4())
    results, accepted, same, errors = [], {}, 0, 0
    for opinion in oracle(shared):
        body = parse(raw[opinion.name])
        ours = [i for i in full.validate(body).issues if i.is_error]
        refused = [i for i in write.validate(body).issues if i.is_error]
        results.append(compared(opinion, ours, refused))
        if opinion.errors and not refused:
            accepted[opinion.name] = sorted({message_id(error) for error in opinion.errors})
        if opinion.is_whole:
            errors += len(opinion.errors)
            same += seen(opinion, Counter(e for issue in ours for e in issue.expression))
    return Survey(results, same, errors, accepted)


def compared(opinion: Opinion, ours: Sequence[Issue], refused: Sequence[Issue]) -> Result:
    """Whether we agree on an example: on an error at full depth, on none at write depth."""
    note = ""
    if bool(ours) != bool(opinion.errors):
        note = f"only we say: {ours[0].expression} {ours[0].text}" if ours else f"we miss: {opinion.errors[0]}"
    elif refused and not opinion.errors:
        note = f"a write would be refused: {refused[0].expression} {refused[0].text}"
    return Result(opinion.name, not note, note)


def message_id(error: str) -> str:
    """The last part of an error of the oracle, by which its kind is known."""
    last = error.rsplit("|", maxsplit=1)[-1]
    return next((name for name in ACCEPTED_AT_WRITE if name in last), last)


def seen(opinion: Opinion, places: Counter[str]) -> int:
    """How many of the reference's errors are among ours, at the same place or at the member that is wrong."""
    wanted = Counter(COMMENT.sub("", error.split("|")[1]) for error in opinion.errors)
    return sum(min(count, near(places, place)) for place, count in wanted.items())


def near(places: Counter[str], wanted: str) -> int:
    """How many errors are at a place, or at a member of it."""
    return sum(count for place, count in places.items() if place == wanted or place.startswith(f"{wanted}."))


def run(shared: Path) -> list[Result]:
    """Whether we agree on each example."""
    found = survey(shared)
    print(f"examples-oracle-errors-at-the-same-place: {found.same_place}/{found.errors}")
    return list(found.results)
