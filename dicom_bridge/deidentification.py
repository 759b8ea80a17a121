"""A DICOM file without whose it is (PS3.15, Annex E), made in a process of the darkroom."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_bridge.codec import decoded, encoded
from dicom_bridge.confidentiality import (
    CLEAN_PIXELS,
    OPTIONS,
    PROFILE,
    TEMPORAL,
    action_for,
    days_for,
    may_show_people,
    pseudonym_for,
    uid_for,
)
from dicom_bridge.conversion import described, frames_of
from dicom_bridge.pixels import NoPicture, Pixels, pixels_of
from dicom_bridge.transfer_syntax import EXPLICIT_LITTLE, NATIVE

METHOD = "PS3.15 2024b, Table E.1-1"
IDENTIFIERS = (
    "PatientName", "PatientID", "OtherPatientIDs", "PatientBirthName", "PatientMotherBirthName", "AccessionNumber",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "PatientTelephoneNumbers",
)  # fmt: skip
SHORTEST = 3
"""Letters of a word that is looked for in what is left; shorter ones are parts of too many others."""
TEXTS = frozenset("AE CS LO LT PN SH ST UC UR UT".split())
DUMMIES: Mapping[str, Any] = {
    "AE": "REMOVED", "AS": "000Y", "CS": "REMOVED", "DA": "19000101", "DS": "0", "DT": "19000101000000", "IS": "0",
    "LO": "REMOVED", "LT": "REMOVED", "PN": "REMOVED", "SH": "REMOVED", "ST": "REMOVED", "TM": "000000",
    "UC": "REMOVED", "UT": "REMOVED", "UR": "urn:removed",
}  # fmt: skip
Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Wish:
    """How a file is to be de-identified: by which key, with which options, and where a person drew masks."""

    key: bytes
    options: Collection[str] = ()
    mask: Sequence[Rectangle] = ()


def deidentify(source: str, target: str, wish: Wish) -> None:
    """Write a file without whose it is; raise NoPicture where that cannot be promised."""
    dataset = dcmread(source)
    known = words_of(dataset)
    issuer, patient = str(dataset.get("IssuerOfPatientID", "")), str(dataset.get("PatientID", ""))
    is_masked = check_pixels(dataset, wish.mask)
    if is_masked:
        mask_pixels(dataset, wish.mask)
    days = days_for(wish.key, issuer, patient)
    clean(dataset, wish, days)
    pseudonym = pseudonym_for(wish.key, issuer, patient)
    dataset.PatientName, dataset.PatientID = pseudonym, pseudonym
    forget(dataset, known)
    state(dataset, wish.options, is_masked=is_masked)
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.preamble = bytes(128)
    dataset.save_as(target, enforce_file_format=True)


def check_pixels(dataset: Dataset, mask: Sequence[Rectangle]) -> bool:
    """Whether pixels are to be masked; raise NoPicture where they must be, and nobody drew a mask."""
    if "PixelData" not in dataset:
        raise NoPicture("It is no image: what reports, documents and measurements say cannot be cleaned here.")
    image_type = dataset.get("ImageType") or ()
    types = [image_type] if isinstance(image_type, str) else [str(each) for each in image_type]
    burned_in = str(dataset.get("BurnedInAnnotation") or "")
    modality = str(dataset.get("Modality") or "")
    if not mask and may_show_people(modality, str(dataset.get("SOPClassUID", "")), types, burned_in):
        raise NoPicture(
            f"Its pixels ({modality or 'of no modality'}) may show whose they are: a person must look at them, and "
            "draw the mask for its series."
        )
    return bool(mask)


def clean(dataset: Dataset, wish: Wish, days: int) -> None:
    """Do to each attribute what the table says; what the standard does not know goes."""
    for element in list(dataset):
        action = action_for(element.tag, wish.options)
        if action == "remove" or not dictionary_has_tag(element.tag):
            del dataset[element.tag]
        elif action is not None and element.VR != "SQ":
            CHANGES[action](element, wish, days)
        elif action == "empty":
            element.value = Items()
        if element.tag in dataset and element.VR == "SQ":
            for item in element.value or ():
                clean(item, wish, days)


def _replace(element: DataElement, wish: Wish, days: int) -> None:
    element.value = DUMMIES.get(element.VR)


def _empty(element: DataElement, wish: Wish, days: int) -> None:
    element.value = None


def _uid(element: DataElement, wish: Wish, days: int) -> None:
    values = element.value if isinstance(element.value, list) or element.VM > 1 else [element.value]
    made = [uid_for(wish.key, str(each)) for each in values if each]
    element.value = made[0] if len(made) == 1 else made or None


def _keep(element: DataElement, wish: Wish, days: int) -> None:
    pass


def _shift(element: DataElement, wish: Wish, days: int) -> None:
    if element.VR in ("DA", "DT"):
        element.value = shifted(str(element.value or ""), days)
    elif element.VR != "TM":
        _replace(element, wish, days)


CHANGES: Mapping[str, Callable[[DataElement, Wish, int], None]] = {
    "replace": _replace, "empty": _empty, "uid": _uid, "keep": _keep, "shift": _shift, "clean": _replace,
}  # fmt: skip


def shifted(text: str, days: int) -> str:
    """Return a date or a date and time as many days earlier; empty where it is none."""
    try:
        return f"{datetime.strptime(text[:8], '%Y%m%d') - timedelta(days):%Y%m%d}{text[8:]}"  # noqa: DTZ007 -- no clock
    except (ValueError, OverflowError):
        return ""


def words_of(dataset: Dataset) -> set[str]:
    """Return the words that tell whose a data set is, folded."""
    found: set[str] = set()
    for keyword in IDENTIFIERS:
        value = dataset.get(keyword)
        for text in [str(value)] if value not in (None, "") else []:
            found |= {word for word in re.split(r"[\W_]+", folded(text)) if len(word) >= SHORTEST}
    return found


def folded(text: str) -> str:
    """Return text without accents and case."""
    bare = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return "".join(letter for letter in bare if not unicodedata.combining(letter))


def forget(dataset: Dataset, known: set[str]) -> None:
    """Empty every text that is left and holds a word that tells whose it is."""
    for element in texts(dataset):
        if known & set(re.split(r"[\W_]+", folded(str(element.value)))):
            element.value = None


def texts(dataset: Dataset) -> Iterator[DataElement]:
    """Yield each element of text, those in sequences too."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value or ():
                yield from texts(item)
        elif element.VR in TEXTS and element.value:
            yield element


