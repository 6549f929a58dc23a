"""Peak memory of a process and its children, as the kernel counts it (Linux)."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_EVERY_S = 0.1


@dataclass(frozen=True)
class PeakMemory:
    """Peaks in megabytes of proportional set size: shared pages are counted once.

    Attributes:
        own_mb: of the process itself.
        all_mb: of the process and everything below it at the same time.
    """

    own_mb: float
    all_mb: float


def peak_memory_mb(command: list[str], environment: dict[str, str]) -> PeakMemory:
    """Run ``command`` to its end and watch it.

    Raises:
        RuntimeError: it failed; its last words are in the message.
    """
    own = everything = 0
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None:
            sizes = {pid: _size(pid) for pid in _family(process.pid)}
            own = max(own, sizes.get(process.pid, 0))
            everything = max(everything, sum(sizes.values()))
            time.sleep(_EVERY_S)
        assert process.stderr is not None
        words = process.stderr.read()
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed: {words[-500:]}")
    return PeakMemory(own / 1000, everything / 1000)


def _family(root: int) -> set[int]:
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry)] = int(fields[1])
    family, grown = {root}, True
    while grown:
        grown = False
        for child, parent in parents.items():
            if parent in family and child not in family:
                family.add(child)
                grown = True
    return family


def _size(pid: int) -> int:
    """Proportional set size in kB; 0 for a process that has just ended."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
