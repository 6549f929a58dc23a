"""A media store in a folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..domain.errors import StoreFailed
from .base import (
    MediaStore,
    ObjectsLeft,
    PresignedUpload,
    StoredObject,
    StoreRefused,
    check_deletable,
    check_key,
    check_prefix,
    no_such_object,
)

_TEMPORARY = ".incoming-"


class LocalStore(MediaStore):
    """Objects are files below ``root``. Files are written under a temporary name and renamed when whole.

    Args:
        root: the folder; made if it is missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.root.mkdir(parents=True, exist_ok=True)

    @property
    def folder(self) -> Path:
        return self.root

    def put(self, path: Path, key: str) -> StoredObject:
        target = self._path(key)
        with _storing(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.replace(path, target)
            except OSError:
                # Another file system: copy beside the target, then rename.
                with self._incoming(target) as incoming:
                    shutil.copyfile(path, incoming)
                path.unlink()
        return self._object(target, key)

    def put_bytes(self, data: bytes, key: str) -> StoredObject:
        target = self._path(key)
        with _storing(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._incoming(target) as incoming:
                incoming.write_bytes(data)
        return self._object(target, key)

    def copy(self, key: str, target: str) -> StoredObject:
        source, path = self.fetch(key, self.root), self._path(target)
        with _storing(target):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._incoming(path) as incoming:
                incoming.unlink()
                try:
                    # A second name costs no space; objects are replaced, never changed, so it is as good as a copy.
                    os.link(source, incoming)
                except OSError:
                    shutil.copyfile(source, incoming)
        return self._object(path, target)

    def is_copy(self, key: str, other: str) -> bool:
        try:
            return os.path.samefile(self._path(key), self._path(other))
        except OSError:
            return False

    def fetch(self, key: str, scratch: Path) -> Path:
        path = self._path(key)
        if not self.exists(key):
            raise no_such_object(key)
        return path

    def find_bytes(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise _not_read(key, error) from error

    def stat(self, key: str) -> StoredObject | None:
        path = self._path(key)
        try:
            return self._object(path, key) if path.is_file() else None
        except FileNotFoundError:
            # Deleted between the two.
            return None
        except OSError as error:
            raise _not_read(key, error) from error

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        check_prefix(prefix)
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
        check_prefix(prefix)
        try:
            with os.scandir(self.root / prefix) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _not_read(prefix, error) from error

    def delete_prefix(self, prefix: str) -> None:
        check_deletable(prefix)
        left: dict[str, str] = {}
        for stored in list(self.objects(prefix)):
            try:
                self._path(stored.key).unlink(missing_ok=True)
            except OSError as error:
                left[stored.key] = error.strerror or str(error)
        if prefix.endswith("/"):
            for parent, _, _ in os.walk(self.root / prefix, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(parent)
        if left:
            raise ObjectsLeft(prefix, left)

    def locate(self, key: str) -> str:
        return str(self._path(key) if key else self.root)

    def presign_get(self, key: str, expires_s: int = 3600) -> str:
        return self.fetch(key, self.root).as_uri()

    def presign_put(self, key: str, expires_s: int = 3600) -> PresignedUpload:
        raise StoreRefused(key, "a folder takes no uploads by URL", "Copy the file into the drop folder")

    def _path(self, key: str) -> Path:
        check_key(key)
        parts = key.split("/")
        if "" in parts:
            # The file system would drop the empty part, and give the object of another key.
            raise StoreRefused(key, "it is not a valid key in a folder")
        return self.root.joinpath(*parts)

    @staticmethod
    def _object(path: Path, key: str) -> StoredObject:
        found = path.stat()
        version = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
        return StoredObject(key, found.st_size, found.st_mtime, version)

    @contextlib.contextmanager
    def _incoming(self, target: Path) -> Iterator[Path]:
        handle, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=target.parent)
        os.close(handle)
        incoming = Path(name)
        try:
            yield incoming
            os.replace(incoming, target)
        finally:
            # Two names of one file make replace do nothing and leave the first.
            incoming.unlink(missing_ok=True)


@contextlib.contextmanager
def _storing(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = f"it could not be stored ({error.strerror})"
        raise StoreFailed(key, cause, "Check free space and rights") from error


def _not_read(key: str, error: OSError) -> StoreFailed:
    return StoreFailed(key, f"it cannot be read from the store ({error.strerror})")
