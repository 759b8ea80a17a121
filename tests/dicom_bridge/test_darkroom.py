"""Processes that decode: what crashes, hangs or is nonsense is refused, and the next one is done."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import imagecodecs
import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicom_bridge.darkroom import KEPT_BYTES, Darkroom
from dicom_bridge.pixels import NoPicture

SQUARE = np.arange(256, dtype=np.uint16).reshape(16, 16)
JSON = orjson.dumps({
    "00280002": {"vr": "US", "Value": [1]}, "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]},
    "00280010": {"vr": "US", "Value": [16]}, "00280011": {"vr": "US", "Value": [16]},
    "00280100": {"vr": "US", "Value": [16]}, "00280101": {"vr": "US", "Value": [16]}, "7FE00010": {"vr": "OB"},
})  # fmt: skip
ENCODED = {
    "1.2.840.10008.1.2.1": SQUARE.tobytes(),
    "1.2.840.10008.1.2.4.70": bytes(imagecodecs.jpeg8_encode(SQUARE, lossless=True, predictor=1)),
    "1.2.840.10008.1.2.4.80": bytes(imagecodecs.jpegls_encode(SQUARE)),
    "1.2.840.10008.1.2.4.90": bytes(imagecodecs.jpeg2k_encode(SQUARE, level=0, codecformat="j2k")),
    "1.2.840.10008.1.2.4.201": bytes(imagecodecs.htj2k_encode(SQUARE, reversible=True)),
}
PLAIN = "1.2.840.10008.1.2.1"


def run(test: Callable[[Darkroom], Awaitable[None]], **options: object) -> None:
    async def opened() -> None:
        async with aclosing(Darkroom(**options)) as darkroom:  # type: ignore[arg-type]
            await test(darkroom)

    asyncio.run(opened())


async def plain(darkroom: Darkroom, syntax: str, frame: bytes) -> bytes:
    told = {"syntax": syntax, "target": PLAIN}
    return (await darkroom.develop("transcode", told, {"json": JSON, "frame": frame}))[1]["frame"]


@pytest.mark.parametrize(
    ("program", "seconds", "says"),
    [
        ("import os; os.read(0, 1); os.abort()", 30, "breaks the decoder"),
        ("import os; os.read(0, 1); os.write(1, b'xx')", 30, "breaks the decoder"),
        ("import time; time.sleep(60)", 0.3, "takes too long"),
    ],
)
def test_what_crashes_or_hangs_is_refused(program: str, seconds: float, says: str):
    async def test(darkroom: Darkroom) -> None:
        for _ in range(2):
            with pytest.raises(NoPicture, match=says):
                await plain(darkroom, PLAIN, ENCODED[PLAIN])

    run(test, seconds=seconds, command=(sys.executable, "-c", program))


def test_who_goes_away_leaves_no_answer_for_the_next():
    async def test(darkroom: Darkroom) -> None:
        await plain(darkroom, PLAIN, ENCODED[PLAIN])
        for _ in range(5):
            going = asyncio.create_task(plain(darkroom, PLAIN, bytes(512)))
            await asyncio.sleep(0)
            going.cancel()
        assert await plain(darkroom, PLAIN, ENCODED[PLAIN]) == SQUARE.tobytes()

    run(test, processes=1)


def test_what_many_ask_for_is_made_once():
    made: list[int] = []

    async def make() -> bytes:
        made.append(1)
        await asyncio.sleep(0.01)
        return b"x"

    async def fail() -> bytes:
        await asyncio.sleep(0)
        raise NoPicture("it is none")

    async def test(darkroom: Darkroom) -> None:
        assert await asyncio.gather(*(darkroom.kept("a", make) for _ in range(20))) == [b"x"] * 20
        assert len(made) == 1
        first = asyncio.create_task(darkroom.kept("b", make))
        await asyncio.sleep(0)
        second = asyncio.create_task(darkroom.kept("b", make))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == b"x"
        for found in await asyncio.gather(*(darkroom.kept("c", fail) for _ in range(3)), return_exceptions=True):
            assert isinstance(found, NoPicture)

    run(test)


def test_what_is_kept_has_a_bound():
    async def test(darkroom: Darkroom) -> None:
        async def large() -> bytes:
            return bytes(KEPT_BYTES // 5)

        for number in range(12):
            await darkroom.kept(number, large)
        assert darkroom._kept_bytes <= KEPT_BYTES
        assert len(darkroom._kept) == 5

    run(test)


@pytest.mark.parametrize("syntax", ENCODED)
def test_no_frame_stops_the_darkroom(syntax: str):
    """Bytes that are changed, cut out or put in: an answer of the right size or a refusal, in a second each."""

    async def test(darkroom: Darkroom) -> None:
        loop = asyncio.get_running_loop()
        tried: list[bytes] = []

        @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(
            st.lists(st.tuples(st.integers(0, 600), st.integers(0, 3), st.binary(max_size=4)), min_size=1, max_size=6)
        )
        def collect(changes: list[tuple[int, int, bytes]]) -> None:
            frame = ENCODED[syntax]
            for at, length, put in changes:
                place = at % len(frame) if frame else 0
                frame = frame[:place] + put + frame[place + length :]
            tried.append(frame)

        await loop.run_in_executor(None, collect)
        begun = time.monotonic()
        for frame in tried:
            with suppress(NoPicture):
                assert len(await plain(darkroom, syntax, frame)) == SQUARE.nbytes
        assert time.monotonic() - begun < len(tried)
        assert await plain(darkroom, syntax, ENCODED[syntax]) == SQUARE.tobytes()

    run(test)
