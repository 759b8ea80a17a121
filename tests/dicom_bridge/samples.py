"""The files that pydicom brings along, and data sets of our own."""

from __future__ import annotations

from pathlib import Path

import pydicom.data
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

TEST_FILES = Path(pydicom.data.__file__).parent
NOT_DICOM = {".py", ".json", ".txt", ".pyc", ".md"}

FILES = tuple(sorted(each for each in TEST_FILES.rglob("*") if each.is_file() and each.suffix not in NOT_DICOM))
"""All files of pydicom that may be meant as DICOM."""


PART_10 = tuple(path for path in FILES if path.read_bytes()[128:132] == b"DICM")
"""Those that begin as a DICOM file does (PS3.10, 7.1)."""


def file(name: str) -> Path:
    """The file of that name."""
    return next(each for each in FILES if each.name == name)


def slice_of(study: str = "1.2.3", series: int = 1, number: int = 1, **elements: object) -> Dataset:
    """A small CT image; further elements by their keywords."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{study}.{series}.{number}"
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = f"{study}.{series}"
    dataset.StudyDate, dataset.StudyTime = "20261103", "081530"
    dataset.Modality = "CT"
    dataset.PatientName, dataset.PatientID = "Nguyễn^Thị Ánh", "VN-1"
    dataset.AccessionNumber = "A-1"
    dataset.SeriesNumber, dataset.InstanceNumber = series, number
    dataset.Rows, dataset.Columns = 4, 4
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = bytes(number % 256 for _ in range(32 * int(dataset.get("NumberOfFrames") or 1)))
    return dataset


def written(dataset: Dataset, path: Path, transfer_syntax: str = ExplicitVRLittleEndian) -> Path:
    """The data set as a file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    dcmwrite(path, dataset, enforce_file_format=True)
    return path
