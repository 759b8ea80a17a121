"""Centres from a table of text: what is wrong with each row, and the resources that the others are (RFC 4180).

Nothing here reads or writes: what is known already is given by its code.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from telesession import joining
from telesession.consultation import KIND_OF
from telesession.vocabulary import ACTIVITY, MODE, Json, concept, reference

FACILITY_CODE = "http://fhir.hl7.org.vn/core/sid/ma-cskcb"
COLUMNS = (
    "code",
    "name",
    "province",
    "above",
    "hub",
    "state",
    "activities",
    "modes",
    "room",
    "equipment",
    "phone",
    "email",
)
DEMANDED = ("code", "name", "province")
MODES = ("DIRECT_TO_PATIENT", "VIA_RECEIVING_FACILITY", "INTER_FACILITY_SUPPORT", "TELECONSULT_MDT")
PROVINCES = frozenset(
    "01 04 08 11 12 14 15 19 20 22 24 25 31 33 37 38 40 42 44 46 48 51 52 56 66 68 75 79 80 82 86 91 92 96".split()
)
"""The 34 provinces since 1 July 2025 (Decision 19/2025/QD-TTg)."""
CODE = re.compile(r"[0-9A-Z]{5}").fullmatch
FORMS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "code": (CODE, "no facility code: five digits or capital letters."),
    "province": (PROVINCES.__contains__, "none of the 34 provinces since July 2025, such as 01 or 79."),
    "email": (re.compile(r"[^@\s]+@[^@\s]+").fullmatch, "no address of e-mail."),
}
"""The form that a column has, and what is said of another."""
CODES: Mapping[str, Collection[str]] = {"activities": tuple(KIND_OF), "modes": MODES, "state": joining.STATES}
LONGEST = 200
HEADER = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row, counted as an editor counts lines, in which column, and what to do."""

    row: int
    column: str
    text: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: {self.text}"


@dataclass(frozen=True, slots=True)
class Row:
    """A centre as it stands in the table; columns that it lacks are empty."""

    number: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")

    def listed(self, column: str) -> tuple[str, ...]:
        """The values of a column that takes several, which semicolons or bars part."""
        return tuple(dict.fromkeys(filter(None, (each.strip() for each in re.split(r"[;|]", self[column])))))


def rows_of(text: str) -> tuple[list[Row], list[Fault]]:
    """The rows of a table with commas or tabs whose first line names the columns, and what is wrong with its form."""
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    separator = "\t" if lines and "\t" in lines[0] else ","
    reader = csv.reader(lines, delimiter=separator)
    names = [each.strip().lower() for each in next(reader, [])]
    faults = [Fault(HEADER, name, f"There must be a column {name}.") for name in DEMANDED if name not in names]
    faults += [
        Fault(HEADER, name or "(empty)", f"There is no such column. Columns: {', '.join(COLUMNS)}.")
        for name in names
        if name not in COLUMNS
    ]
    if faults:
        return [], faults
    rows = []
    try:
        for cells in reader:
            if len(cells) > len(names):
                faults.append(
                    Fault(reader.line_num, names[-1], f"There are {len(cells)} cells; quote those with commas.")
                )
            elif any(each.strip() for each in cells):
                rows.append(Row(reader.line_num, {k: v.strip() for k, v in zip(names, cells, strict=False)}))
    except csv.Error as error:
        faults.append(Fault(reader.line_num, names[0], f"The row cannot be read ({error}): mend its quotes."))
    return rows, faults


def faults_in(rows: Sequence[Row], known: Mapping[str, str]) -> Iterator[Fault]:
    """Yield what is wrong with rows; `known` are the ids of the facilities that are stored, by their codes."""
    first: dict[str, int] = {}
    there = {row["code"] for row in rows} | known.keys()
    for row in rows:
        for column, text in _wrong(row, there):
            yield Fault(row.number, column, text)
        if row["code"] in first:
            yield Fault(row.number, "code", f"{row['code']} is in row {first[row['code']]} already: keep one of them.")
        first.setdefault(row["code"], row.number)


