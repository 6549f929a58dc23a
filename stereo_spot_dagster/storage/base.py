"""The media store's interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..domain.errors import StoreFailed


class StoreRefused(StoreFailed):
    """The store does not do this, for this key or with these rights: trying again changes nothing."""

    retryable = False


class ObjectsLeft(StoreFailed):
    """Some objects could not be deleted.

    Attributes:
        keys: of the objects that are still there, in order.
    """

    def __init__(self, prefix: str, reasons: Mapping[str, str]) -> None:
        self.keys = tuple(sorted(reasons))
        first = self.keys[0]
        cause = f"{len(self.keys)} objects below it could not be deleted, such as {first} ({reasons[first]})"
        super().__init__(prefix, cause, "Give the right to delete them, or delete them by hand")


@dataclass(frozen=True)
class StoredObject:
    """An object in the store.

    Attributes:
        key: its key.
        size_bytes: its size.
        modified_s: POSIX time of its last change; a bucket knows it to a second only.
        version: another text whenever the object was written anew.
    """

    key: str
    size_bytes: int
    modified_s: float
    version: str = ""


@dataclass(frozen=True)
class PresignedUpload:
    """A request by which somebody without rights may write one object.

    Attributes:
        url: to PUT the content to; a secret until it expires, so not in the repr.
        headers: that must be sent with it, exactly.
    """

    url: str = field(repr=False)
    headers: dict[str, str]


class MediaStore(ABC):
    """Objects by key. An object is there whole or not at all; writing the same key again replaces it at once.

    Keys are paths of Unicode text: case, accents and their decomposition count. :func:`check_key` says what is none.
    Every method raises StoreFailed where the store cannot be reached or does not allow it.
    """

    @property
    def folder(self) -> Path | None:
        """The folder that the objects lie in by their keys, where the store is one."""
        return None

    @abstractmethod
    def put(self, path: Path, key: str) -> StoredObject:
        """Store a local file, which is used up: it is no longer there afterwards.

        Raises:
            StoreFailed: it could not be written whole; what was there before is still there.
        """

    @abstractmethod
    def put_bytes(self, data: bytes, key: str) -> StoredObject:
        """Store a small object."""

    @abstractmethod
    def copy(self, key: str, target: str) -> StoredObject:
        """Store an object under a second key as well, without moving its bytes over this machine.

        Raises:
            StoreFailed: there is no such object, or the copy is not whole.
        """

    @abstractmethod
    def is_copy(self, key: str, other: str) -> bool:
        """True if both objects are there and surely have the same content; answered without reading it."""

    @abstractmethod
    def fetch(self, key: str, scratch: Path) -> Path:
        """A local file with the object's content, for reading only: it may be the object itself.

        After a failure, another call with the same ``scratch`` goes on where the first one stopped.

        Args:
            key: the object's key.
            scratch: a folder for a copy where one is needed.

        Raises:
            StoreFailed: there is no such object, it cannot be read, or what arrived is not what was stored.
        """

    @abstractmethod
    def find_bytes(self, key: str) -> bytes | None:
        """The content of a small object; None if there is none."""

    @abstractmethod
    def stat(self, key: str) -> StoredObject | None:
        """Size and time of an object; None if there is none."""

    @abstractmethod
    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose keys start with ``prefix``, in order of key."""

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """The next path parts below ``prefix`` (which ends with a slash) that have objects below them, sorted.

        One that was emptied a moment ago may still be among them.
        """

    @abstractmethod
    def delete_prefix(self, prefix: str) -> None:
        """Delete every object whose key starts with ``prefix``, which is not empty.

        Raises:
            ObjectsLeft: some could not be deleted; the others are.
        """

    @abstractmethod
    def locate(self, key: str) -> str:
        """A path or ``s3://`` URL at which a person finds the object."""

    @abstractmethod
    def presign_get(self, key: str, expires_s: int = 3600) -> str:
        """A URL at which whoever has it can read the object, with no other rights.

        Args:
            key: the object's key.
            expires_s: seconds that it holds, at most seven days; a folder's does not expire.

        Raises:
            StoreFailed: there is no such object.
        """

    @abstractmethod
    def presign_put(self, key: str, expires_s: int = 3600) -> PresignedUpload:
        """A request by which whoever has it can write the object once or more, with no other rights.

        Raises:
            StoreRefused: the store is a folder, which takes no uploads.
        """

    def read_bytes(self, key: str) -> bytes:
        """The content of a small object.

        Raises:
            StoreFailed: there is no such object or it cannot be read.
        """
        data = self.find_bytes(key)
        if data is None:
            raise no_such_object(self.locate(key))
        return data

    def exists(self, key: str) -> bool:
        return self.stat(key) is not None

    def missing(self, keys: Iterable[str]) -> set[str]:
        """Those of ``keys`` that have no object: by listing their folders, not by asking for each."""
        wanted = set(keys)
        folders = {f"{key.rpartition('/')[0]}/" for key in wanted}
        return wanted - {stored.key for folder in folders for stored in self.objects(folder)}


def no_such_object(place: str) -> StoreFailed:
    """``place`` as :meth:`MediaStore.locate` says it."""
    return StoreFailed(place, "there is no such object in the store")


def check_key(key: str) -> None:
    """Raise StoreRefused for what is no key anywhere: HTTP clients and file systems give ``.`` and ``..`` a meaning."""
    if not key or key.endswith("/"):
        raise StoreRefused(key, "it is not a valid key")
    check_prefix(key)


def check_prefix(prefix: str) -> None:
    """Raise StoreRefused for what no key can start with."""
    parts = prefix.split("/")
    lone_surrogates = any("\ud800" <= ch <= "\udfff" for ch in prefix)
    if prefix.startswith("/") or "\0" in prefix or lone_surrogates or any(part in (".", "..") for part in parts):
        raise StoreRefused(prefix, "it is not a valid key")


def check_deletable(prefix: str) -> None:
    """Raise StoreRefused for a prefix by which everything would be deleted."""
    check_prefix(prefix)
    if not prefix:
        raise StoreRefused("store", "an empty prefix would delete everything", "Name what to delete")
