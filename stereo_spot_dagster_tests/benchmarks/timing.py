"""How long things take, on machines where other things happen too."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median_ms(work: Callable[[], object], runs: int = 15) -> float:
    """Median duration of ``work`` over ``runs`` calls after one that is not counted, milliseconds."""
    work()
    return statistics.median(seconds(work) for _ in range(runs)) * 1000


def seconds(work: Callable[[], object]) -> float:
    """Duration of one call of ``work``."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
