"""Whose images these are: a ladder that never guesses (order, then number, then national number; each confirmed).

Nothing is read here: `Candidates` are those that were found. What is on no step is for a person to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dicom_bridge.dicom_value import Json, clean, items_of, text_of, values_of
from dicom_bridge.study_note import Problem
from fhir_server.search.folding import fold

SEXES: Mapping[str, str] = {"M": "male", "F": "female", "O": "other"}
NATIONAL = re.compile(r"\d{12}|\d{10}|[A-Z]{2}\d{13}").fullmatch
"""A citizen's number, a number of social insurance, the older card of health insurance."""

NATIONAL_SYSTEMS = frozenset(
    "bhxh bhyt cccd citizen_id cmnd insurance_number national_id".split()  # of both Vietnamese core guides
)
"""The last steps of the systems of national numbers; a patient's other numbers are a facility's own."""

NATIONAL_TYPES = frozenset({"NI", "SB", "CCCD", "CMND", "BHYT", "BHXH"})
CONFIRMING = ("name", "birthDate", "gender")


@dataclass(frozen=True, slots=True)
class Header:
    """What images say of whose they are. `names` are the ways that the name is written, folded, words in order."""

    patient_id: str = ""
    issuer: str = ""
    names: frozenset[tuple[str, ...]] = frozenset()
    said: str = ""
    birth_date: str = ""
    sex: str = ""
    others: tuple[str, ...] = ()
    accession: str = ""
    orders: tuple[str, ...] = ()

    @property
    def national(self) -> tuple[str, ...]:
        """The numbers that may be national ones."""
        return tuple(dict.fromkeys(each for each in (self.patient_id, *self.others) if NATIONAL(each)))


class Difference(NamedTuple):
    """What images and a record say differently."""

    what: str
    image: str
    record: str


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order that has a number of the images, or an announcement of the study, and its patient.

    `order` and `encounter` are relative references, empty where there is none.
    """

    patient: Json
    order: str = ""
    encounter: str = ""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Patients by the steps of the ladder, all of one facility."""

    ordered: Sequence[Ordered] = ()
    numbered: Sequence[Json] = ()
    national: Sequence[Json] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """Whose the images are, by which orders."""

    patient: str
    orders: tuple[str, ...] = ()
    encounter: str = ""

    @classmethod
    def by_orders(cls, patient: str, ordered: Sequence[Ordered]) -> Match:
        """A patient with what was ordered for them."""
        encounter = next((each.encounter for each in ordered if each.encounter), "")
        return cls(patient, tuple(dict.fromkeys(each.order for each in ordered if each.order)), encounter)


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Why it is for a person to decide, with who it may be."""

    problem: Problem
    why: str
    differences: tuple[Difference, ...] = ()
    patients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where images and a record agree, and where they do not; what one of them leaves out is neither."""

    agreed: frozenset[str] = frozenset()
    differing: tuple[Difference, ...] = field(default=())

    @property
    def is_confirmed(self) -> bool:
        """Whether an order's patient is the one: nothing differs, and the name is not all that agrees."""
        return not self.differing and "name" in self.agreed and len(self.agreed) > 1

    @property
    def is_certain(self) -> bool:
        """Whether a number's patient is the one: name, year of birth and sex agree."""
        return not self.differing and self.agreed.issuperset(CONFIRMING)


def header_of(data_set: Json) -> Header:
    """Return what a data set says of whose it is."""
    others = [text_of(item, "00100020") for item in items_of(data_set, "00101002")]
    requests = items_of(data_set, "00400275")
    placed = [text_of(item, tag) for item in (data_set, *requests) for tag in ("00080050", "00402016", "00401001")]
    names = list(written(data_set))
    return Header(
        patient_id=text_of(data_set, "00100020"),
        issuer=text_of(data_set, "00100021"),
        names=frozenset(filter(None, map(words, names))),
        said=next((name.replace("^", " ").strip() for name in names), ""),
        birth_date=text_of(data_set, "00100030").replace(".", ""),
        sex=SEXES.get(text_of(data_set, "00100040"), ""),
        others=tuple(each for each in (*others, *map(clean, values_of(data_set, "00101000"))) if each),
        accession=text_of(data_set, "00080050"),
        orders=tuple(dict.fromkeys(each for each in placed if each)),
    )


def written(data_set: Json) -> Iterator[str]:
    """Yield the ways that the patient's name is written."""
    for value in values_of(data_set, "00100010"):
        if isinstance(value, Mapping):
            yield from (name for group in value.values() if (name := clean(group)))


def words(name: str) -> tuple[str, ...]:
    """Return the words of a name as they are compared: without accents and case, in the order of letters."""
    return tuple(sorted(fold(re.sub("[=^]", " ", name)).split()))


