"""The resource that gives assets and sensors their workspace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import dagster as dg

from ..convert.workspace import Workspace

Progress = Callable[[str, int, int | None], None]

# A resource is rebuilt from its configuration for each run, so a listener in this process is kept beside it.
_LISTENER: ContextVar[Progress | None] = ContextVar("listener", default=None)


class Studio(dg.ConfigurableResource):
    """Store and scratch space.

    Attributes:
        home: folder of this machine; empty for ``$STEREO_SPOT_HOME``, by default ``./data``.
        store: ``s3://bucket/prefix`` of the media; empty for ``$STEREO_SPOT_STORE``, by default the home folder.
    """

    home: str = ""
    store: str = ""

    @property
    def workspace(self) -> Workspace:
        return Workspace.from_environment(Path(self.home) if self.home else None, self.store)

    def file_value(self, key: str) -> dg.MetadataValue:
        """Where a file of the store lies, for a person."""
        return place_value(self.workspace.store.locate(key))

    def tell(self, what: str, done: int, total: int | None) -> None:
        """Tell whoever listens in this process how far a step is."""
        listener = _LISTENER.get()
        if listener:
            listener(what, done, total)


def place_value(place: str) -> dg.MetadataValue:
    """A path, with which the UI offers to copy it, or the URL of an object, which no browser opens: plain text."""
    return dg.MetadataValue.text(place) if "://" in place else dg.MetadataValue.path(place)


@contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """``progress`` hears (what, done, total) of the steps that run in this process meanwhile."""
    token = _LISTENER.set(progress)
    try:
        yield
    finally:
        _LISTENER.reset(token)
