"""Starts the real thing: `dagster dev` with its web server, daemon and workers as processes, and talks to it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from ..ports import free_port

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
REPOSITORY_NAME, LOCATION = "__repository__", "stereo_spot_dagster"
_START_S = 120.0


@dataclass(frozen=True)
class Home:
    """A home folder with a Dagster instance of its own beside it.

    Attributes:
        path: ``$STEREO_SPOT_HOME``.
    """

    path: Path

    @classmethod
    def make(cls, path: Path) -> Home:
        """Folders as `make dev` makes them."""
        (path / "dagster").mkdir(parents=True)
        (path / "drop").mkdir()
        shutil.copy(REPOSITORY / "dagster.yaml", path / "dagster" / "dagster.yaml")
        return cls(path)

    @property
    def environment(self) -> dict[str, str]:
        own = {"STEREO_SPOT_HOME": str(self.path), "DAGSTER_HOME": str(self.path / "dagster"), "NO_COLOR": "1"}
        return os.environ | own

    @property
    def drop(self) -> Path:
        return self.path / "drop"

    @property
    def done(self) -> Path:
        return self.path / "done"

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The instance, for looking into its events."""
        with dg.DagsterInstance.from_config(str(self.path / "dagster")) as instance:
            yield instance

    def wipe_database(self) -> None:
        """Delete everything Dagster knows; its settings stay."""
        for entry in (self.path / "dagster").iterdir():
            if entry.name != "dagster.yaml":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def run(self, *command: str, timeout_s: float = 180.0) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's programs from the repository root."""
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


class Stack:
    """A running `dagster dev`.

    Args:
        home: where it works.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = free_port()
        self.log = home.path / "stack.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(BIN / "dagster"), "dev", "-w", "workspace.yaml", "-p", str(self.port), "-h", "127.0.0.1"],
                cwd=REPOSITORY,
                env=home.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_up(self) -> None:
        wait_for(lambda: self._answers(), _START_S, "the web server to answer")

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        """One GraphQL request, as the UI sends it."""
        return ask(self.url, text, variables)

    def stop(self) -> None:
        """End it as Ctrl-C does, and kill what is left of its process group."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(15)
        self.kill()

    def kill(self) -> None:
        """SIGKILL for every process of it, its workers too: a power cut."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def processes(self, words: str) -> list[int]:
        """Process ids of the stack whose command line holds ``words``."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError, ProcessLookupError):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    if words in line and os.getpgid(int(entry.name)) == self._process.pid:
                        found.append(int(entry.name))
        return found

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def ask(url: str, text: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The answer of the web server at ``url`` to one GraphQL request."""
    body = json.dumps({"query": text, "variables": variables}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        document = json.load(answer)
    assert "errors" not in document, document["errors"]
    return document["data"]


@contextlib.contextmanager
def running_stack(home: Home) -> Iterator[Stack]:
    """A stack that is up, and is gone afterwards with all of its processes."""
    stack = Stack(home)
    try:
        stack.wait_until_up()
        yield stack
    finally:
        stack.stop()


def wait_for(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """The first true value of ``condition``."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.3)
    raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}")
