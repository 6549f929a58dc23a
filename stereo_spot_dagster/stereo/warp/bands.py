"""Runs a compiled kernel over bands of rows, one band for each core."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any


def over_rows(kernel: Callable[..., int], rows: int, *arguments: Any) -> int:
    """Calls ``kernel(first_row, last_row, *arguments)`` on bands that cover ``range(rows)`` once.

    Threads and ``nogil`` kernels rather than numba's own ``parallel=True``: numba's built-in pool aborts the process
    when two Python threads enter it at once, and depth and warp of different frames do run at once here.

    Args:
        kernel: a numba function compiled with ``nogil=True``; it may write only to rows of its own band.
        rows: how many rows there are.
        arguments: passed on to the kernel.

    Returns:
        The sum of what the calls returned.
    """
    workers = max(1, min(_cores(), rows))
    edges = [rows * index // workers for index in range(workers + 1)]
    if workers == 1:
        return kernel(0, rows, *arguments)
    pool = _pool(os.getpid())
    others = [pool.submit(kernel, first, last, *arguments) for first, last in pairwise(edges[1:])]
    return kernel(0, edges[1], *arguments) + sum(other.result() for other in others)


@cache
def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(pid: int) -> ThreadPoolExecutor:
    # One pool for each process: threads do not survive a fork.
    return ThreadPoolExecutor(max(1, _cores() - 1), thread_name_prefix=f"rows-{pid}")
