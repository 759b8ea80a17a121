"""Counts and durations of requests for Prometheus (its text format 0.0.4)."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fhir_server.rest.exchange import Route

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NAME = "nhipcau_request_seconds"
LABELS = ("interaction", "status", "worker")
NO_ROUTE = "none"


class Requests(Collector):
    """How many requests were answered, of which interaction, with which status, and how long they took.

    It counts in plain lists, which costs a tenth of the library's own counters on a path where that shows; each
    process counts for itself and names itself in the label `worker`.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], list[float]] = {}

    def observe(self, route: Route | None, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (route.interaction if route is not None else NO_ROUTE, status)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0.0] * (len(BOUNDS) + 2)
        counts[bisect_left(BOUNDS, seconds)] += 1
        counts[-1] += seconds

    def collect(self) -> Iterable[Metric]:
        """Yield what was counted."""
        family = HistogramMetricFamily(NAME, "Seconds from a request to its answer.", labels=LABELS)
        worker = str(os.getpid())
        for (interaction, status), counts in self._counts.items():
            total, buckets = 0.0, []
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=False):
                total += count
                buckets.append((bound, total))
            family.add_metric((interaction, str(status), worker), buckets=buckets, sum_value=counts[-1])
        yield family


class Metrics:
    """All that this process tells Prometheus."""

    def __init__(self) -> None:
        self.requests = Requests()
        self._registry = CollectorRegistry()
        self._registry.register(self.requests)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The metrics in the text format."""
        return generate_latest(self._registry)