def _wrong(row: Row, there: set[str]) -> Iterator[tuple[str, str]]:
    yield from _forms(row)
    yield from _links(row, there)
    for column, allowed in CODES.items():
        for each in row.listed(column):
            if each not in allowed:
                yield column, f"{each!r} is none of {', '.join(allowed)}."


def _forms(row: Row) -> Iterator[tuple[str, str]]:
    for column in DEMANDED:
        if not row[column]:
            yield column, "It is empty: fill it in."
    for column, value in row.values.items():
        holds, text = FORMS.get(column, (None, ""))
        if value and holds is not None and not holds(value):
            yield column, f"{value!r} is {text}"
        if len(value) > LONGEST and column != "equipment":
            yield column, f"It has {len(value)} characters: shorten it to {LONGEST}."


def _links(row: Row, there: set[str]) -> Iterator[tuple[str, str]]:
    for column in ("above", "hub"):
        if row[column] and row[column] not in there:
            yield column, f"There is no facility {row[column]}: add its row, or import it first."
        if row[column] and row[column] == row["code"]:
            yield column, "A facility is not its own: leave it empty."
    for column, other in (("state", "hub"), ("modes", "activities"), ("equipment", "room")):
        if row[column] and not row[other]:
            yield other, f"It is empty, but {column} is of it: fill it in."


def organization_id(code: str, known: Mapping[str, str]) -> str:
    """The id of a facility: the one that it has, or the one that it gets."""
    return known.get(code) or f"cskcb-{code.lower()}"


def resources_of(row: Row, known: Mapping[str, str], now: str) -> Iterator[Json]:
    """Yield the resources that a sound row is: the facility, its room, equipment and service, its place at the hub."""
    identity = organization_id(row["code"], known)
    facility = f"Organization/{identity}"
    yield _organization(row, identity, known)
    if row["room"]:
        yield from _room(row, identity)
    if row["activities"]:
        yield _service(row, identity)
    if row["hub"]:
        hub = f"Organization/{organization_id(row['hub'], known)}"
        state = row["state"] or "requested"
        step = next(each for each in joining.STEPS if each.target == state)
        yield joining.stepped(None, hub, facility, step, joining.Given(), now)


def _organization(row: Row, identity: str, known: Mapping[str, str]) -> Json:
    body: Json = {
        "resourceType": "Organization",
        "id": identity,
        "identifier": [{"system": FACILITY_CODE, "value": row["code"]}],
        "active": True,
        "name": row["name"],
        "address": [{"state": row["province"], "country": "VN"}],
    }
    telecom = [{"system": name, "value": row[name]} for name in ("phone", "email") if row[name]]
    if telecom:
        body["telecom"] = telecom
    if row["above"]:
        body["partOf"] = reference(f"Organization/{organization_id(row['above'], known)}")
    return body


def _room(row: Row, identity: str) -> Iterator[Json]:
    physical = "http://terminology.hl7.org/CodeSystem/location-physical-type"
    yield {
        "resourceType": "Location",
        "id": f"{identity}-room",
        "status": "active",
        "name": row["room"],
        "mode": "instance",
        "physicalType": concept(physical, "ro"),
        "managingOrganization": reference(f"Organization/{identity}"),
    }
    for each in row.listed("equipment"):
        yield {
            "resourceType": "Device",
            "id": f"{identity}-{sha256(each.encode()).hexdigest()[:12]}",
            "status": "active",
            "type": {"text": each},
            "owner": reference(f"Organization/{identity}"),
            "location": reference(f"Location/{identity}-room"),
        }


def _service(row: Row, identity: str) -> Json:
    body: Json = {
        "resourceType": "HealthcareService",
        "id": f"{identity}-tele",
        "active": True,
        "providedBy": reference(f"Organization/{identity}"),
        "name": "Khám bệnh, chữa bệnh từ xa",
        "type": [concept(ACTIVITY, each) for each in row.listed("activities")],
        "characteristic": [concept(MODE, each) for each in row.listed("modes") or ("INTER_FACILITY_SUPPORT",)],
    }
    if row["room"]:
        body["location"] = [reference(f"Location/{identity}-room")]
    return body
