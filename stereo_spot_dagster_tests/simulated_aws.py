"""An AWS account of one's own: moto's server in a process of its own, since servers in one process share an account."""

from __future__ import annotations

import atexit
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from .ports import free_port

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "not-so-secret"}
ENVIRONMENT = CREDENTIALS | {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}
# Of a machine; one of those that moto knows: to ask it for all of them takes seconds.
IMAGE = "ami-03cf127a"
_OWN = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
_START_S = 60.0
_MOTO = "moto.server"


def enter(patch: pytest.MonkeyPatch) -> None:
    """Credentials for servers of this machine, and none of the developer's."""
    for name in _OWN:
        patch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        patch.setenv(name, value)


@contextmanager
def account(server: str = _MOTO) -> Iterator[str]:
    """The address of an empty account.

    Args:
        server: the module that is run for it; it takes ``--host`` and ``--port``.
    """
    found = _idle.pop() if server == _MOTO and _idle else _Server(server)
    try:
        if found.was_used:
            found.empty()
        found.was_used = True
        yield found.endpoint
    except BaseException:
        found.end()
        raise
    if server == _MOTO:
        # To start one takes seconds, to empty it hardly any time.
        _idle.append(found)
    else:
        found.end()


class _Server:
    """A process with an account; it keeps nothing."""

    was_used = False

    def __init__(self, module: str) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", module, "--host", "127.0.0.1", "--port", str(port)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, cwd=Path(__file__).parents[1], **quiet)
        atexit.register(self.end)
        self._wait()

    def empty(self) -> None:
        """Make the account a new one."""
        with urlopen(Request(f"{self.endpoint}/moto-api/reset", method="POST"), timeout=_START_S):
            return

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        end = time.monotonic() + _START_S
        while True:
            try:
                with urlopen(f"{self.endpoint}/moto-api/", timeout=5):
                    return
            except (URLError, OSError):
                if self._process.poll() is not None or time.monotonic() > end:
                    self.end()
                    raise RuntimeError("moto's server did not start") from None
                time.sleep(0.1)


_idle: list[_Server] = []
