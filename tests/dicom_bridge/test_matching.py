"""Whose images are: each step of the ladder, what confirms it, and what is left to a person."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_bridge.matching import (
    Candidates,
    Header,
    Match,
    NoMatch,
    Ordered,
    compared,
    has_two_people,
    header_of,
    is_national,
    match,
    words,
)

Json = dict[str, Any]


def element(*values: Any) -> Json:
    return {"vr": "UN", "Value": list(values)}


def header(
    name: str = "NGUYEN^ANH^THI", born: str = "19800502", sex: str = "F", number: str = "77", **more: Json
) -> Header:
    return header_of(
        {
            "00100010": element({"Alphabetic": name}),
            "00100020": element(number),
            "00100030": element(born),
            "00100040": element(sex),
            "00080050": element("A-1"),
            **{tag.lstrip("t"): value for tag, value in more.items()},
        }
    )


def patient(
    identity: str = "anh", name: str = "Nguyễn Thị Ánh", born: str = "1980-05-02", gender: str = "female"
) -> Json:
    number = {"system": "http://district.vn/patients", "value": "77"}
    return {"id": identity, "name": [{"text": name}], "birthDate": born, "gender": gender, "identifier": [number]}


def test_a_name_is_the_same_however_it_is_written():
    assert words("NGUYEN^ANH^THI") == words("Nguyễn Thị Ánh") == words("nguyễn thị ánh=ignored".partition("=")[0])
    assert words("Đặng^Hồng") == words("DANG HONG")
    assert words("Nguyễn^Văn") != words("Nguyễn^Thị")


def test_an_order_confirmed_by_its_patient_is_the_first_step():
    found = match(header(), Candidates(ordered=[Ordered(patient(), "ServiceRequest/ct", "Encounter/e")]))
    assert found == Match("anh", ("ServiceRequest/ct",), "Encounter/e")


@pytest.mark.parametrize(
    ("images", "record"),
    [
        (header(name="TRAN^BINH"), patient()),
        (header(born="19810101"), patient()),
        (header(sex="M"), patient()),
        (header(name="TRAN^BINH", number="", born="", sex=""), patient()),
    ],
    ids=["name", "birth", "sex", "name alone"],
)
def test_an_order_of_another_person_is_an_alarm(images: Header, record: Json):
    found = match(images, Candidates([Ordered(record, "ServiceRequest/ct")], [patient("other")], []))
    assert isinstance(found, NoMatch)
    assert found.problem == "wrong-person"
    assert found.patients == ("anh",)
    assert found.differences


@pytest.mark.parametrize(
    "images",
    [header(born="", sex="", number=""), header(name="")],
    ids=["a name alone", "no name"],
)
def test_an_order_that_too_little_confirms_is_for_a_person(images: Header):
    found = match(images, Candidates([Ordered(patient(), "ServiceRequest/ct")]))
    assert isinstance(found, NoMatch)
    assert (found.problem, found.patients) == ("unmatched", ("anh",))


def test_orders_of_several_patients_are_decided_by_who_is_confirmed():
    other = Ordered(patient("binh", "Trần Văn Bình", "1950", "male"), "ServiceRequest/b")
    found = match(header(), Candidates([other, Ordered(patient(), "ServiceRequest/a")]))
    assert found == Match("anh", ("ServiceRequest/a",))
    twins = match(header(), Candidates([Ordered(patient("one"), "a"), Ordered(patient("two"), "b")]))
    assert isinstance(twins, NoMatch)
    assert twins.patients == ("one", "two")


@pytest.mark.parametrize("step", ["numbered", "national"])
@pytest.mark.parametrize(
    ("images", "is_certain"),
    [
        (header(), True),
        (header(born="1980"), True),
        (header(born=""), False),
        (header(sex=""), False),
        (header(name="NGUYEN^ANH"), False),
        (header(born="19790502"), False),
    ],
    ids=["all", "year", "no birth", "no sex", "part of the name", "another year"],
)
def test_a_number_counts_when_name_year_and_sex_agree(step: str, images: Header, is_certain: bool):  # noqa: FBT001
    found = match(images, Candidates(**{step: [patient()]}))  # type: ignore[arg-type]
    assert (found == Match("anh")) == is_certain
    assert is_certain or isinstance(found, NoMatch)


def test_two_patients_of_one_number_are_for_a_person():
    found = match(header(), Candidates(numbered=[patient("one"), patient("two")]))
    assert isinstance(found, NoMatch)
    assert found.patients == ("one", "two")


def test_a_number_of_somebody_else_than_the_orders_patient_is_for_a_person():
    vague = Ordered(patient("binh", "", "", ""), "ServiceRequest/b")
    found = match(header(), Candidates([vague], [patient()]))
    assert isinstance(found, NoMatch)
    assert found.patients == ("anh", "binh")


def test_nobody_is_found_by_nothing():
    assert isinstance(match(header(), Candidates()), NoMatch)


def test_several_numbers_are_looked_at():
    others = element({"00100020": element("034180001234")}, {"00100020": element("x")})
    found = header(t00101002=others, t00401001=element("P-9"), t00400275=element({"00402016": element("PL-1")}))
    assert found.national == ("034180001234",)
    assert found.orders == ("A-1", "P-9", "PL-1")


@pytest.mark.parametrize(
    ("identifier", "national"),
    [
        ({"system": "http://fhir.hl7.org.vn/core/sid/cccd"}, True),
        ({"system": "http://fhir.ehealth.gov.vn/core/sid/insurance_number"}, True),
        ({"type": {"coding": [{"code": "NI"}]}}, True),
        ({"type": {"coding": [{"code": "MR"}]}, "system": "http://district.vn/patients"}, False),
        ({}, False),
    ],
)
def test_a_national_number_is_known_by_its_system_or_type(identifier: Json, national: bool):  # noqa: FBT001
    assert is_national(identifier) is national


@pytest.mark.parametrize(
    ("other", "two"),
    [
        (header(), False),
        (header(name="Nguyễn Thị Ánh"), False),
        (header(name="", born="", sex="", number=""), False),
        (header(born="1980"), False),
        (header(name="TRAN^BINH"), True),
        (header(number="78"), True),
        (header(sex="M"), True),
    ],
    ids=["same", "accents", "silent", "year", "name", "number", "sex"],
)
def test_images_of_two_people_are_told(other: Header, two: bool):  # noqa: FBT001
    assert has_two_people([header(), other]) is two


TEXTS = st.sampled_from(["", "A", "B", "19800502", "1980", "F", "female"])
PATIENTS = st.builds(patient, TEXTS, TEXTS, TEXTS, TEXTS)
HEADERS = st.builds(header, TEXTS, TEXTS, TEXTS, TEXTS)


@settings(max_examples=150, deadline=None)
@given(HEADERS, st.lists(PATIENTS, max_size=3), st.lists(PATIENTS, max_size=3), st.lists(PATIENTS, max_size=2))
def test_nobody_is_matched_who_differs(images: Header, ordered: list[Json], numbered: list[Json], national: list[Json]):
    found = match(images, Candidates([Ordered(each, "ServiceRequest/x") for each in ordered], numbered, national))
    if isinstance(found, Match):
        theirs = [each for each in (*ordered, *numbered, *national) if each["id"] == found.patient]
        assert any(not compared(images, each).differing and "name" in compared(images, each).agreed for each in theirs)
