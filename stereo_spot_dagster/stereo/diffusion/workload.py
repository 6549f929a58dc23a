"""A model's work on its device: as much at once as the memory allows, and a record of what was given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..devices import is_out_of_memory
from .memory import Load, fit, reduced
from .networks import Networks

_Result = TypeVar("_Result")


class Workload:
    """Plans how much is done at once, and goes on with less when that was too much.

    What was given up stays so while the pictures keep their size: the next segment does not have to fail first.

    Attributes:
        load: how much is done at once now.

    Args:
        networks: what works.
        name: of the model, as the user writes it.
        load: before anything is known of the pictures.
    """

    def __init__(self, networks: Networks, name: str, load: Load) -> None:
        self.load = load
        self._networks, self._name = networks, name
        self._whole: Load | None = None
        self._planned = load
        self.begin()

    def begin(self) -> None:
        """A segment begins: forget what was noted of the one before."""
        self._notes: list[str] = []
        self._announced = False

    def notes(self) -> tuple[str, ...]:
        """What was given up since :meth:`begin`."""
        return tuple(self._notes)

    def plan(self, whole: Load) -> None:
        """Fit what would be done at once with plenty of memory into what there is."""
        memory_gb = self._networks.device.memory_gb
        if whole != self._whole:
            self._whole = whole
            self.load = self._planned = fit(whole, memory_gb)
        if self._announced:
            return
        self._announced = True
        if self.load != self._planned:
            self._notes.append(f"out of memory in an earlier segment: works with {self.load.describe()}")
        elif self.load != whole:
            self._notes.append(f"planned for {memory_gb:.1f} GB: {self.load.describe()}")

    def run(self, work: Callable[[], _Result]) -> _Result:
        """``work()``; called again with a smaller :attr:`load` when the memory was too small.

        Raises:
            DeviceOutOfMemory: there is nothing left to give up.
        """
        while True:
            try:
                self._networks.place(self.load.offload)
                return work()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            # Only here, where the error and the tensors it holds are gone, is there memory to give back.
            self.load = reduced(self.load, self._name)
            self._notes.append(f"out of memory: went on with {self.load.describe()}")
            self._networks.device.release()
