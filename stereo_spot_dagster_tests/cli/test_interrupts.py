"""An interrupt stops a conversion, also where Dagster has caught it and forgotten it."""

from __future__ import annotations

import os
import signal

import pytest
from dagster._utils.interrupts import capture_interrupts

from stereo_spot_dagster.cli.interrupts import interrupts_kept


def test_an_interrupt_that_dagster_forgets_at_the_end_of_a_run_is_kept() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts_kept(), capture_interrupts():
        os.kill(os.getpid(), signal.SIGINT)


def test_without_an_interrupt_nothing_happens_and_other_signals_are_none() -> None:
    before = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    try:
        with interrupts_kept():
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert signal.set_wakeup_fd(-1) == -1


def interrupt_and_fail() -> None:
    with interrupts_kept(), capture_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        raise ValueError("first")


def test_an_error_inside_is_not_hidden_by_an_interrupt() -> None:
    with pytest.raises(ValueError, match="first"):
        interrupt_and_fail()
