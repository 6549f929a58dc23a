"""What no upload may touch: a file with a secret, and a port that listens."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .lures import SECRET


class Canary:
    """A named pipe that tells if anybody opens it for reading, and gives the secret to whoever does.

    Args:
        path: where to make it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.openings = 0
        self._done = False
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def close(self) -> None:
        self._done = True
        while self._feeder.is_alive():
            # It waits for a reader, or will in a moment: be that one.
            os.close(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
            self._feeder.join(0.05)
        self.path.unlink()

    def _feed(self) -> None:
        while True:
            descriptor = os.open(self.path, os.O_WRONLY)
            if self._done:
                os.close(descriptor)
                return
            self.openings += 1
            with contextlib.suppress(BrokenPipeError):
                os.write(descriptor, SECRET)
            os.close(descriptor)


class Listener:
    """A port of this machine that counts who calls."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.calls = 0
        threading.Thread(target=self._answer, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _answer(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            with caller:
                caller.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + SECRET)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    made = Canary(tmp_path / "canary.mp4")
    yield made
    made.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()
