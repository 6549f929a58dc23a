"""The resource that gives assets and sensors their workspace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import dagster as dg

from ..convert.workspace import Workspace, home_folder

Progress = Callable[[str, int, int | None], None]

# A resource is rebuilt from its configuration for each run, so a listener in this process is kept beside it.
_LISTENER: ContextVar[Progress | None] = ContextVar("listener", default=None)


class Studio(dg.ConfigurableResource):
    """Store and scratch space.

    Attributes:
        home: folder that holds everything; empty for ``$STEREO_SPOT_HOME``, by default ``./data``.
    """

    home: str = ""

    @property
    def workspace(self) -> Workspace:
        return Workspace.local(Path(self.home) if self.home else home_folder())

    def tell(self, what: str, done: int, total: int | None) -> None:
        """Tell whoever listens in this process how far a step is."""
        listener = _LISTENER.get()
        if listener:
            listener(what, done, total)


@contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """``progress`` hears (what, done, total) of the steps that run in this process meanwhile."""
    token = _LISTENER.set(progress)
    try:
        yield
    finally:
        _LISTENER.reset(token)
