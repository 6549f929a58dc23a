"""The first start of a GPU machine, run here with stand-ins for the commands that need one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from .synthesis import INFRA

SCRIPT = INFRA / "stereo_spot_infra" / "machine.sh"


@dataclass(frozen=True)
class Machine:
    """A folder that stands for a machine's disk, and the commands that were called."""

    root: Path

    def start(self, *, disk: bool, copied: bool) -> subprocess.CompletedProcess[str]:
        commands = self.root / "bin"
        commands.mkdir(parents=True)
        (self.root / "etc/ecs").mkdir(parents=True)
        (self.root / "etc/tmpfiles.d").mkdir()
        stand_ins = {
            "lsblk": "echo '/dev/nvme0n1 Amazon Elastic Block Store'; "
            + ("echo '/dev/nvme1n1 Amazon EC2 NVMe Instance Storage'" if disk else "true"),
            "aws": "exit 0" if copied else "exit 1",
            **dict.fromkeys(("mkfs.xfs", "mount", "chown", "dnf"), "exit 0"),
            "mountpoint": "exit 1",
        }
        for name, body in stand_ins.items():
            path = commands / name
            path.write_text(f'#!/bin/bash\necho "{name} $*" >> {self.root}/called\n{body}\n')
            path.chmod(0o755)
        script = SCRIPT.read_text(encoding="utf-8").replace("/etc/", f"{self.root}/etc/")
        values = {
            "@CLUSTER@": "stereo-spot",
            "@FOLDER@": f"{self.root}/folder",
            "@WEIGHTS@": "s3://media/weights/",
            "@USER@": "1000",
        }
        for placeholder, value in values.items():
            script = script.replace(placeholder, value)
        return subprocess.run(
            ["bash", "-c", script],
            env={"PATH": f"{commands}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def called(self) -> str:
        return (self.root / "called").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_ecs_is_told_which_cluster_the_machine_is_for(machine: Machine) -> None:
    assert machine.start(disk=True, copied=True).returncode == 0
    config = (machine.root / "etc/ecs/ecs.config").read_text()
    assert "ECS_CLUSTER=stereo-spot\n" in config
    assert "ECS_ENABLE_GPU_SUPPORT=true\n" in config


def test_the_disk_of_the_machine_is_used_and_not_the_one_it_starts_from(machine: Machine) -> None:
    machine.start(disk=True, copied=True)
    assert "mkfs.xfs -f -q /dev/nvme1n1\n" in machine.called
    assert "nvme0n1" not in machine.called


def test_a_machine_without_a_disk_of_its_own_uses_the_one_it_has(machine: Machine) -> None:
    assert machine.start(disk=False, copied=True).returncode == 0
    assert "mkfs" not in machine.called
    assert (machine.root / "folder/weights").is_dir()


def test_weights_that_cannot_be_copied_are_mentioned_and_stop_nothing(machine: Machine) -> None:
    started = machine.start(disk=True, copied=False)
    assert started.returncode == 0
    assert "could not be copied" in started.stdout
