"""Images in a server of several processes that die: what was acknowledged has its ImagingStudy, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from dicom_bridge.multipart import MultipartWriter
from tests.dicom_bridge.hospital import ANH, HEADER, until
from tests.dicom_bridge.samples import slice_of, written
from tests.processes import Program

STUDIES = 6


def message(folder: Path, study: str, numbers: range) -> tuple[bytes, str]:
    """Slices of a study as STOW-RS takes them."""
    writer = MultipartWriter("cut", "application/dicom")
    files = [
        written(slice_of(study, number=n, AccessionNumber="", **HEADER), folder / "slice").read_bytes() for n in numbers
    ]
    parts = [writer.begin({"Content-Type": "application/dicom"}) + each for each in files]
    return b"".join([*parts, writer.end()]), writer.media_type


def studies(base: str) -> list[dict[str, Any]]:
    """All ImagingStudy resources."""
    found = httpx.get(f"{base}/ImagingStudy?_count=50").json()
    return [entry["resource"] for entry in found.get("entry", ())]


@pytest.mark.server
def test_what_was_stored_before_a_power_failure_is_shown_once_after_it(tmp_path):
    first = Program(tmp_path, "--workers", "2")
    httpx.put(f"{first.base}/Patient/anh", json={"resourceType": "Patient", "id": "anh", **ANH}).raise_for_status()
    web = f"{first.base.removesuffix('/fhir')}/dicom-web/studies"
    for n in range(STUDIES):
        body, media_type = message(tmp_path, f"1.5.{n}", range(1, 4))
        assert httpx.post(web, content=body, headers={"content-type": media_type}).status_code == 200
        if n == 2:
            # Some are shown before it, some are not.
            until(lambda: studies(first.base))
    first.kill()
    again = Program(tmp_path, "--workers", "2")
    try:
        until(lambda: len(studies(again.base)) == STUDIES)
        found = studies(again.base)
        assert {each["numberOfInstances"] for each in found} == {3}
        assert len({each["identifier"][0]["value"] for each in found}) == STUDIES
    finally:
        assert again.stop() == 0
