"""A body of known geometry as CT slices: 0.8 mm pixels, 3 mm apart, with two pins 80 mm from each other."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIZE = 192
SPACING = 0.8
THICKNESS = 3.0
PINS = ((46, 96), (146, 96))
"""Column and row of the two pins, which are 100 columns apart."""
AIR, LUNG, TISSUE, LIVER, BONE, PIN = -1000, -820, 40, 60, 700, 1200
PATIENT = {"name": "Lý^Thị Mây", "id": "NH-2026-000042", "born": "19840213", "sex": "F"}


def slice_of(depth: float, *, nodule: float = 7.0) -> Any:
    """Hounsfield units of the slice at a depth from 0 to 1."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(float)

    def ellipse(column: float, row: float, width: float, height: float) -> Any:
        return ((columns - column) / width) ** 2 + ((rows - row) / height) ** 2 <= 1

    image = np.full((SIZE, SIZE), AIR, dtype=np.int16)
    image[ellipse(96, 98, 82, 62)] = -90
    image[ellipse(96, 98, 77, 57)] = TISSUE
    height = max(6.0, 40 * (1 - depth * 0.8))
    for column in (62, 130):
        image[ellipse(column, 92, 24, height)] = LUNG
    image[ellipse(100, 84, 16 + 6 * depth, 15)] = 55
    if depth > 0.55:
        image[ellipse(66, 100, 36 * depth, 34 * depth)] = LIVER
    image[ellipse(96, 138, 11, 10)] = BONE
    image[ellipse(96, 138, 6, 5)] = 250
    for angle in np.linspace(0.35, np.pi - 0.35, 7):
        for side in (-1, 1):
            image[ellipse(96 + side * 72 * np.sin(angle), 98 - 52 * np.cos(angle), 4, 3)] = BONE
    image[ellipse(128, 80, nodule, nodule)] = 30
    for column, row in PINS:
        image[row - 1 : row + 2, column - 1 : column + 2] = PIN
    return image


def series(study: str, *, count: int, date: str, description: str, nodule: float = 7.0) -> Iterator[bytes]:
    """The files of a series, from the feet up."""
    uid, body = generate_uid(), generate_uid()
    for at in range(count):
        yield file_of(slice_of(at / max(1, count - 1), nodule=nodule), at, study, uid, body, date, description)


def file_of(image: Any, at: int, study: str, uid: str, body: str, date: str, description: str) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, uid, body
    made.PatientName, made.PatientID = PATIENT["name"], PATIENT["id"]
    made.PatientBirthDate, made.PatientSex = PATIENT["born"], PATIENT["sex"]
    made.Modality, made.StudyDescription, made.SeriesDescription = "CT", description, "Ngực, lát 3 mm"
    made.StudyDate = made.SeriesDate = date
    made.StudyTime, made.StudyID, made.AccessionNumber = "081500", "1", f"CT{date}"
    made.SeriesNumber, made.InstanceNumber = 2, at + 1
    made.Rows = made.Columns = SIZE
    made.PixelSpacing, made.SliceThickness = [SPACING, SPACING], THICKNESS
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient = [-SIZE * SPACING / 2, -SIZE * SPACING / 2, at * THICKNESS]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = "0", "1", "HU"
    made.WindowCenter, made.WindowWidth = "40", "400"
    made.PixelData = image.astype("<i2").tobytes()
    buffer = BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
