"""The three services of the fleet as processes: code server, daemon, webserver."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

BIN = Path(sys.executable).parent


class Service:
    """A program of Dagster that runs until it is killed.

    Args:
        name: of its log.
        command: as its container has it.
        environment: all it gets.
        folder: where its log lies.
    """

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.log = folder / f"{name}.log"
        self._command = [str(BIN / command[0]), *command[1:]]
        self._environment = dict(environment)
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.log.parent,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL for all of its processes: its state is in the database, the bucket and the queue."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def is_up(self) -> bool:
        return self._process.poll() is None

    def last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]
