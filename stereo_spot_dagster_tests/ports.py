"""Ports for servers that tests start."""

from __future__ import annotations

import fcntl
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

# Below those that the system gives to outgoing connections, any of which could take one before its server listens.
_FIRST, _LAST = 20_000, 31_999
_FOLDER = Path(tempfile.gettempdir()) / "stereo-spot-test-ports"
# Locked as long as this process lives, so that no other process of tests chooses the same port.
_taken: list[IO[bytes]] = []


def free_port() -> int:
    """A port of this machine that nobody listens on, and that no other call returns."""
    _FOLDER.mkdir(exist_ok=True)
    while True:
        port = random.SystemRandom().randint(_FIRST, _LAST)
        claim = (_FOLDER / str(port)).open("ab")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _taken.append(claim)
        return port
