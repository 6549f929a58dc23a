"""A media store in a folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..domain.errors import StoreFailed
from .base import MediaStore, StoredObject

_TEMPORARY = ".incoming-"


class LocalStore(MediaStore):
    """Objects are files below ``root``. Files are written under a temporary name and renamed when whole.

    Args:
        root: the folder; made if it is missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.root.mkdir(parents=True, exist_ok=True)

    def put(self, path: Path, key: str) -> StoredObject:
        target = self._path(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.replace(path, target)
            except OSError:
                # Another file system: copy beside the target, then rename.
                with self._incoming(target) as incoming:
                    shutil.copyfile(path, incoming)
                path.unlink()
        except OSError as error:
            raise _not_stored(key, error) from error
        return self._object(target, key)

    def put_bytes(self, data: bytes, key: str) -> StoredObject:
        target = self._path(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._incoming(target) as incoming:
                incoming.write_bytes(data)
        except OSError as error:
            raise _not_stored(key, error) from error
        return self._object(target, key)

    def fetch(self, key: str, scratch: Path) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise StoreFailed(key, "there is no such object in the store")
        return path

    def read_bytes(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except OSError as error:
            raise StoreFailed(key, f"it cannot be read from the store ({error.strerror})") from error

    def stat(self, key: str) -> StoredObject | None:
        path = self._path(key)
        return self._object(path, key) if path.is_file() else None

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        folder = self.root / prefix.rpartition("/")[0]
        found = []
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent) / name
                key = path.relative_to(self.root).as_posix()
                if key.startswith(prefix) and not name.startswith(_TEMPORARY):
                    found.append(key)
        for key in sorted(found):
            stored = self.stat(key)
            if stored:
                yield stored

    def folders(self, prefix: str) -> list[str]:
        try:
            with os.scandir(self._path(prefix.rstrip("/"))) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except FileNotFoundError:
            return []

    def delete_prefix(self, prefix: str) -> list[str]:
        left: list[str] = []
        for stored in list(self.objects(prefix)):
            try:
                self._path(stored.key).unlink(missing_ok=True)
            except OSError:
                left.append(stored.key)
        if prefix.endswith("/"):
            for parent, _, _ in os.walk(self._path(prefix.rstrip("/")), topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(parent)
        return left

    def locate(self, key: str) -> str:
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if key.startswith("/") or "\0" in key or any(part in ("..", ".") for part in parts):
            raise StoreFailed(key, "it is not a valid key")
        return self.root.joinpath(*parts)

    @staticmethod
    def _object(path: Path, key: str) -> StoredObject:
        found = path.stat()
        return StoredObject(key, found.st_size, found.st_mtime)

    @contextlib.contextmanager
    def _incoming(self, target: Path) -> Iterator[Path]:
        handle, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=target.parent)
        os.close(handle)
        incoming = Path(name)
        try:
            yield incoming
            os.replace(incoming, target)
        finally:
            incoming.unlink(missing_ok=True)


def _not_stored(key: str, error: OSError) -> StoreFailed:
    return StoreFailed(key, f"it could not be stored ({error.strerror})", "Check free space and rights")
