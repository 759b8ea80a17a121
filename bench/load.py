"""Clients that ask a server as fast as it answers, over kept connections, with as little of their own as can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import orjson

HEADERS = {"Accept": "application/fhir+json", "Content-Type": "application/fhir+json"}
TICKS = 100
"""Clock ticks in a second of /proc, on every Linux that matters."""


@dataclass(slots=True)
class Answer:
    """The status, the headers' text in lower case, and the body of an answer."""

    status: int
    head: bytes
    body: bytes

    def json(self) -> dict[str, object]:
        """The resource in the body."""
        found: dict[str, object] = orjson.loads(self.body)
        return found


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, base: str, headers: Mapping[str, str] = HEADERS) -> None:
        parts = urlsplit(base)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.path = parts.path.rstrip("/")
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in {"Host": parts.netloc, **headers}.items())
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._received = b""

    async def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request and wait for its answer."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            transport, _ = await loop.create_connection(lambda: self, self.host, self.port)
            self._transport = transport
        further = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        length = f"Content-Length: {len(body)}\r\n" if body or method in ("POST", "PUT", "PATCH") else ""
        where = f"{self.path}/{path}" if path else self.path
        self._answer = loop.create_future()
        self._transport.write(f"{method} {where} HTTP/1.1\r\n{self._fixed}{further}{length}\r\n".encode() + body)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Collect an answer."""
        self._received = self._received + data if self._received else data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        if b"transfer-encoding: chunked" in head:
            body = unchunked(self._received[end + 4 :])
            if body is None:
                return
        else:
            at = head.find(b"content-length:")
            length = 0 if at < 0 else int(head[at + 15 : (head + b"\r\n").index(b"\r\n", at)])
            if len(self._received) < end + 4 + length:
                return
            body = self._received[end + 4 : end + 4 + length]
        self._received = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(int(head[9:12]), head, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits that there is no answer."""
        self._transport = None
        self._received = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the server closed the connection: {exc}"))

    def close(self) -> None:
        """Let go of the connection."""
        if self._transport is not None:
            self._transport.close()


def unchunked(raw: bytes) -> bytes | None:
    """Return a body sent in chunks; None while some are missing."""
    found = b""
    while True:
        line, mark, rest = raw.partition(b"\r\n")
        if not mark:
            return None
        size = int(line.partition(b";")[0], 16)
        if len(rest) < size + 2:
            return None
        if size == 0:
            return found
        found, raw = found + rest[:size], rest[size + 2 :]


Work = Callable[[Client], Awaitable[int]]
"""Does one round of a workload; returns how many units of work it was."""


@dataclass(slots=True)
class Outcome:
    """What a run measured: units of work, seconds, seconds of the server's CPU, and how long each round took."""

    units: int = 0
    seconds: float = 0.0
    server_seconds: float = 0.0
    rounds: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Units in a second."""
        return self.units / self.seconds

    @property
    def rate_of_cpu(self) -> float:
        """Units in a second of the server's CPU; 0 where that is not known."""
        return self.units / self.server_seconds if self.server_seconds else 0.0

    def percentile(self, share: float) -> float:
        """The milliseconds within which so many of the rounds were done."""
        ordered = sorted(self.rounds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def closed_loop(
    base: str,
    work: Work,
    clients: int,
    seconds: float,
    process: int | None,
    headers: Mapping[str, str] = HEADERS,
) -> Outcome:
    """Let so many clients, which send these headers, repeat a piece of work for so long."""
    outcome = Outcome()
    connections = [Client(base, headers) for _ in range(clients)]
    until = time.perf_counter() + seconds

    async def repeat(client: Client) -> None:
        while (start := time.perf_counter()) < until:
            done = await work(client)
            outcome.units += done
            outcome.rounds.append(time.perf_counter() - start)

    start, spent = time.perf_counter(), cpu_seconds(process)
    await asyncio.gather(*map(repeat, connections))
    outcome.seconds = time.perf_counter() - start
    outcome.server_seconds = cpu_seconds(process) - spent
    for client in connections:
        client.close()
    return outcome


def cpu_seconds(process: int | None) -> float:
    """The CPU seconds that a process and its children have used so far; 0 where it is not on this machine."""
    if process is None:
        return 0.0
    return sum(_ticks(each) for each in family(process)) / TICKS


def family(process: int) -> list[int]:
    """A process and those that it started, and they."""
    found = [process]
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def _ticks(process: int) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def memory_bytes(process: int) -> int:
    """The memory that a process and its children hold."""
    pages = (int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in family(process))
    return sum(pages) * 4096
