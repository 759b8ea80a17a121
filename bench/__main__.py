"""Print `name: value unit` for each benchmark and write `build/bench.json`: `python -m bench [NAME]`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from bench import (
    authorization,
    consultation,
    engine,
    extraction,
    http,
    images,
    media,
    million,
    national,
    startup,
    store,
)
from bench.figure import Figure

REPORT = Path("build/bench.json")
BENCHMARKS: dict[str, Callable[[Path], list[Figure]]] = {
    "startup": startup.measure,
    "engine": engine.measure,
    "extraction": extraction.measure,
    "http": http.measure,
    "store": store.measure,
    "authorization": authorization.measure,
    "images": images.measure,
    "consultation": consultation.measure,
    "media": media.measure,
    "national": national.measure,
    "million": million.measure,
}
ON_DEMAND = frozenset({"million"})
"""What takes longer than a few minutes, and only runs when it is named."""


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; 1 when the shared data is missing or a name is unknown."""
    shared = Path(os.environ.get("NHIPCAU_SHARED", "../shared"))
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown or not shared.is_dir():
        wrong = f"no benchmark {unknown[0]!r}: {', '.join(BENCHMARKS)}" if unknown else f"no shared data at {shared}"
        print(wrong, file=sys.stderr)
        return 1
    figures: list[Figure] = []
    for name in names or [name for name in BENCHMARKS if name not in ON_DEMAND]:
        for figure in BENCHMARKS[name](shared):
            figures.append(figure)
            print(f"{figure.name}: {figure.value:,.4g} {figure.unit}", flush=True)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps({f.name: {"value": f.value, "unit": f.unit} for f in figures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
