"""Real CT images that pydicom ships, as a scanner would have made them for an order of its worklist.

Pixels, geometry and settings are as the files have them; whose they are, of which study, and when, is the order's. The
series are of the chests of two people: one slice of 128 by 128 pixels, and five that follow each other, which pydicom's
authors cut down to 16 by 16.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID

FOLDER = "dicomdirtests/98892001/CT5N"
SERIES = (
    ("Ngực 5 mm (pydicom, 128 x 128)", ("CT_small.dcm",)),
    ("Ngực 2,5 mm (pydicom, 16 x 16)", tuple(f"{FOLDER}/{name}" for name in ("2062", "2392", "2693", "3023", "3353"))),
)
"""Descriptions of series, and the names of their files as pydicom has them."""
OF_ANOTHER = (
    "PatientAge",
    "PatientBirthTime",
    "PatientSize",
    "PatientWeight",
    "PatientComments",
    "DataSetTrailingPadding",
)


class Ordered(NamedTuple):
    """What a scanner takes from the worklist; `date` is YYYYMMDD, `time` HHMMSS."""

    study: str
    accession: str
    description: str
    date: str
    time: str
    patient_name: str
    patient_id: str
    birth_date: str
    sex: str


def sample_files(ordered: Ordered) -> Iterator[bytes]:
    """Yield DICOM files of an order; the same again for the same."""
    for number, (description, names) in enumerate(SERIES, 1):
        for name in names:
            yield _file(ordered, number, description, name)


def _file(ordered: Ordered, number: int, description: str, name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str | Path), f"pydicom has no {name}"
    dataset = dcmread(path)
    dataset.decode()
    # Private elements may say whose the images are; only the maker's own programs read them.
    dataset.remove_private_tags()
    for keyword in OF_ANOTHER:
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = ordered.patient_name, ordered.patient_id
    dataset.PatientBirthDate, dataset.PatientSex = ordered.birth_date, ordered.sex
    dataset.AccessionNumber, dataset.StudyDescription = ordered.accession, ordered.description
    dataset.StudyID, dataset.StudyInstanceUID = "1", ordered.study
    dataset.SeriesNumber, dataset.SeriesDescription = number, description
    dataset.SeriesInstanceUID = _uid(ordered, str(number))
    for what in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{what}Date", ordered.date)
        setattr(dataset, f"{what}Time", ordered.time)
    # What has another patient is another instance (PS3.3, C.12.1.1.1), with a UID of its own.
    dataset.SOPInstanceUID = _uid(ordered, name)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _uid(ordered: Ordered, name: str) -> str:
    return f"2.25.{uuid5(NAMESPACE_URL, f'urn:oid:{ordered.study}#{name}').int}"
