"""The device that trained models run on, chosen once for a process."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..domain.errors import InvalidSettings
from ..domain.machine import MachineSettings

if TYPE_CHECKING:
    import torch

_GIB, _MIB = 1 << 30, 1 << 20
# Lock files of the GPUs this process has claimed, open for as long as it lives.
_CLAIMED: dict[str, int] = {}


@dataclass(frozen=True)
class Device:
    """Where networks run and in which numbers.

    Attributes:
        torch: torch's name of it: ``cpu``, ``mps``, ``cuda``, ``cuda:1``.
        name: what a person calls it: ``CPU`` or the GPU's product name.
        precision: ``fp16``, ``bf16`` or ``fp32``.
        memory_gb: memory that the models may plan for, in units of 2**30 bytes; None where it is not limited (CPU).
        compile: True if networks are to be compiled.
    """

    torch: str
    name: str
    precision: str
    memory_gb: float | None = None
    compile: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the networks."""
        import torch

        return {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[self.precision]

    @property
    def is_cuda(self) -> bool:
        return self.torch.startswith("cuda")

    def peak_memory_mb(self) -> float:
        """Most GPU memory this process had allocated since :meth:`reset_peak`, units of 2**20 bytes; 0 without CUDA."""
        if not self.is_cuda:
            return 0.0
        import torch

        return torch.cuda.max_memory_allocated(self.torch) / _MIB

    def reset_peak(self) -> None:
        """Count the peak from here on."""
        if self.is_cuda:
            import torch

            torch.cuda.reset_peak_memory_stats(self.torch)

    def release(self) -> None:
        """Give memory that no tensor uses back to the driver."""
        if self.is_cuda:
            import torch

            torch.cuda.empty_cache()


def choose_device(machine: MachineSettings) -> Device:
    """The device that ``machine`` asks for, or the best there is.

    Workers on a machine with several GPUs spread over them: each claims one that no other worker has.

    Raises:
        InvalidSettings: the device asked for is not there.
    """
    # Fragmentation costs gigabytes with tensors of so many sizes; read by torch when it starts to use a GPU.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    import torch

    wanted = machine.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if wanted.startswith("cuda"):
        if not torch.cuda.is_available():
            raise InvalidSettings("device", f"'{wanted}' was asked for, but torch finds no GPU", "Use cpu or auto")
        return _gpu(wanted, machine)
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise InvalidSettings("device", "'mps' was asked for, but torch finds none", "Use cpu or auto")
    precision = machine.precision
    if precision == "auto":
        # On a CPU half precision is slower, and several operators lack it.
        precision = "fp16" if wanted == "mps" else "fp32"
    return Device(wanted, "CPU" if wanted == "cpu" else "Apple GPU", precision, machine.vram, machine.compile)


def _gpu(wanted: str, machine: MachineSettings) -> Device:
    import torch

    if ":" in wanted:
        index = int(wanted.partition(":")[2])
        if index >= torch.cuda.device_count():
            count = torch.cuda.device_count()
            raise InvalidSettings("device", f"'{wanted}' was asked for, but there are {count} GPUs", "Count from 0")
    else:
        free_first = sorted(range(torch.cuda.device_count()), key=lambda gpu: -torch.cuda.mem_get_info(gpu)[0])
        index = claim([str(torch.cuda.get_device_properties(gpu).uuid) for gpu in free_first], free_first)
    free, total = torch.cuda.mem_get_info(index)
    # What this process holds already is its own to use again: models take turns on the device.
    memory_gb = machine.vram or (free + torch.cuda.memory_reserved(index)) / _GIB
    if machine.vram:
        # A hard limit, so that a plan that was too bold fails here and not in another process on the same GPU.
        torch.cuda.set_per_process_memory_fraction(min(1.0, machine.vram * _GIB / total), index)
    precision = "fp16" if machine.precision == "auto" else machine.precision
    name = torch.cuda.get_device_name(index)
    return Device(f"cuda:{index}", name, precision, memory_gb, machine.compile)


def claim(names: Sequence[str], indices: Sequence[int], folder: Path | None = None) -> int:
    """Claim a GPU for the rest of this process's life.

    Args:
        names: of the GPUs, the same in every process, best first.
        indices: of the same GPUs in this process.
        folder: where the lock files of all workers lie; the system's folder for temporary files without one.

    Returns:
        The index of the first GPU that no other worker has claimed; the first of all if each has a worker.
    """
    for name, index in zip(names, indices, strict=True):
        if name in _CLAIMED:
            return index
        path = (folder or Path(tempfile.gettempdir())) / f"stereo-spot-gpu-{name}.lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            # Another user's lock: that GPU has a worker.
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            continue
        # The lock goes with the process, however it ends.
        _CLAIMED[name] = handle
        return index
    return indices[0]


def is_out_of_memory(error: BaseException) -> bool:
    """True if ``error`` says that the device's memory was too small."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return True
    # cuDNN, cuBLAS, MPS and the CPU report it as plain errors.
    reports = ("out of memory", "status_alloc_failed", "not enough memory", "can't allocate memory")
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(report in words for report in reports)
