"""Parameters of a search are understood or refused, never passed over."""

from __future__ import annotations

import pytest

from dicom_bridge.question import MOST_ANSWERS, question
from fhir_server.errors import Invalid


@pytest.mark.parametrize(
    ("level", "name", "value", "says"),
    [
        ("study", "PatientNmae", "x", "Did you mean PatientName"),
        ("study", "SeriesDescription", "x", "nothing that studies can be searched by"),
        ("series", "InstanceNumber", "1", "nothing that series can be searched by"),
        ("study", "00099999", "x", "nothing that studies"),
        ("study", "NumberOfStudyRelatedInstances", "3", "nothing that studies"),
        ("study", "StudyDate", "2026-11-03", "neither YYYYMMDD nor a range"),
        ("study", "StudyDate", "-", "neither YYYYMMDD nor a range"),
        ("study", "StudyTime", "8:15", "neither HHMMSS nor a range"),
        ("study", "StudyInstanceUID", "../1", "no UID"),
        ("study", "limit", "-1", "no number"),
        ("study", "offset", "many", "no number"),
        ("study", "includefield", "NoSuchAttribute", "no attribute of DICOM"),
        ("study", "PatientName", "x" * 9_000, "longer than 8,000"),
        ("instance", "InstanceNumber", "one", "no number"),
    ],
)
def test_what_is_no_parameter_is_refused_with_the_reason(level: str, name: str, value: str, says: str):
    with pytest.raises(Invalid, match=says):
        question(level, [(name, value)])  # type: ignore[arg-type]


def test_an_attribute_is_named_by_keyword_or_tag():
    named = question("study", [("PatientID", "1")])
    assert question("study", [("00100020", "1")]) == named
    assert question("study", [("0020000d", "1.2")]) == question("study", [("StudyInstanceUID", "1.2")])


def test_what_asks_for_nothing_is_no_condition():
    assert question("study", [("PatientName", "*"), ("PatientID", ""), ("StudyDate", "")]).conditions == ()


def test_fields_are_tags():
    asked = question("study", [("includefield", "PatientName,00080080"), ("includefield", "all")])
    assert asked.fields == {"00100010", "00080080", "all"}


def test_too_high_a_limit_is_lowered_and_said():
    asked = question("study", [("limit", "1000000000"), ("fuzzymatching", "true")])
    assert asked.limit == MOST_ANSWERS
    assert [note.partition(" ")[0] for note in asked.notes] == ["Names", "There"]
