"""What a child process may use at most: an upload must not be able to bring down the machine that looks into it."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# An uncompressed 8K frame with alpha is 133 MB; larger pictures are decompression bombs or not video.
MAX_PIXELS = 8192 * 8192
MAX_SIDE = 16384
# Encoders do not take less.
MIN_SIDE = 2
# 46 hours at 60 pictures a second.
MAX_FRAMES = 10_000_000
# On average over a file; the fastest cameras that write films are at some thousands.
MAX_RATE = 100_000
# The film is one of them. A broadcast of many channels has some hundred; each costs the probe memory and time.
MAX_STREAMS = 256
MAX_CHAPTERS = 10_000

# A picture of the largest size takes 0.5 GB and decoders hold several of them.
_LEAST_MEMORY = 4 << 30
_SHARE_OF_MEMORY = 0.75
_LARGEST_FILE = 1 << 40
_OPEN_FILES = 1024
_LONGEST_S = 30 * 24 * 3600.0
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class ChildLimits:
    """Hard limits of one child process, kept by the kernel.

    Attributes:
        memory_bytes: writable memory (data, heap and anonymous mappings), not the address space that is only reserved.
        cpu_s: seconds of processor time, of all its threads together.
        file_bytes: size of a file that it writes.
        open_files: files that it has open at once.
    """

    memory_bytes: int
    cpu_s: int
    file_bytes: int = _LARGEST_FILE
    open_files: int = _OPEN_FILES

    @classmethod
    def lasting(cls, seconds: float | None) -> ChildLimits:
        """Limits of a child that may run for ``seconds``; None for one that is watched for stalling instead."""
        cpu_s = (seconds or _LONGEST_S) * (os.cpu_count() or 1) + 1
        return cls(max(_LEAST_MEMORY, int(_SHARE_OF_MEMORY * memory_of_this_machine())), int(cpu_s))


def set_limits(pid: int, limits: ChildLimits) -> None:
    """Put a child that has just started under ``limits``, never above those of this process. Linux only.

    It is done from outside: code between fork and exec is not safe in a process with threads. A child that has ended
    already needs none.
    """
    if sys.platform != "linux":
        return
    import resource

    wanted = {
        resource.RLIMIT_DATA: limits.memory_bytes,
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        # The memory of a crashed decoder is as large as the limit above.
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # The warning comes at the first limit, the end without a word at the second.
        last = most if kind != resource.RLIMIT_CPU or most == hard else most + 5
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, kind, (most, last))


@lru_cache(maxsize=1)
def memory_of_this_machine() -> int:
    """Bytes of memory of this machine, or of the container that we are in."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for place in map(Path, _CGROUP_LIMITS):
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int(place.read_text(encoding="ascii")))
    return min(sizes)
