"""WADO-RS, rendered: images for people instead of pixels for programs (PS3.18, 10.4.1.1.3 and 10.4.1.1.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

from starlette.responses import Response, StreamingResponse

from dicom_bridge.archive import Held
from dicom_bridge.multipart import MultipartWriter
from dicom_bridge.pictures import Pictures, representative
from dicom_bridge.pixels import NoPicture
from dicom_bridge.view import View
from fhir_server.errors import NotFound
from fhir_server.rest.failure import NotAcceptable

MOST_TRIED = 20
"""Of a study that begins with reports and measurements, so many instances are looked at for an image."""


async def one(pictures: Pictures, held: Sequence[Held], view: View, headers: dict[str, str]) -> Response:
    """Return the image of one frame that stands for all: the middle one of the middle instance."""
    refusal = NoPicture("There is no image.")
    for each in representative(held)[:MOST_TRIED]:
        try:
            pixels = await pictures.pixels(each)
            frame = 1 if len(held) == 1 else (pixels.frames + 1) // 2
            return Response(await pictures.rendered(each, frame, view), 200, headers, view.media_type)
        except NoPicture as failure:
            refusal = failure
    raise NotAcceptable(str(refusal))


async def frames(
    pictures: Pictures, held: Held, numbers: Sequence[int], view: View, headers: dict[str, str], *, is_parted: bool
) -> Response:
    """Return frames of an instance, each an image."""
    try:
        pixels = await pictures.pixels(held)
        if max(numbers) > pixels.frames:
            raise NotFound(f"The instance has {pixels.frames} frames, and not all of {numbers}.")
        if not is_parted and len(numbers) == 1:
            return Response(await pictures.rendered(held, numbers[0], view), 200, headers, view.media_type)
        images = [await pictures.rendered(held, number, view) for number in numbers]
    except NoPicture as refusal:
        raise NotAcceptable(str(refusal)) from None
    writer = MultipartWriter(uuid4().hex, view.media_type)
    parts = [piece for image in images for piece in (writer.begin({"Content-Type": view.media_type}), image)]
    return Response(b"".join([*parts, writer.end()]), 200, headers, writer.media_type)


async def every(pictures: Pictures, held: Sequence[Held], view: View, headers: dict[str, str]) -> Response:
    """Return the first frame of every instance that has an image, part by part."""
    shown = [each for each in held if await _has_image(pictures, each)]
    if not shown:
        raise NotAcceptable("There is no image that can be shown.")
    # What cannot be shown is known with the first before a status is sent.
    first = await _part(pictures, shown[0], view)
    writer = MultipartWriter(uuid4().hex, view.media_type)

    async def parts() -> AsyncIterator[bytes]:
        for number, each in enumerate(shown):
            image = first if number == 0 else await _part(pictures, each, view)
            yield writer.begin({"Content-Type": view.media_type}) + image
        yield writer.end()

    return StreamingResponse(parts(), 200, headers, writer.media_type)


async def _has_image(pictures: Pictures, held: Held) -> bool:
    try:
        await pictures.pixels(held)
    except NoPicture:
        return False
    return True


async def _part(pictures: Pictures, held: Held, view: View) -> bytes:
    try:
        return await pictures.rendered(held, 1, view)
    except NoPicture as refusal:
        raise NotAcceptable(str(refusal)) from None
