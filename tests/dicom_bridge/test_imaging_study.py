"""A study's data sets become an ImagingStudy that is sound, whatever is in them."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_bridge.dicom_value import moment_of, spoken
from dicom_bridge.imaging_study import Setting, imaging_study, imaging_study_id
from fhir_server.definitions.registry import r4
from fhir_server.validation.validator import Validator

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
SETTING = Setting(
    "Patient/anh",
    HANOI,
    "Endpoint/images",
    facility="district",
    based_on=("ServiceRequest/ct",),
    encounter="Encounter/e",
)
VALIDATOR = Validator(r4())
Json = dict[str, Any]


def element(vr: str, *values: Any) -> Json:
    return {"vr": vr, "Value": list(values)}


def data_set(series: int = 1, number: Any = 1, modality: str = "CT", **more: Json) -> Json:
    return {
        "00080005": element("CS", "ISO_IR 192"),
        "00080008": element("CS", "ORIGINAL", "PRIMARY"),
        "00080016": element("UI", "1.2.840.10008.5.1.4.1.1.2"),
        "00080018": element("UI", f"1.2.3.{series}.{number}"),
        "00080020": element("DA", "20261103"),
        "00080030": element("TM", "081530.25"),
        "00080050": element("SH", "A-1"),
        "00080060": element("CS", modality),
        "00080090": element("PN", {"Alphabetic": "Trần^Nam^Văn^BS"}),
        "00081030": element("LO", "Chụp CT sọ não"),
        "0020000D": element("UI", "1.2.3"),
        "0020000E": element("UI", f"1.2.3.{series}"),
        "00200010": element("SH", "77"),
        "00200011": element("IS", series),
        "00200013": element("IS", number),
        **{name.lstrip("t"): value for name, value in more.items()},
    }


def sound(body: Json) -> Json:
    verdict = VALIDATOR.validate(orjson.loads(orjson.dumps(body)))
    assert verdict.is_valid, [issue.text for issue in verdict.issues]
    return body


def test_a_study_has_what_four_guides_ask_for():
    body = sound(imaging_study("1.2.3", [data_set(), data_set(number=2), data_set(2)], SETTING))
    assert body["id"] == imaging_study_id("1.2.3")
    uid, accession, number = body["identifier"]
    assert uid == {"use": "official", "system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}
    assert (accession["type"]["coding"][0]["code"], accession["value"]) == ("ACSN", "A-1")
    assert accession["assigner"] == {"reference": "Organization/district"}
    assert number["value"] == "77"
    assert body["started"] == "2026-11-03T08:15:30.25+07:00"
    assert body["modality"] == [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}]
    assert (body["numberOfSeries"], body["numberOfInstances"]) == (2, 3)
    assert body["endpoint"] == [{"reference": "Endpoint/images"}]
    assert body["basedOn"] == [{"reference": "ServiceRequest/ct"}]
    assert body["referrer"] == {"display": "BS Trần Văn Nam"}
    assert body["description"] == "Chụp CT sọ não"
    first = body["series"][0]
    assert (first["uid"], first["number"], first["numberOfInstances"]) == ("1.2.3.1", 1, 2)
    assert [each["number"] for each in first["instance"]] == [1, 2]
    assert first["instance"][0]["sopClass"]["code"] == "urn:oid:1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    ("of", "modalities"),
    [(["CT", "KO", "PR"], ["CT"]), (["US", "SR", "US"], ["US"]), (["KO"], ["KO"]), (["PT", "CT"], ["CT", "PT"])],
)
def test_what_acquired_nothing_is_no_modality_unless_there_is_no_other(of: list[str], modalities: list[str]):
    body = sound(imaging_study("1.2.3", [data_set(n, modality=each) for n, each in enumerate(of)], SETTING))
    assert [each["code"] for each in body["modality"]] == modalities
    assert sorted(each["modality"]["code"] for each in body["series"]) == sorted(of)


@pytest.mark.parametrize(
    ("day", "time", "offset", "moment"),
    [
        ("20261103", "081530", "", "2026-11-03T08:15:30+07:00"),
        ("20261103", "0815", "", "2026-11-03T08:15:00+07:00"),
        ("20261103", "08:15:30", "+0930", "2026-11-03T08:15:30+09:30"),
        ("20261103", "081530", "+0000", "2026-11-03T08:15:30+00:00"),
        ("20261103", "081530", "-0330", "2026-11-03T08:15:30-03:30"),
        ("20261103", "081530", "+9999", "2026-11-03T08:15:30+07:00"),
        ("20261103", "08", "", "2026-11-03"),
        ("20261103", "256199", "", "2026-11-03"),
        ("2026.11.03", "", "", "2026-11-03"),
        ("20261399", "081530", "", None),
        ("2026", "081530", "", None),
        ("", "081530", "", None),
    ],
)
def test_a_moment_has_the_offset_that_is_said_or_that_of_the_zone(day: str, time: str, offset: str, moment: str | None):
    found = {"00080020": element("DA", day), "00080030": element("TM", time), "00080201": element("SH", offset)}
    assert moment_of(found, "00080020", "00080030", HANOI) == moment


def test_a_study_without_a_date_began_with_its_first_series():
    undated = data_set(t00080020=element("DA"), t00080021=element("DA", "20261104"), t00080031=element("TM", "0900"))
    assert imaging_study("1.2.3", [undated], SETTING)["started"] == "2026-11-04T09:00:00+07:00"


@pytest.mark.parametrize(
    ("number", "made"),
    [("1.0", 1), (7, 7), (-1, None), (3_000_000_000, None), ("1e400", None), ("x", None), ("", None)],
)
def test_a_number_that_is_none_is_left_out(number: Any, made: int | None):
    body = sound(imaging_study("1.2.3", [data_set(t00200013=element("IS", number))], SETTING))
    assert body["series"][0]["instance"][0].get("number") == made


def test_codes_have_the_uris_of_their_schemes():
    known = {"00080100": element("SH", "36572-6"), "00080102": element("SH", "LN"), "00080104": element("LO", "Ngực")}
    local = {"00080100": element("SH", "X1"), "00080102": element("SH", "99BV"), "00080104": element("LO", "Riêng")}
    body = sound(imaging_study("1.2.3", [data_set(t00081032=element("SQ", known, local))], SETTING))
    assert body["procedureCode"] == [
        {"coding": [{"system": "http://loinc.org", "code": "36572-6", "display": "Ngực"}], "text": "Ngực"},
        {"text": "Riêng"},
    ]


@pytest.mark.parametrize(
    ("part", "coding"),
    [
        ("CHEST", {"system": "http://snomed.info/sct", "code": "816094009", "display": "Chest"}),
        ("Bộ phận", {"display": "Bộ phận"}),
    ],
)
def test_a_body_part_is_coded_where_it_can_be(part: str, coding: Json):
    made = data_set(t00180015=element("CS", part), t00200060=element("CS", "L"))
    (series,) = sound(imaging_study("1.2.3", [made], SETTING))["series"]
    assert series["bodySite"] == coding
    assert series["laterality"]["code"] == "7771000"


def test_who_gave_an_accession_number_is_its_system():
    issuer = {"00400031": element("UT", "BV"), "00400032": element("UT", "1.2.9"), "00400033": element("CS", "ISO")}
    body = sound(imaging_study("1.2.3", [data_set(t00080051=element("SQ", issuer))], SETTING))
    assert body["identifier"][1]["system"] == "urn:oid:1.2.9"
    assert "assigner" not in body["identifier"][1]


def test_documents_say_what_they_are():
    concept = {"00080104": element("LO", "Kết quả")}
    body = imaging_study(
        "1.2.3",
        [
            data_set(1, modality="SR", t0040A043=element("SQ", concept)),
            data_set(2, modality="PR", t00700080=element("CS", "VIEW")),
            data_set(3, modality="DOC", t00420010=element("ST", "Biên bản")),
        ],
        SETTING,
    )
    assert [each["instance"][0]["title"] for each in sound(body)["series"]] == ["Kết quả", "VIEW", "Biên bản"]


def test_a_study_of_nothing_has_its_name_and_its_end():
    gone = Setting("Patient/anh", HANOI, status="entered-in-error")
    body = sound(imaging_study("1.2.3", [], gone))
    assert (body["status"], body["numberOfInstances"]) == ("entered-in-error", 0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Nguyễn^Ánh^Thị", "Nguyễn Thị Ánh"),
        ("NGUYEN THI ANH", "NGUYEN THI ANH"),
        ("^^^^", ""),
        ("A^B^C^D^E^F", "D A C B E"),
    ],
)
def test_a_name_is_said_family_first(name: str, said: str):
    assert spoken(name) == said


TAGS = (
    "00080020 00080021 00080022 00080030 00080031 00080050 00080051 00080060 00080090 00080201 00081030 "
    "00081032 0008103E 00081040 00081050 00081060 00081070 00082218 00180015 00200010 00200011 00200013 00200060 "
    "00400032 00400033 00400551 00400560 00401002 0040100A 0040A043 00420010 00700080 00080100 00080102 00080104"
).split()
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["20261103", "081530", "+0700", "CT", "SCT", "ISO", "1.2.3", "NaN", "\u0000", "\ud800", "  "]),
)
WORDS = st.dictionaries(
    st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]), st.one_of(st.text(max_size=9), SCALARS)
)
ITEMS = st.dictionaries(
    st.sampled_from(TAGS),
    st.one_of(st.none(), st.fixed_dictionaries({"Value": st.lists(SCALARS, max_size=2)})),
    max_size=5,
)
ELEMENTS = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"vr": st.just("UN"), "Value": st.lists(st.one_of(SCALARS, WORDS, ITEMS), max_size=3)}),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(TAGS), ELEMENTS, max_size=12), min_size=1, max_size=3))
def test_any_data_set_makes_a_sound_study(found: list[Json]):
    # What the archive has seen to.
    uids = [
        {
            "0020000E": element("UI", f"1.2.{n}"),
            "00080018": element("UI", f"1.2.{n}.1"),
            "00080016": element("UI", "1.9"),
        }
        for n in range(len(found))
    ]
    body = imaging_study("1.2", [each | more for each, more in zip(found, uids, strict=True)], SETTING)
    sound(body)
    assert (body["numberOfSeries"], body["numberOfInstances"]) == (len(found), len(found))
    assert [each["value"] for each in body["identifier"] if each.get("system") == "urn:dicom:uid"] == ["urn:oid:1.2"]
    assert body["modality"]
    assert body["endpoint"]
