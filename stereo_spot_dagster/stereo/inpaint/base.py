"""The interface of inpainters."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..frame import ColorSpace, Frame
from ..record import Recorded
from ..warp.base import SynthesizedView


class Inpainter(Recorded, ABC):
    """Fills the occlusions of the second eye, streaming.

    Views of one segment are pushed in order; completed pictures come back in the same order, at once or after a lag;
    :meth:`finish` returns what is still owed. Visible pixels come back bit-equal.

    Attributes:
        name: as the user writes it.
    """

    name: str

    @abstractmethod
    def reset(self, color: ColorSpace, first_frame: int = 0) -> None:
        """Forget everything about earlier views.

        Args:
            color: how the samples of the views that come next stand for colours.
            first_frame: number in the video of the view that comes next; random numbers are drawn for numbered frames.
        """

    @abstractmethod
    def push(self, view: SynthesizedView, scene_start: bool) -> list[Frame]:
        """Take the next view.

        Args:
            view: the second eye with its occlusions.
            scene_start: True if it is the first of a new shot: temporal state resets there.

        Returns:
            The oldest pictures not yet returned that are complete now, same size and format as their views.
        """

    @abstractmethod
    def finish(self) -> list[Frame]:
        """The pictures not yet returned."""
