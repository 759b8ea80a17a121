"""Where images are developed: processes of their own that decode and encode, begun when there is something to do."""

from __future__ import annotations

import asyncio
import sys
from asyncio import Future
from asyncio.subprocess import PIPE, Process
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from dicom_bridge.messages import HEAD, packed
from dicom_bridge.pixels import NoPicture
from fhir_server.errors import Throttled

COMMAND = (sys.executable, "-m", "dicom_bridge.development")
PROCESSES = 2
SECONDS = 60.0
IDLE_SECONDS = 60.0
MOST_WAITING = 200
KEPT_BYTES = 64_000_000
PIPE_BYTES = 4_000_000

Answer = tuple[dict[str, Any], dict[str, bytes]]


class Darkroom:
    """Gives work to its processes, each piece with a deadline and all of them with a bound on what waits.

    A process that crashes, or does not answer in time, is replaced; what it was working on is refused.
    """

    def __init__(self, processes: int = PROCESSES, seconds: float = SECONDS, command: Sequence[str] = COMMAND) -> None:
        self._seconds = seconds
        self._command = command
        self._places = asyncio.Semaphore(processes)
        self._idle: list[Process] = []
        self._busy: set[Process] = set()
        self._waiting = 0
        self._rest: asyncio.TimerHandle | None = None
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._making: dict[Hashable, Future[bytes]] = {}

    async def develop(self, job: str, told: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Answer:
        """Return what a piece of work gives; raise NoPicture where that is nothing, Throttled where too much waits."""
        if self._waiting >= MOST_WAITING:
            raise Throttled("Too many images are being rendered at this moment. Try again in some seconds.")
        self._waiting += 1
        try:
            async with self._places:
                return await self._developed(packed({"job": job, **told}, blobs))
        finally:
            self._waiting -= 1

    async def _developed(self, message: list[bytes]) -> Answer:
        process = self._idle.pop() if self._idle else await _begun(self._command)
        self._busy.add(process)
        try:
            async with asyncio.timeout(self._seconds):
                told, blobs = await _asked(process, message)
        except (TimeoutError, OSError, EOFError) as failure:
            await _ended(process)
            what = "takes too long" if isinstance(failure, TimeoutError) else "breaks the decoder"
            raise NoPicture(f"It cannot be decoded: it {what}.") from None
        except BaseException:
            # What was asked goes on and would be the answer to the next question.
            with suppress(ProcessLookupError):
                process.kill()
            raise
        finally:
            self._busy.discard(process)
        self._idle.append(process)
        self._rest_later()
        if "refused" in told:
            raise NoPicture(told["refused"])
        return told, blobs

    def _rest_later(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._rest = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._let_go)

    def _let_go(self) -> None:
        """End what has had nothing to do: its libraries take memory."""
        while self._idle:
            with suppress(ProcessLookupError):
                self._idle.pop().kill()

    async def kept(self, key: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return what was made before under a key, or make it: once, however many ask for it at the same time."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        while (making := self._making.get(key)) is not None:
            # Who makes it may be cancelled; then another one makes it.
            await asyncio.wait([making])
            if not making.cancelled():
                return making.result()
        self._making[key] = future = asyncio.get_running_loop().create_future()
        try:
            made = await make()
        except BaseException as failure:
            if isinstance(failure, Exception):
                future.set_exception(failure)
                # Whether or not somebody else waits for it.
                future.exception()
            else:
                future.cancel()
            raise
        else:
            future.set_result(made)
            self._keep(key, made)
            return made
        finally:
            del self._making[key]

    def _keep(self, key: Hashable, made: bytes) -> None:
        if len(made) > KEPT_BYTES // 4:
            return
        self._kept[key] = made
        self._kept_bytes += len(made)
        while self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest)

    async def aclose(self) -> None:
        """End all processes."""
        if self._rest is not None:
            self._rest.cancel()
        for process in (*self._idle, *self._busy):
            await _ended(process)
        self._idle.clear()


async def _begun(command: Sequence[str]) -> Process:
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, limit=PIPE_BYTES, start_new_session=True
    )


async def _asked(process: Process, message: list[bytes]) -> Answer:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.writelines(message)
    await process.stdin.drain()
    (length,) = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
    told: dict[str, Any] = orjson.loads(await process.stdout.readexactly(length))
    return told, {name: await process.stdout.readexactly(size) for name, size in told.pop("blobs")}


async def _ended(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
