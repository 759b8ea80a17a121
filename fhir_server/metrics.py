"""Counts and durations of requests for Prometheus (its text format 0.0.4)."""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fhir_server.rest.exchange import Route

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NAME = "nhipcau_request_seconds"
LABELS = ("interaction", "status", "worker")
NO_ROUTE = "none"

Key = tuple[str, int]
Counts: TypeAlias = "memoryview[float]"
"""How many answers fell between two bounds each, then the sum of their seconds."""

PROCESS = struct.Struct("q")
HEAD = struct.Struct("60sHH")
"""Of a row: the interaction, its length, the status. A status of 0 is that of a row that is free."""
COUNTED = 8 * (len(BOUNDS) + 2)
ROW = HEAD.size + COUNTED
ROWS = 512
PART = PROCESS.size + ROWS * ROW


class Board:
    """What all workers count, in memory that they share.

    Each writes in its own part, and all read every part, so that any of them can answer for all. A worker that takes
    the place of another counts on from where that one was.
    """

    def __init__(self, workers: int = 1) -> None:
        """Make it before the workers are started: they inherit it."""
        self._memory = memoryview(mmap(-1, workers * PART))
        self._parts = [self._memory[number * PART : (number + 1) * PART] for number in range(workers)]

    def sign(self, number: int) -> None:
        """Take a part for this process."""
        PROCESS.pack_into(self._parts[number], 0, os.getpid())

    def processes(self) -> Iterator[tuple[int, int]]:
        """The workers that have begun: the number of each and that of its process."""
        for number, part in enumerate(self._parts):
            (process,) = PROCESS.unpack_from(part)
            if process:
                yield number, process

    def rows(self, number: int) -> Iterator[tuple[Key, Counts]]:
        """What a worker has counted."""
        part = self._parts[number]
        for place in range(PROCESS.size, PART, ROW):
            name, length, status = HEAD.unpack_from(part, place)
            if not status:
                return
            yield (name[:length].decode(), status), counts_at(part, place)

    def add(self, number: int, key: Key) -> Counts:
        """A row for a new key in the part of a worker; where none is free, one that nobody reads."""
        interaction, status = key
        part, used = self._parts[number], sum(1 for _ in self.rows(number))
        if used == ROWS:
            return memoryview(bytearray(COUNTED)).cast("d")
        place = PROCESS.size + used * ROW
        name = interaction.encode()[:60]
        HEAD.pack_into(part, place, name, len(name), status)
        return counts_at(part, place)


def counts_at(part: memoryview, place: int) -> Counts:
    """The numbers of the row at a place."""
    return part[place + HEAD.size : place + ROW].cast("d")


class Requests(Collector):
    """How many requests were answered, of which interaction, with which status, and how long they took.

    Each process counts for itself in plain numbers, which costs a tenth of the library's own counters on a path where
    that shows, and tells what all have counted.
    """

    def __init__(self, board: Board, worker: int) -> None:
        self._board = board
        self._worker = worker
        self._counts = dict(board.rows(worker))

    def observe(self, route: Route | None, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (route.interaction if route is not None else NO_ROUTE, status)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = self._board.add(self._worker, key)
        counts[bisect_left(BOUNDS, seconds)] += 1
        counts[-1] += seconds

    def collect(self) -> Iterable[Metric]:
        """Yield what was counted."""
        family = HistogramMetricFamily(NAME, "Seconds from a request to its answer.", labels=LABELS)
        for worker, _ in self._board.processes():
            for (interaction, status), counts in self._board.rows(worker):
                total, buckets = 0.0, []
                for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=False):
                    total += count
                    buckets.append((bound, total))
                family.add_metric((interaction, str(status), str(worker)), buckets=buckets, sum_value=counts[-1])
        yield family


class Processes(Collector):
    """What the processes of all workers use of the machine: CPU, memory, files."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterable[Metric]:
        """Yield what the library tells of a process, of each."""
        families: dict[str, Metric] = {}
        for worker, process in self._board.processes():
            for told in ProcessCollector(pid=lambda process=process: process, registry=None).collect():  # type: ignore[misc]
                family = families.setdefault(told.name, Metric(told.name, told.documentation, told.type))
                family.samples += [sample._replace(labels={"worker": str(worker)}) for sample in told.samples]
        yield from families.values()


class Metrics:
    """All that a service tells Prometheus, whichever of its processes is asked."""

    def __init__(self, board: Board | None = None, worker: int = 0) -> None:
        """Count on a board that others have as well, as one of its workers, or alone."""
        board = board or Board()
        board.sign(worker)
        self.requests = Requests(board, worker)
        self._registry = CollectorRegistry()
        for collector in (self.requests, Processes(board)):
            self._registry.register(collector)

    def text(self) -> bytes:
        """The metrics in the text format."""
        return generate_latest(self._registry)
