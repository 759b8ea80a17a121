"""The attributes that searches ask for and answer with, one row each (PS3.18, 10.6.1.2.3 and 10.6.3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["study", "series", "instance"]
Kind = Literal["uid", "code", "text", "name", "date", "time", "number", "modalities"]
LEVELS: tuple[Level, ...] = ("study", "series", "instance")


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a level. What is `matched` can be searched by: `kind` says how (PS3.4, C.2.2.2)."""

    keyword: str
    tag: str
    level: Level
    kind: Kind
    is_matched: bool = True


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("StudyDate", "00080020", "study", "date"),
    Attribute("StudyTime", "00080030", "study", "time"),
    Attribute("AccessionNumber", "00080050", "study", "code"),
    Attribute("InstanceAvailability", "00080056", "study", "code", is_matched=False),
    Attribute("ModalitiesInStudy", "00080061", "study", "modalities"),
    Attribute("ReferringPhysicianName", "00080090", "study", "name"),
    Attribute("TimezoneOffsetFromUTC", "00080201", "study", "code", is_matched=False),
    Attribute("StudyDescription", "00081030", "study", "text"),
    Attribute("PatientName", "00100010", "study", "name"),
    Attribute("PatientID", "00100020", "study", "code"),
    Attribute("IssuerOfPatientID", "00100021", "study", "code"),
    Attribute("PatientBirthDate", "00100030", "study", "date"),
    Attribute("PatientSex", "00100040", "study", "code"),
    Attribute("StudyInstanceUID", "0020000D", "study", "uid"),
    Attribute("StudyID", "00200010", "study", "code"),
    Attribute("NumberOfStudyRelatedSeries", "00201206", "study", "number", is_matched=False),
    Attribute("NumberOfStudyRelatedInstances", "00201208", "study", "number", is_matched=False),
    Attribute("Modality", "00080060", "series", "code"),
    Attribute("SeriesDescription", "0008103E", "series", "text"),
    Attribute("BodyPartExamined", "00180015", "series", "code"),
    Attribute("SeriesInstanceUID", "0020000E", "series", "uid"),
    Attribute("SeriesNumber", "00200011", "series", "number"),
    Attribute("PerformedProcedureStepStartDate", "00400244", "series", "date"),
    Attribute("PerformedProcedureStepStartTime", "00400245", "series", "time"),
    Attribute("NumberOfSeriesRelatedInstances", "00201209", "series", "number", is_matched=False),
    Attribute("SOPClassUID", "00080016", "instance", "uid"),
    Attribute("SOPInstanceUID", "00080018", "instance", "uid"),
    Attribute("InstanceNumber", "00200013", "instance", "number"),
    Attribute("Rows", "00280010", "instance", "number"),
    Attribute("Columns", "00280011", "instance", "number"),
    Attribute("BitsAllocated", "00280100", "instance", "number", is_matched=False),
    Attribute("NumberOfFrames", "00280008", "instance", "number"),
)
BY_NAME: Mapping[str, Attribute] = {
    **{each.keyword: each for each in ATTRIBUTES},
    **{each.tag: each for each in ATTRIBUTES},
}


def columns(level: Level) -> tuple[Attribute, ...]:
    """Return the attributes of a level that are searched by its own values."""
    return tuple(each for each in ATTRIBUTES if each.level == level and each.is_matched and each.kind != "modalities")