def has_two_people(headers: Sequence[Header]) -> bool:
    """Whether headers say of more than one person, as far as each says anything."""
    said = ((each.patient_id, each.issuer, each.birth_date[:4], each.sex) for each in headers)
    if any(len({*values} - {""}) > 1 for values in zip(*said, strict=True)):
        return True
    named = [each.names for each in headers if each.names]
    return any(named[0].isdisjoint(each) for each in named[1:])


def compared(header: Header, patient: Json) -> Comparison:
    """Return where a header and a Patient agree."""
    agreed: set[str] = set()
    differing: list[Difference] = []

    def enter(what: str, image: str, record: str, *, same: bool) -> None:
        if image and record:
            if same:
                agreed.add(what)
            else:
                differing.append(Difference(what, image, record))

    names = list(names_of(patient))
    known = {words(name) for name in names}
    enter("name", header.said, next(iter(names), ""), same=not header.names.isdisjoint(known))
    born = str(patient.get("birthDate", ""))
    enter("birthDate", header.birth_date, born, same=header.birth_date[:4] == born[:4])
    gender = str(patient.get("gender", "")).replace("unknown", "")
    enter("gender", header.sex, gender, same=header.sex == gender)
    if header.patient_id in {str(each.get("value")) for each in identifiers_of(patient)}:
        agreed.add("identifier")
    return Comparison(frozenset(agreed), tuple(differing))


def names_of(patient: Json) -> Iterator[str]:
    """Yield the names of a Patient."""
    for name in patient.get("name", ()):
        if name.get("text"):
            yield str(name["text"])
        if parts := [str(name.get("family", "")), *map(str, name.get("given", ()))]:
            yield " ".join(part for part in parts if part)


def identifiers_of(patient: Json) -> list[dict[str, Any]]:
    """Return the identifiers of a resource."""
    return [each for each in patient.get("identifier", ()) if isinstance(each, dict)]


def is_national(identifier: Json) -> bool:
    """Whether an identifier is a number that the nation gives."""
    codes = {each.get("code") for each in identifier.get("type", {}).get("coding", ())}
    step = re.split("[/:]", str(identifier.get("system", "")))[-1]
    return step in NATIONAL_SYSTEMS or not codes.isdisjoint(NATIONAL_TYPES)


def match(header: Header, candidates: Candidates) -> Match | NoMatch:
    """Return whose the images are; a NoMatch where that is for a person to decide."""
    ordered = by_order(header, candidates.ordered)
    if isinstance(ordered, Match) or (isinstance(ordered, NoMatch) and ordered.problem == "wrong-person"):
        return ordered
    named = {str(each.patient["id"]) for each in candidates.ordered}
    for patients in (candidates.numbered, candidates.national):
        certain = {str(each["id"]): each for each in patients if compared(header, each).is_certain}
        if len(certain) == 1 and named in (set(), set(certain)):
            (identity,) = certain
            return Match.by_orders(identity, candidates.ordered)
        if certain:
            why = "More than one patient may be meant."
            return NoMatch("unmatched", why, patients=tuple(sorted({*certain, *named})))
    return ordered or nobody(header, (*candidates.numbered, *candidates.national))


def by_order(header: Header, ordered: Sequence[Ordered]) -> Match | NoMatch | None:
    """Return what the orders say; None where there are none."""
    if not ordered:
        return None
    found = {str(each.patient["id"]): compared(header, each.patient) for each in ordered}
    confirmed = [identity for identity, comparison in found.items() if comparison.is_confirmed]
    if len(confirmed) == 1:
        theirs = [each for each in ordered if each.patient["id"] == confirmed[0]]
        return Match.by_orders(confirmed[0], theirs)
    if len(found) == 1 and not confirmed:
        ((identity, comparison),) = found.items()
        if comparison.differing:
            why = "The order with the number of these images is another person's."
            return NoMatch("wrong-person", why, comparison.differing, (identity,))
        why = "The images say too little to confirm that they are of the order's patient."
        return NoMatch("unmatched", why, patients=(identity,))
    why = "Orders of several patients have the number of these images."
    return NoMatch("unmatched", why, patients=tuple(sorted(found)))


def nobody(header: Header, patients: Sequence[Json]) -> NoMatch:
    """Why nobody was found by a number."""
    if not patients:
        return NoMatch("unmatched", "No order and no patient of the facility has a number of these images.")
    why = "Who has the number of these images is not confirmed by name, year of birth and sex."
    differing = dict.fromkeys(each for patient in patients for each in compared(header, patient).differing)
    return NoMatch("unmatched", why, tuple(differing), tuple(sorted({str(each["id"]) for each in patients})))
