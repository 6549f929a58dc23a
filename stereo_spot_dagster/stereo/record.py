"""What is recorded of whatever works on the frames of a segment."""

from __future__ import annotations


class Recorded:
    """Something with a ``reset`` at the start of each segment; by default it runs on the CPU and has nothing to say."""

    @property
    def device(self) -> str:
        """What it runs on: ``CPU`` or the name of the GPU."""
        return "CPU"

    @property
    def peak_memory_mb(self) -> float:
        """GPU memory it has used at most since the reset, MB; 0 on a CPU."""
        return 0.0

    def notes(self) -> tuple[str, ...]:
        """What happened since the reset that a person should know, such as falling back for lack of memory."""
        return ()
