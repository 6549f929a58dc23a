from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereo_spot_dagster.domain.errors import StoreFailed
from stereo_spot_dagster.storage import local
from stereo_spot_dagster.storage.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def test_what_was_put_is_fetched_and_the_file_is_used_up(store: LocalStore, tmp_path: Path) -> None:
    path = tmp_path / "new"
    path.write_bytes(b"abc")
    stored = store.put(path, "videos/a/source.mp4")
    assert (stored.key, stored.size_bytes) == ("videos/a/source.mp4", 3)
    assert not path.exists()
    assert store.fetch("videos/a/source.mp4", tmp_path).read_bytes() == b"abc"
    assert store.exists("videos/a/source.mp4")


def test_writing_again_replaces(store: LocalStore) -> None:
    store.put_bytes(b"old", "a/b")
    store.put_bytes(b"newer", "a/b")
    assert store.read_bytes("a/b") == b"newer"
    assert [found.size_bytes for found in store.objects("a/")] == [5]


def test_a_file_from_another_file_system_arrives_whole(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, path = local.os.replace, tmp_path / "new"
    path.write_bytes(b"abc")

    def across(source: Path, target: Path) -> None:
        if Path(source) == path:
            raise OSError(18, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(local.os, "replace", across)
    store.put(path, "a/b")
    assert store.read_bytes("a/b") == b"abc"
    assert not path.exists()


def test_a_failed_write_leaves_the_old_object_and_no_rest(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_bytes(b"old", "a/b")

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreFailed, match="No space left"):
        store.put_bytes(b"new", "a/b")
    assert store.read_bytes("a/b") == b"old"
    assert sorted(path.name for path in (store.root / "a").iterdir()) == ["b"]


def test_readers_never_see_half_an_object(store: LocalStore) -> None:
    contents = {bytes([value]) * 200_000 for value in range(4)}
    store.put_bytes(next(iter(contents)), "a/b")
    stopped = threading.Event()

    def write() -> None:
        while not stopped.is_set():
            for content in contents:
                store.put_bytes(content, "a/b")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [store.read_bytes("a/b") for _ in range(200)]
    finally:
        stopped.set()
        writer.join()
    assert set(seen) <= contents


@pytest.mark.parametrize("key", ["/etc/passwd", "../out", "a/../../out", "a/./b", "a/\0b", "a/.."])
def test_a_key_cannot_leave_the_store(store: LocalStore, tmp_path: Path, key: str) -> None:
    path = tmp_path / "new"
    path.write_bytes(b"abc")
    for act in (lambda: store.put(path, key), lambda: store.put_bytes(b"x", key), lambda: store.read_bytes(key)):
        with pytest.raises(StoreFailed, match="not a valid key"):
            act()
    assert path.exists()


@given(key=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_whatever_the_key_nothing_is_written_outside(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    outer = tmp_path_factory.mktemp("outer")
    store = LocalStore(outer / "store")
    with contextlib.suppress(StoreFailed):
        store.put_bytes(b"x", key)
    assert [path.name for path in outer.iterdir()] == ["store"]


def test_a_missing_object_is_a_typed_error(store: LocalStore, tmp_path: Path) -> None:
    assert store.stat("a/b") is None
    with pytest.raises(StoreFailed):
        store.fetch("a/b", tmp_path)
    with pytest.raises(StoreFailed):
        store.read_bytes("a/b")


def test_objects_come_in_order_of_key_and_temporary_files_are_none(store: LocalStore) -> None:
    for key in ("v/b/2", "v/a/1", "v/b/10", "w/x"):
        store.put_bytes(b"", key)
    (store.root / "v/a/.incoming-half").write_bytes(b"half")
    assert [found.key for found in store.objects("v/")] == ["v/a/1", "v/b/10", "v/b/2"]
    assert [found.key for found in store.objects("v/b/1")] == ["v/b/10"]
    assert store.folders("v/") == ["a", "b"]
    assert store.folders("nothing/") == []


def test_deleting_a_prefix_takes_all_below_it_and_nothing_beside_it(store: LocalStore) -> None:
    for key in ("v/a/1", "v/a/deep/2", "v/ab/3", "v/b"):
        store.put_bytes(b"", key)
    assert store.delete_prefix("v/a/") == []
    assert [found.key for found in store.objects("v/")] == ["v/ab/3", "v/b"]
    assert not (store.root / "v/a").exists()


def test_deleting_a_single_key_leaves_its_neighbours(store: LocalStore) -> None:
    for key in ("v/a/final.json", "v/a/source.mp4"):
        store.put_bytes(b"", key)
    assert store.delete_prefix("v/a/final.json") == []
    assert [found.key for found in store.objects("v/")] == ["v/a/source.mp4"]


def test_what_cannot_be_deleted_is_reported(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_bytes(b"", "v/a/1")

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert store.delete_prefix("v/a/") == ["v/a/1"]
