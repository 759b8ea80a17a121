"""A process of the darkroom: takes work from its input, one piece after the other, and answers on its output.

It decodes what others sent, so it is a process of its own: it may crash, hang or ask for too much memory, and it has
nothing that would be worth taking.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, BinaryIO

import orjson

from dicom_bridge.codec import decoded, encoded
from dicom_bridge.display import image_of, visible
from dicom_bridge.messages import HEAD, packed
from dicom_bridge.pixels import NoPicture, meaning_of, pixels_of
from fhir_server.part import Part

MEMORY = 3_000_000_000
NICENESS = 5

Told = dict[str, Any]
Blobs = dict[str, bytes]


def render(told: Told, blobs: Blobs) -> tuple[Told, Blobs]:
    """A frame as an image for people."""
    json = _loaded(blobs["json"])
    pixels = pixels_of(json, told["syntax"])
    meaning = meaning_of(json, blobs, told["frame"])
    window = told["view"]["window"]
    picture = decoded(blobs["frame"], pixels)
    seen = visible(picture, pixels, meaning, None if window is None else tuple(window))
    return {}, {"image": image_of(seen, told["view"])}


def transcode(told: Told, blobs: Blobs) -> tuple[Told, Blobs]:
    """A frame in another transfer syntax."""
    picture = decoded(blobs["frame"], pixels_of(_loaded(blobs["json"]), told["syntax"]))
    return {}, {"frame": encoded(picture, told["target"])}


def deidentify(told: Told, blobs: Blobs) -> tuple[Told, Blobs]:
    """A file without whose it is."""
    return DEIDENTIFICATION.load()(told, blobs)


def convert(told: Told, blobs: Blobs) -> tuple[Told, Blobs]:
    """A file in another transfer syntax."""
    return CONVERSION.load()(told, blobs)


Job = Callable[[Told, Blobs], tuple[Told, Blobs]]
DEIDENTIFICATION: Part[Job] = Part("dicom_bridge.deidentification:job")
CONVERSION: Part[Job] = Part("dicom_bridge.conversion:job")
JOBS: Mapping[str, Job] = {"render": render, "transcode": transcode, "deidentify": deidentify, "convert": convert}


@lru_cache(maxsize=4)
def _loaded(json: bytes) -> Any:
    return orjson.loads(json)


def answer(told: Told, blobs: Blobs) -> list[bytes]:
    """Return the answer to a piece of work: what it gives, or why it cannot be done."""
    try:
        return packed(*JOBS[told["job"]](told, blobs))
    except NoPicture as refusal:
        return packed({"refused": str(refusal)}, {})
    except MemoryError:
        return packed({"refused": "It takes more memory than there is for one image."}, {})
    except Exception as failure:  # noqa: BLE001 -- whatever a broken file makes libraries stumble over
        return packed({"refused": f"It cannot be read ({type(failure).__name__}: {str(failure)[:160]})."}, {})


def main() -> None:
    """Work until there is nobody to work for."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    source = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as target:
        # What libraries print must not come between messages.
        os.dup2(2, 1)
        while message := received(source):
            for piece in answer(*message):
                target.write(piece)
            target.flush()


def received(source: BinaryIO) -> tuple[Told, Blobs] | None:
    """Return the next message; None where there are no more."""
    head = source.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    told = orjson.loads(source.read(*HEAD.unpack(head)))
    return told, {name: source.read(length) for name, length in told["blobs"]}


if __name__ == "__main__":
    main()
