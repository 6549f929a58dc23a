"""Which device the models run on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stereo_spot_dagster.domain.errors import InvalidSettings
from stereo_spot_dagster.domain.machine import MachineSettings
from stereo_spot_dagster.stereo.devices import choose_device, is_out_of_memory

torch = pytest.importorskip("torch")

CLAIM = (
    "import sys, pathlib; from stereo_spot_dagster.stereo.devices import claim;"
    "print(claim(['first', 'second'], [0, 1], pathlib.Path(sys.argv[1])), flush=True); sys.stdin.read()"
)


def worker(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that claims one of two GPUs and keeps it until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, int(process.stdout.readline())


def test_workers_take_a_gpu_each_and_leave_it_when_they_die(tmp_path: Path) -> None:
    (one, first), (two, second), (three, third) = worker(tmp_path), worker(tmp_path), worker(tmp_path)
    try:
        assert {first, second} == {0, 1}
        assert third == 0
        two.kill()
        two.wait()
        four, fourth = worker(tmp_path)
        four.kill()
        assert fourth == second
    finally:
        for process in (one, two, three):
            process.kill()
            process.wait()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_said_to_be_missing_before_any_work() -> None:
    with pytest.raises(InvalidSettings, match="no GPU"):
        choose_device(MachineSettings(device="cuda"))


def test_a_cpu_computes_in_single_precision_unless_told_otherwise() -> None:
    assert choose_device(MachineSettings(device="cpu")).precision == "fp32"
    device = choose_device(MachineSettings(device="cpu", precision="bf16", vram=4))
    assert (device.dtype, device.memory_gb) == (torch.bfloat16, 4)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False),
        (MemoryError(), False),
    ],
)
def test_only_lack_of_device_memory_counts_as_such(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
