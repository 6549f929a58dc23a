"""What is particular to a store in a folder; what it shares with others is in test_contract."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereo_spot_dagster.domain.errors import StoreFailed
from stereo_spot_dagster.storage import local
from stereo_spot_dagster.storage.base import ObjectsLeft, StoreRefused
from stereo_spot_dagster.storage.local import LocalStore


@pytest.fixture
def folder_store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def test_a_file_from_another_file_system_arrives_whole(
    folder_store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, path = local.os.replace, tmp_path / "new"
    path.write_bytes(b"abc")

    def across(source: Path, target: Path) -> None:
        if Path(source) == path:
            raise OSError(18, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(local.os, "replace", across)
    folder_store.put(path, "a/b")
    assert folder_store.read_bytes("a/b") == b"abc"
    assert not path.exists()


def test_a_failed_write_leaves_the_old_object_and_no_rest(
    folder_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_store.put_bytes(b"old", "a/b")

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreFailed, match="No space left"):
        folder_store.put_bytes(b"new", "a/b")
    assert folder_store.read_bytes("a/b") == b"old"
    assert sorted(path.name for path in (folder_store.root / "a").iterdir()) == ["b"]


@given(key=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_whatever_the_key_nothing_is_written_outside(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    outer = tmp_path_factory.mktemp("outer")
    folder_store = LocalStore(outer / "store")
    with contextlib.suppress(StoreFailed):
        folder_store.put_bytes(b"x", key)
    assert [path.name for path in outer.iterdir()] == ["store"]


@pytest.mark.parametrize("prefix", ["../", "a/../../", "/etc/"])
def test_a_prefix_cannot_leave_the_store(folder_store: LocalStore, prefix: str) -> None:
    for act in (
        lambda: list(folder_store.objects(prefix)),
        lambda: folder_store.folders(prefix),
        lambda: folder_store.delete_prefix(prefix),
    ):
        with pytest.raises(StoreRefused, match="not a valid key"):
            act()


def test_a_key_that_a_file_system_would_take_for_another_is_refused(folder_store: LocalStore) -> None:
    folder_store.put_bytes(b"one", "a/b")
    with pytest.raises(StoreRefused, match="not a valid key in a folder"):
        folder_store.put_bytes(b"two", "a//b")
    assert folder_store.read_bytes("a/b") == b"one"


def test_temporary_files_are_no_objects(folder_store: LocalStore) -> None:
    folder_store.put_bytes(b"", "v/a/1")
    (folder_store.root / "v/a/.incoming-half").write_bytes(b"half")
    assert [found.key for found in folder_store.objects("v/")] == ["v/a/1"]


def test_a_deleted_prefix_leaves_no_empty_folders(folder_store: LocalStore) -> None:
    folder_store.put_bytes(b"", "v/a/deep/2")
    folder_store.delete_prefix("v/a/")
    assert not (folder_store.root / "v/a").exists()


def test_what_cannot_be_deleted_is_reported(folder_store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("v/a/1", "v/a/2"):
        folder_store.put_bytes(b"", key)
    real = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name == "1":
            raise OSError(13, "Permission denied")
        real(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ObjectsLeft, match=r"1 objects .* such as v/a/1 \(Permission denied\)") as left:
        folder_store.delete_prefix("v/a/")
    assert left.value.keys == ("v/a/1",)
    assert [found.key for found in folder_store.objects("v/a/")] == ["v/a/1"]


def test_a_copy_in_a_folder_costs_no_space(folder_store: LocalStore) -> None:
    folder_store.put_bytes(b"abc", "v/a")
    folder_store.copy("v/a", "done/a")
    assert (folder_store.root / "v/a").stat().st_ino == (folder_store.root / "done/a").stat().st_ino


def test_a_folder_takes_no_uploads_by_url(folder_store: LocalStore) -> None:
    with pytest.raises(StoreRefused, match="drop folder"):
        folder_store.presign_put("v/a")
