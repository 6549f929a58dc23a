"""Ctrl-C is never lost: Dagster catches it while a run works, and forgets it where the run ends at that moment."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raises KeyboardInterrupt at its end if SIGINT has come inside, whatever handler was in place and took it.

    The kernel's note of a signal is kept beside the handlers (``signal.set_wakeup_fd``). In threads other than the main
    one, which get no signals, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    came = False
    try:
        yield
        with contextlib.suppress(BlockingIOError):
            came = signal.SIGINT in os.read(reading, 4096)
    finally:
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)
    if came:
        raise KeyboardInterrupt
