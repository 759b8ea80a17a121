"""CPU time of work over items, so that a busy machine disturbs the figures little."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")
ROUNDS = 5
LEAST = 0.2


def cpu_seconds(work: Callable[[Item], object], items: Sequence[Item]) -> float:
    """The CPU seconds of one pass over the items."""
    start = time.process_time()
    for item in items:
        work(item)
    return time.process_time() - start


def race(forms: Mapping[str, Callable[[Item], object]], items: Sequence[Item]) -> dict[str, float]:
    """The best CPU seconds per item of each form, the forms taken in turns so that a noisy neighbour hits all alike."""
    gc.collect()
    best = dict.fromkeys(forms, float("inf"))
    for _ in range(ROUNDS):
        for name, work in forms.items():
            spent, passes = 0.0, 0
            while spent < LEAST:
                spent += cpu_seconds(work, items)
                passes += 1
            best[name] = min(best[name], spent / passes / len(items))
    return best
