"""The media store's interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StoredObject:
    """An object in the store.

    Attributes:
        key: its key.
        size_bytes: its size.
        modified_s: POSIX time of its last change.
    """

    key: str
    size_bytes: int
    modified_s: float


class MediaStore(ABC):
    """Objects by key. An object is there whole or not at all; writing the same key again replaces it at once."""

    @abstractmethod
    def put(self, path: Path, key: str) -> StoredObject:
        """Store a local file, which is used up: the store may move it.

        Raises:
            StoreFailed: it could not be written whole.
        """

    @abstractmethod
    def put_bytes(self, data: bytes, key: str) -> StoredObject:
        """Store a small object."""

    @abstractmethod
    def fetch(self, key: str, scratch: Path) -> Path:
        """A local file with the object's content, for reading only: it may be the object itself.

        Args:
            key: the object's key.
            scratch: a folder for a copy where one is needed.

        Raises:
            StoreFailed: there is no such object or it cannot be read.
        """

    @abstractmethod
    def read_bytes(self, key: str) -> bytes:
        """The content of a small object.

        Raises:
            StoreFailed: there is no such object or it cannot be read.
        """

    @abstractmethod
    def stat(self, key: str) -> StoredObject | None:
        """Size and time of an object; None if there is none."""

    @abstractmethod
    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose keys start with ``prefix``, in order of key."""

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """The next path parts below ``prefix`` (which ends with a slash) that have objects below them, sorted."""

    @abstractmethod
    def delete_prefix(self, prefix: str) -> list[str]:
        """Delete every object whose key starts with ``prefix``; returns the keys that could not be deleted."""

    @abstractmethod
    def locate(self, key: str) -> str:
        """A path or URL at which a person can open the object."""

    def exists(self, key: str) -> bool:
        return self.stat(key) is not None
