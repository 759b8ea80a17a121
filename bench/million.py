"""A server on a million resources beside one on few: `python -m bench.million [--resources N] [--keep]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.figure import Figure
from bench.http import CLIENTS, SECONDS, Server, measured, print_figure, started_on
from bench.load import Client
from bench.multiplied import Template, patients, templates, write
from bench.workload import QUERIES, Seed, expect, page

RESOURCES = 1_000_000
FEW = 20_000
"""The folder beside it has this many: enough for whole records, too few for their number to cost anything."""

SEED = 2026
WORKLOADS = ["read", "cycle", "transaction", "search", "everything"]
BAR = 2 / 3
SAMPLE = 20
FOLDER = Path("build/million")
Tell = Callable[[Figure], None]


def measure(shared: Path) -> list[Figure]:
    """Load a million resources and as few as keep a server fast, and put servers on them under the same workloads."""
    return compared(shared, RESOURCES, keep=False, tell=lambda _: None)


def compared(shared: Path, resources: int, *, keep: bool, tell: Tell) -> list[Figure]:
    """The figures of both folders, and for each rate how large a part of it is left; the folders go unless kept."""
    figures: list[Figure] = []
    found = templates(shared)

    def told(figure: Figure) -> None:
        figures.append(figure)
        tell(figure)

    seen: list[dict[str, Figure]] = []
    if not keep:
        shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        for size in (FEW, resources):
            data = FOLDER / str(size)
            loaded(found, size, data, told)
            seen.append(on_data(shared, data, Seed(patients(found, size, SEED)), f"{size:,} resources: ", told))
    finally:
        if not keep:
            shutil.rmtree(FOLDER, ignore_errors=True)
    for name, figure in seen[0].items():
        part = seen[1][name].value / figure.value if figure.value else 0.0
        if figure.unit.endswith("/CPU-s"):
            told(Figure(f"{name}, left of it", part, f"of 1; {'kept' if part >= BAR else 'below'} the bar {BAR:.2f}"))
        elif figure.unit == "ms of a search":
            told(Figure(f"{name}, longer", part, "times"))
    return figures


def loaded(found: Sequence[Template], size: int, data: Path, tell: Tell) -> None:
    """Multiply and import so many resources into a folder, unless it was kept from a former run."""
    files = data.with_suffix(".files")
    if data.is_dir() and not files.is_dir():
        return
    files.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    written = write(found, size, files, SEED)
    name = f"{size:,} resources: "
    tell(Figure(f"{name}made", size / (time.perf_counter() - start), "resources/s"))
    program = str(Path(sys.executable).with_name("nhipcau"))
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([program, "import", "--data", str(data), *map(str, written)], check=True, stdout=sys.stderr)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    on_disk = sum(file.stat().st_size for file in data.rglob("*") if file.is_file())
    tell(Figure(f"{name}import", size / seconds, "resources/s"))
    tell(Figure(f"{name}import, of the CPU", size / spent, "resources/CPU-s"))
    tell(Figure(f"{name}memory of the import at most", after.ru_maxrss / 1e3, "MB"))
    tell(Figure(f"{name}on disk", on_disk / size, "bytes per resource"))
    shutil.rmtree(files)


def on_data(shared: Path, data: Path, seed: Seed, prefix: str, tell: Tell) -> dict[str, Figure]:
    """The figures of a server on a folder: each workload, then each form of search alone."""
    seen: dict[str, Figure] = {}

    def told(figure: Figure) -> None:
        seen[figure.name] = figure
        tell(Figure(prefix + figure.name, figure.value, figure.unit))

    with started_on(data) as server:
        asyncio.run(measured(server, shared, WORKLOADS, SECONDS, CLIENTS, told, seed))
        asyncio.run(searched(server, seed, told))
    return seen


async def searched(server: Server, seed: Seed, tell: Tell) -> None:
    """Tell the median milliseconds of each form of search, one client asking."""
    client = Client(server.base)
    for number, query in enumerate(QUERIES):
        spent: list[float] = []
        for _ in range(SAMPLE):
            asked = query(seed)
            start = time.perf_counter()
            await expect(client, (200,), "GET", page(asked))
            spent.append(1000 * (time.perf_counter() - start))
        tell(Figure(f"search {number}: {asked.partition('=')[0]}", statistics.median(spent), "ms of a search"))
    client.close()


def main() -> int:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=RESOURCES)
    parser.add_argument("--keep", action="store_true", help=f"leave {FOLDER} there, and take what a former run left")
    chosen = parser.parse_args()
    shared = Path(os.environ.get("NHIPCAU_SHARED", "../shared"))
    compared(shared, chosen.resources, keep=chosen.keep, tell=print_figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
