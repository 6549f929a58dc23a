"""An AWS account of one's own: moto's server in a process of its own, since servers in one process share an account."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

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
_OWN = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
_START_S = 60.0


def enter(patch: pytest.MonkeyPatch) -> None:
    """Credentials for servers of this machine, and none of the developer's."""
    for name in _OWN:
        patch.delenv(name, raising=False)
    for name, value in ENVIRONMENT.items():
        patch.setenv(name, value)


@contextmanager
def account(server: str = "moto.server") -> Iterator[str]:
    """The address of an empty account.

    Args:
        server: the module that is run for it; it takes ``--host`` and ``--port``.
    """
    port = free_port()
    command = [sys.executable, "-m", server, "--host", "127.0.0.1", "--port", str(port)]
    endpoint = f"http://127.0.0.1:{port}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], **quiet) as process:
        try:
            _wait_for(endpoint, process)
            yield endpoint
        finally:
            # It keeps nothing.
            process.kill()


def _wait_for(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            with urlopen(f"{endpoint}/moto-api/", timeout=5):
                return
        except (URLError, OSError):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("moto's server did not start") from None
            time.sleep(0.1)
