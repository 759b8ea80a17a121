"""dicomweb-client (ImagingDataCommons) against a running server, over all files that pydicom brings along."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from requests.exceptions import HTTPError

from dicom_bridge.multipart import MultipartWriter
from tests.dicom_bridge.samples import PART_10, slice_of, written
from tests.processes import Program

pytestmark = [pytest.mark.server, pytest.mark.filterwarnings("ignore::UserWarning")]

SAME_UID = "Another instance has"
OTHER_PATIENT = "under another patient"
STORED = 129
ANY_SYNTAX = (("application/octet-stream", "*"),)
NO_STUDY = "it names no study: it is a palette, or a case for one fault alone"
REFUSED = {
    **dict.fromkeys(
        ("DICOMDIR DICOMDIR-bigEnd DICOMDIR-empty.dcm DICOMDIR-implicit DICOMDIR-nooffset DICOMDIR-nopatient "
        "DICOMDIR-reordered").split(),
        "a DICOMDIR names files of a disk",
    ),
    **dict.fromkeys(
        ("UN_sequence.dcm chrSQEncoding.dcm chrSQEncoding1.dcm empty_charset_LEI.dcm fall.dcm hotiron.dcm "
        "hotmetalblue.dcm pet.dcm pet20step.dcm spring.dcm summer.dcm winter.dcm nested_priv_SQ.dcm priv_SQ.dcm "
        "no_meta_group_length.dcm JPEGLSNearLossless_08.dcm JPEGLSNearLossless_16.dcm SC_rgb_jls_lossy_line.dcm "
        "SC_rgb_jls_lossy_sample.dcm").split(),
        NO_STUDY,
    ),
    "MR_truncated.dcm": "its pixels are cut off",
    "rtplan_truncated.dcm": "it is cut off",
    "badVR.dcm": "its number of frames is none",
    "meta_missing_tsyntax.dcm": "it does not say its transfer syntax",
}  # fmt: skip
"""The files that begin as DICOM and are refused, each with the reason."""


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def client(program: Program) -> DICOMwebClient:
    return DICOMwebClient(program.base.removesuffix("/fhir") + "/dicom-web")


@pytest.fixture(scope="module")
def stored(client: DICOMwebClient) -> dict[str, Path]:
    """The files that were stored, by their SOP Instance UID, each sent as it is."""
    found: dict[str, Path] = {}
    for path in PART_10:
        writer = MultipartWriter("cut", "application/dicom")
        body = writer.begin({"Content-Type": "application/dicom"}) + path.read_bytes() + writer.end()
        answer = httpx.post(f"{client.base_url}/studies", content=body, headers={"content-type": writer.media_type})
        told = answer.json()
        if answer.status_code == 200:
            assert path.name not in REFUSED
            found.setdefault(told["00081199"]["Value"][0]["00081155"]["Value"][0], path)
            continue
        assert answer.status_code == 409
        (failed,) = told["00081198"].get("Value", []) + told["0008119A"].get("Value", [])
        text, uid = failed["00000902"]["Value"][0], failed.get("00081155", {}).get("Value", [""])[0]
        assert path.name in REFUSED or (SAME_UID in text and uid in found) or OTHER_PATIENT in text, (path.name, text)
    return found


def test_what_is_refused_is_what_the_table_says(stored: dict[str, Path]):
    assert len(stored) == STORED
    assert not {path.name for path in stored.values()} & set(REFUSED)


def test_a_data_set_is_stored_and_comes_back(client: DICOMwebClient, tmp_path: Path):
    dataset = dcmread(written(slice_of("2.99.1", PatientName="Phạm^Thị Đào"), tmp_path / "a"))
    told = client.store_instances([dataset])
    assert told.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.99.1.1.1"
    assert client.retrieve_instance("2.99.1", "2.99.1.1", "2.99.1.1.1") == dataset
    (found,) = client.search_for_studies(search_filters={"PatientName": "pham thi dao"})
    assert Dataset.from_json(found).PatientName == "Phạm^Thị Đào"
    client.delete_study("2.99.1")
    assert client.search_for_studies(search_filters={"StudyInstanceUID": "2.99.1"}) == []


def places(path: Path) -> tuple[str, str, str]:
    dataset = dcmread(path, stop_before_pixels=True)
    return str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID)


def test_every_file_comes_back_byte_for_byte(client: DICOMwebClient, stored: dict[str, Path]):
    for path in stored.values():
        study, series, instance = places(path)
        url = f"{client.base_url}/studies/{study}/series/{series}/instances/{instance}"
        answer = httpx.get(url, headers={"accept": "application/dicom"})
        sent = path.read_bytes()
        harmless = sent if sent[:4] in (b"II*\0", b"MM\0*") else bytes(128) + sent[128:]
        assert answer.content == harmless, path.name


def test_studies_series_and_instances_are_listed(client: DICOMwebClient, stored: dict[str, Path]):
    of_files = {places(path) for path in stored.values()}
    studies = {each["0020000D"]["Value"][0] for each in client.search_for_studies(limit=1000)}
    assert studies == {study for study, _, _ in of_files}
    series = {each["0020000E"]["Value"][0] for each in client.search_for_series(limit=1000)}
    assert series == {each for _, each, _ in of_files}
    instances = {each["00080018"]["Value"][0] for each in client.search_for_instances(limit=1000)}
    assert instances == {instance for _, _, instance in of_files}


def test_metadata_of_every_study_can_be_read(client: DICOMwebClient, stored: dict[str, Path]):
    told = 0
    for study in {places(path)[0] for path in stored.values()}:
        for metadata in client.retrieve_study_metadata(study):
            dataset = Dataset.from_json(metadata, bulk_data_uri_handler=lambda _tag, _vr, _uri: None)
            assert dataset.SOPInstanceUID in stored
            told += 1
    assert told == len(stored)


def test_frames_are_those_of_the_files(client: DICOMwebClient, stored: dict[str, Path]):
    seen = 0
    for path in stored.values():
        dataset = dcmread(path)
        if "PixelData" not in dataset or not dataset.get("Rows"):
            continue
        count = int(dataset.get("NumberOfFrames") or 1)
        (frame,) = client.retrieve_instance_frames(*places(path), [count], media_types=ANY_SYNTAX)
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
            assert frame == frames[-1], path.name
        else:
            size = len(frame)
            assert frame == dataset.PixelData[(count - 1) * size : count * size], path.name
        seen += 1
    assert seen == 73


def test_bulk_data_is_retrieved_by_its_address(client: DICOMwebClient, stored: dict[str, Path]):
    path = next(path for path in stored.values() if path.name == "CT_small.dcm")
    # The client names this machine without its port in the header Host, so addresses have none either.
    address = urlsplit(client.retrieve_instance_metadata(*places(path))["7FE00010"]["BulkDataURI"]).path
    (value,) = client.retrieve_bulkdata(urljoin(client.base_url, address))
    assert value == dcmread(path).PixelData


def path_of(stored: dict[str, Path], name: str) -> Path:
    return next(path for path in stored.values() if path.name == name)


def test_images_are_rendered(client: DICOMwebClient, stored: dict[str, Path]):
    where = places(path_of(stored, "CT_small.dcm"))
    assert client.retrieve_instance_rendered(*where).startswith(b"\xff\xd8")
    assert client.retrieve_instance_rendered(*where, media_types=("image/png",)).startswith(b"\x89PNG")
    assert client.retrieve_instance_frames_rendered(*where, [1]).startswith(b"\xff\xd8")
    assert client.retrieve_series_rendered(*where[:2]).startswith(b"\xff\xd8")
    with pytest.raises(HTTPError, match="406"):
        client.retrieve_instance_rendered(*places(path_of(stored, "rtplan.dcm")))


def test_frames_are_decompressed_for_who_does_not_say_how_they_are_wanted(client: DICOMwebClient):
    image = dcmread(next(path for path in PART_10 if path.name == "MR_small_RLE.dcm"))
    image.StudyInstanceUID, image.SOPInstanceUID = "1.2.826.0.1.99", "1.2.826.0.1.99.1"
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    client.store_instances([image])
    where = (image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)
    (frame,) = client.retrieve_instance_frames(*where, [1], media_types=("application/octet-stream",))
    assert frame == image.pixel_array.tobytes()
    (frame,) = client.retrieve_instance_frames(*where, [1])
    assert frame
