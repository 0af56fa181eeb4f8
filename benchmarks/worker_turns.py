"""What the workers of other libraries share; needs nothing but Python, since it runs in theirs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def say(**values: Any) -> None:
    """Answer with one line of JSON."""
    print(json.dumps(values), file=sys.__stdout__, flush=True)


def answer_turns(train: Callable[[], object], evaluate: Callable[[], dict[str, float]]) -> None:
    """Answer every line on standard input, ``train N`` or ``evaluate``, with the seconds that it took.

    Args:
        train: trains one epoch, or fits once.
        evaluate: measures the test part and returns figures for the answer.
    """
    for line in sys.stdin:
        order = line.split()
        figures: dict[str, float] = {}
        started = time.perf_counter()
        if order[0] == "train":
            for _ in range(int(order[1])):
                train()
        else:
            figures = evaluate()
        seconds = time.perf_counter() - started
        say(seconds=seconds, peak_memory_mb=peak_memory_mb(), **figures)


def peak_memory_mb() -> float:
    """Return the most memory that this process has held; what its parent held does not count."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
