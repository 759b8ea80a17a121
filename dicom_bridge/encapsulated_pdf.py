"""A PDF as an instance of a study (PS3.3, A.45.1 Encapsulated PDF)."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from uuid import NAMESPACE_URL, uuid5

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from dicom_bridge.dicom_json import Json

OF_THE_STUDY = (
    "00080020 00080030 00080050 00080090 00080201 00100010 00100020 00100021 00100030 00100040 0020000D 00200010"
).split()
"""What an instance says like the others of its study: patient, date, accession."""
CONCEPT = ("11528-7", "LN", "Radiology Report")


@dataclass(frozen=True, slots=True)
class Document:
    """A PDF with its title, what names it, and when it was made (YYYYMMDD, HHMMSS)."""

    pdf: bytes
    title: str
    name: str
    date: str
    time: str


def uid_of(name: str) -> str:
    """Return the UID that a name stands for (PS3.5, B.2)."""
    return f"2.25.{uuid5(NAMESPACE_URL, name).int}"


def encapsulated(document: Document, like: Json) -> bytes:
    """Return a DICOM file with a PDF, of the study and patient of a data set; the same again for the same."""
    of_study = {tag: like[tag] for tag in OF_THE_STUDY if tag in like}
    dataset = Dataset.from_json(of_study)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = EncapsulatedPDFStorage
    dataset.SOPInstanceUID = uid_of(document.name)
    dataset.SeriesInstanceUID = uid_of(f"urn:oid:{dataset.StudyInstanceUID}#reports")
    dataset.Modality, dataset.ConversionType = "DOC", "WSD"
    dataset.SeriesNumber, dataset.InstanceNumber = 9_999, 1
    dataset.SeriesDescription = dataset.DocumentTitle = document.title
    dataset.ContentDate, dataset.ContentTime = document.date, document.time
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES"
    concept = Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = CONCEPT
    dataset.ConceptNameCodeSequence = [concept]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(document.pdf)
    dataset.EncapsulatedDocument = document.pdf + b"\0" * (len(document.pdf) % 2)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()
