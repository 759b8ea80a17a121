"""A server under load, ours or another: `python -m bench.http [--base URL --process PID] [WORKLOAD ...]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.corpus import BUNDLES, members
from bench.figure import Figure
from bench.load import Client, Outcome, Work, closed_loop, memory_bytes
from bench.workload import Seed, bundles, cycle, everything, pair, reads, searches, sow

SECONDS = 4.0
CLIENTS = 16
START = 30.0
PROGRAM = Path(sys.executable).with_name("nhipcau")


@dataclass(frozen=True, slots=True)
class Server:
    """A server to measure: its base URL, and its process where it runs on this machine."""

    base: str
    process: int | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload: what a round of it is, the word for a unit, and how many clients ask."""

    work: Callable[[Seed, Path], Work]
    unit: str
    clients: int = CLIENTS


WORKLOADS = {
    "read": Workload(lambda seed, _: reads(seed), "reads"),
    "cycle": Workload(lambda _, __: cycle, "requests"),
    "transaction": Workload(lambda _, __: pair, "transactions"),
    "search": Workload(lambda seed, _: searches(seed), "searches"),
    "synthea": Workload(lambda _, shared: bundles(list(members(shared / BUNDLES))), "resources", 4),
    "everything": Workload(lambda seed, _: everything(seed), "records"),
}


def measure(shared: Path) -> list[Figure]:
    """Start a server on an empty folder and put it under every workload."""
    figures: list[Figure] = []
    with started() as server:
        asyncio.run(measured(server, shared, list(WORKLOADS), SECONDS, CLIENTS, figures.append))
    return figures


async def measured(
    server: Server,
    shared: Path,
    names: list[str],
    seconds: float,
    clients: int,
    tell: Callable[[Figure], None],
    stored: Seed | None = None,
) -> None:
    """Tell the figures of some workloads, one after another on one server; `stored` is what reads ask for."""
    client = Client(server.base)
    sown = await sow(client)
    client.close()
    seed = stored or sown
    for name in names:
        workload = WORKLOADS[name]
        work = workload.work(seed, shared)
        outcome = await closed_loop(server.base, work, min(clients, workload.clients), seconds, server.process)
        for figure in told(f"http {name}", workload.unit, outcome):
            tell(figure)
    if server.process is not None:
        tell(Figure("http memory", memory_bytes(server.process) / 1e6, "MB"))


def told(name: str, unit: str, outcome: Outcome) -> Iterator[Figure]:
    """Yield what a run says."""
    yield Figure(name, outcome.rate, f"{unit}/s")
    if outcome.server_seconds:
        yield Figure(f"{name}, of the server's CPU", outcome.rate_of_cpu, f"{unit}/CPU-s")
    for share in (0.5, 0.95, 0.99):
        yield Figure(f"{name} p{share * 100:.0f}", outcome.percentile(share), "ms")


@contextmanager
def started(workers: int = 1) -> Iterator[Server]:
    """Our own server on an empty folder."""
    with tempfile.TemporaryDirectory() as folder, started_on(Path(folder), workers) as server:
        yield server


@contextmanager
def started_on(folder: Path, workers: int = 1, *options: str) -> Iterator[Server]:
    """Our own server on what a folder holds."""
    command = [str(PROGRAM), "serve", "--port", "0", "--data", str(folder), "--workers", str(workers), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            base = process.stdout.readline().split()[-1]
            asyncio.run(answering(base))
            yield Server(base, process.pid)
        finally:
            process.terminate()


async def answering(base: str) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + START
    client = Client(base)
    while True:
        try:
            await client.ask("GET", "Patient/1")
            break
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.02)
    client.close()


def print_figure(figure: Figure) -> None:
    """Print a figure as soon as it is known."""
    print(f"{figure.name}: {figure.value:,.4g} {figure.unit}", flush=True)


def main() -> int:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], metavar="WORKLOAD")
    parser.add_argument("--base", help="the base URL of a FHIR server")
    parser.add_argument("--process", type=int, help="its process, where it runs on this machine")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    shared = Path(os.environ.get("NHIPCAU_SHARED", "../shared"))
    names = chosen.workloads or list(WORKLOADS)

    def run(server: Server) -> None:
        asyncio.run(measured(server, shared, names, chosen.seconds, chosen.clients, print_figure))

    if chosen.base:
        run(Server(chosen.base, chosen.process))
    else:
        with started(chosen.workers) as server:
            run(server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