def state(dataset: Dataset, options: Collection[str], *, is_masked: bool) -> None:
    """Say in a data set what was done to it (PS3.3, C.7.1.1; PS3.15, E.1.1)."""
    done = [PROFILE, *([CLEAN_PIXELS] if is_masked else []), *(OPTIONS[each] for each in sorted(options))]
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    dataset.LongitudinalTemporalInformationModified = next(
        (said for option, said in TEMPORAL.items() if option in options), "REMOVED"
    )
    dataset.DeidentificationMethodCodeSequence = Items([_code(each.code, each.meaning) for each in done])
    if is_masked:
        dataset.BurnedInAnnotation = "NO"


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def mask_pixels(dataset: Dataset, mask: Sequence[Rectangle]) -> None:
    """Blacken rectangles of every frame; the pixels are not compressed any more then."""
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    pixels = pixels_of(described(dataset, "PixelData"), syntax)
    if pixels.bytes * pixels.frames > 1_000_000_000:
        raise NoPicture("It is too large to be masked here.")
    frames = [_masked(frame, pixels, mask) for frame in frames_of(dataset, "PixelData", pixels)]
    if pixels.samples == 3:
        is_luminance = pixels.photometric.startswith("YBR") and syntax in NATIVE
        dataset.PhotometricInterpretation = "YBR_FULL" if is_luminance else "RGB"
        dataset.PlanarConfiguration = 0
    content = b"".join(frames)
    dataset.PixelData = content + bytes(len(content) % 2)
    dataset["PixelData"].VR = "OW" if pixels.bits_allocated > 8 else "OB"
    dataset["PixelData"].is_undefined_length = False
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _masked(frame: bytes, pixels: Pixels, mask: Sequence[Rectangle]) -> bytes:
    picture = decoded(frame, pixels)
    values = picture.values.copy()
    for left, top, width, height in mask:
        # Black in luminance and differences has its differences in the middle.
        values[top : top + height, left : left + width] = (
            (0, 128, 128) if picture.photometric.startswith("YBR") else values.dtype.type(0)
        )
    return encoded(type(picture)(values, picture.photometric), EXPLICIT_LITTLE)


def job(told: dict[str, Any], _blobs: dict[str, bytes]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """De-identify a file as a piece of work of the darkroom."""
    wish = Wish(bytes.fromhex(told["key"]), told["options"], [tuple(each) for each in told["mask"]])
    deidentify(told["source"], told["target"], wish)
    return {}, {}
