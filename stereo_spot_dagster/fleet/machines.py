"""What a GPU machine has, and the share of it that one task may take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# The ECS agent, Docker and the system keep this much of a machine's memory.
_KEPT_SHARE, _KEPT_MIB = 0.03, 1024
_KEPT_CPU_UNITS = 256


class MachineType(BaseModel):
    """An EC2 instance type with GPUs.

    Attributes:
        gpus: how many it has.
        vcpus: virtual processors.
        memory_gib: main memory.
    """

    model_config = ConfigDict(frozen=True)

    gpus: Annotated[int, Field(gt=0)]
    vcpus: Annotated[int, Field(gt=0)]
    memory_gib: Annotated[int, Field(gt=0)]

    @property
    def task_cpu(self) -> int:
        """CPU units (1024 for a virtual processor) that a task with one GPU can have."""
        return (self.vcpus * 1024 - _KEPT_CPU_UNITS) // self.gpus

    @property
    def task_memory_mib(self) -> int:
        """MiB that a task with one GPU can have."""
        whole = self.memory_gib * 1024
        return int(whole * (1 - _KEPT_SHARE) - _KEPT_MIB) // self.gpus


# From the AWS page on accelerated instances. All of g5 have A10G GPUs of 24 GB.
MACHINE_TYPES = {
    "g5.xlarge": MachineType(gpus=1, vcpus=4, memory_gib=16),
    "g5.2xlarge": MachineType(gpus=1, vcpus=8, memory_gib=32),
    "g5.4xlarge": MachineType(gpus=1, vcpus=16, memory_gib=64),
    "g5.8xlarge": MachineType(gpus=1, vcpus=32, memory_gib=128),
    "g5.16xlarge": MachineType(gpus=1, vcpus=64, memory_gib=256),
    "g5.12xlarge": MachineType(gpus=4, vcpus=48, memory_gib=192),
    "g5.24xlarge": MachineType(gpus=4, vcpus=96, memory_gib=384),
    "g5.48xlarge": MachineType(gpus=8, vcpus=192, memory_gib=768),
}
