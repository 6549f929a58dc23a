"""What every media store promises, in a folder and in two implementations of S3."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from stereo_spot_dagster.domain.errors import StoreFailed
from stereo_spot_dagster.storage.base import MediaStore, StoreRefused

from . import servers

# Café with one character for its accented letter, and with two.
COMPOSED, DECOMPOSED = "v/caf\u00e9.mp4", "v/cafe\u0301.mp4"
ODD_KEYS = [
    "v/two words.mp4", "v/100%.mp4", "v/%2F.mp4", "v/a+b.mp4", "v/#1.mp4", "v/it's \"new\".mp4", "v/a&b<c>.mp4",
    "v/?x=1.mp4", "v/日本語 🎬.mp4", "v/back\\slash", "v/tab\tin it", "v/...", "v/~.mp4", COMPOSED, DECOMPOSED,
]  # fmt: skip


def file_of(folder: Path, data: bytes) -> Path:
    path = folder / "new"
    path.write_bytes(data)
    return path


def test_what_was_put_is_fetched_and_the_file_is_used_up(store: MediaStore, tmp_path: Path) -> None:
    path = file_of(tmp_path, b"abc")
    stored = store.put(path, "videos/a/source.mp4")
    assert (stored.key, stored.size_bytes) == ("videos/a/source.mp4", 3)
    assert not path.exists()
    fetched = store.fetch("videos/a/source.mp4", tmp_path / "scratch")
    assert fetched.read_bytes() == b"abc"
    assert fetched.suffix == ".mp4"
    assert store.exists("videos/a/source.mp4")


@pytest.mark.parametrize("size", [0, 1, 5 << 20, (11 << 20) + 1])
def test_files_of_any_size_arrive_whole(store: MediaStore, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    assert store.put(file_of(tmp_path, data), "v/file.mkv").size_bytes == size
    assert store.fetch("v/file.mkv", tmp_path / "scratch").read_bytes() == data
    assert store.read_bytes("v/file.mkv") == data


def test_writing_again_replaces(store: MediaStore, tmp_path: Path) -> None:
    first = store.put_bytes(b"old", "a/b")
    assert store.fetch("a/b", tmp_path / "scratch").read_bytes() == b"old"
    second = store.put_bytes(b"newer", "a/b")
    assert store.read_bytes("a/b") == b"newer"
    assert store.fetch("a/b", tmp_path / "scratch").read_bytes() == b"newer"
    assert [found.size_bytes for found in store.objects("a/")] == [5]
    assert first.version != second.version


def test_a_listing_and_a_look_tell_the_same(store: MediaStore) -> None:
    store.put_bytes(b"abc", "a/b")
    (listed,) = store.objects("a/")
    found = store.stat("a/b")
    assert found is not None
    assert (listed.key, listed.size_bytes, listed.version) == (found.key, found.size_bytes, found.version)
    assert abs(listed.modified_s - found.modified_s) < 1


def test_readers_never_see_half_an_object(store: MediaStore) -> None:
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
        seen = [store.read_bytes("a/b") for _ in range(50)]
    finally:
        stopped.set()
        writer.join()
    assert set(seen) <= contents


def test_many_threads_may_use_one_store(store: MediaStore) -> None:
    def write(number: int) -> None:
        store.put_bytes(str(number).encode(), f"t/{number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {store.read_bytes(f"t/{number}") for number in range(12)} == {str(n).encode() for n in range(12)}


def test_a_missing_object_is_none_or_a_typed_error(store: MediaStore, tmp_path: Path) -> None:
    assert store.stat("a/b") is None
    assert store.find_bytes("a/b") is None
    assert not store.is_copy("a/b", "a/c")
    for act in (
        lambda: store.fetch("a/b", tmp_path),
        lambda: store.read_bytes("a/b"),
        lambda: store.copy("a/b", "a/c"),
        lambda: store.presign_get("a/b"),
    ):
        with pytest.raises(StoreFailed, match="there is no such object"):
            act()


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_may_hold_any_character(
    store: MediaStore, tmp_path: Path, key: str, request: pytest.FixtureRequest
) -> None:
    if "\\" in key and "seaweedfs" in request.node.name:
        pytest.xfail("SeaweedFS takes a backslash for a slash")
    store.put_bytes(b"decoy", "v/other")
    store.put(file_of(tmp_path, key.encode()), key)
    assert store.read_bytes(key) == key.encode()
    assert store.fetch(key, tmp_path / "scratch").read_bytes() == key.encode()
    assert {found.key for found in store.objects("v/")} == {key, "v/other"}
    assert servers.get(store.presign_get(key)) == key.encode()
    store.copy(key, f"copy/{key}")
    assert store.is_copy(key, f"copy/{key}")
    store.delete_prefix(key)
    assert {found.key for found in store.objects("v/")} == {"v/other"}


def test_accents_in_one_and_in_two_characters_are_two_keys(store: MediaStore) -> None:
    store.put_bytes(b"one", COMPOSED)
    store.put_bytes(b"two", DECOMPOSED)
    assert (store.read_bytes(COMPOSED), store.read_bytes(DECOMPOSED)) == (b"one", b"two")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../out", "a/../../out", "a/./b", "a/\0b", "a/..", "a/", "\ud800"])
def test_what_is_no_key_is_refused(store: MediaStore, tmp_path: Path, key: str) -> None:
    path = file_of(tmp_path, b"abc")
    for act in (
        lambda: store.put(path, key),
        lambda: store.put_bytes(b"x", key),
        lambda: store.read_bytes(key),
        lambda: store.stat(key),
    ):
        with pytest.raises(StoreRefused, match="not a valid key"):
            act()
    assert path.exists()


def test_a_key_that_is_too_long_is_refused(store: MediaStore) -> None:
    with pytest.raises(StoreFailed, match="long"):
        store.put_bytes(b"x", "v/" + "n" * 1100)


def test_objects_come_in_order_of_key(store: MediaStore) -> None:
    for key in ("v/b/2", "v/a/1", "v/b/10", "w/x"):
        store.put_bytes(b"", key)
    assert [found.key for found in store.objects("v/")] == ["v/a/1", "v/b/10", "v/b/2"]
    assert [found.key for found in store.objects("v/b/1")] == ["v/b/10"]
    assert store.folders("v/") == ["a", "b"]
    assert store.folders("nothing/") == []


def test_missing_keys_are_found_by_listing(store: MediaStore) -> None:
    for key in ("v/a/1", "v/b/2"):
        store.put_bytes(b"", key)
    assert store.missing(["v/a/1", "v/a/2", "v/b/2", "w/1"]) == {"v/a/2", "w/1"}


def test_deleting_a_prefix_takes_all_below_it_and_nothing_beside_it(store: MediaStore) -> None:
    for key in ("v/a/1", "v/a/deep/2", "v/ab/3", "v/b"):
        store.put_bytes(b"", key)
    store.delete_prefix("v/a/")
    assert [found.key for found in store.objects("v/")] == ["v/ab/3", "v/b"]
    assert "ab" in store.folders("v/")


def test_deleting_a_single_key_leaves_its_neighbours(store: MediaStore) -> None:
    for key in ("v/a/final.json", "v/a/source.mp4"):
        store.put_bytes(b"", key)
    store.delete_prefix("v/a/final.json")
    assert [found.key for found in store.objects("v/")] == ["v/a/source.mp4"]


def test_deleting_nothing_is_no_error(store: MediaStore) -> None:
    store.delete_prefix("nothing/here/")


def test_an_empty_prefix_deletes_nothing(store: MediaStore) -> None:
    store.put_bytes(b"", "v/a")
    with pytest.raises(StoreRefused, match="would delete everything"):
        store.delete_prefix("")
    assert store.exists("v/a")


def test_a_copy_is_an_object_of_its_own(store: MediaStore) -> None:
    store.put_bytes(b"abc", "v/a")
    assert store.copy("v/a", "done/b").size_bytes == 3
    assert store.is_copy("v/a", "done/b")
    store.put_bytes(b"changed", "v/a")
    assert store.read_bytes("done/b") == b"abc"
    assert not store.is_copy("v/a", "done/b")
    store.delete_prefix("v/a")
    assert store.read_bytes("done/b") == b"abc"


def test_a_copy_replaces_what_was_there(store: MediaStore) -> None:
    store.put_bytes(b"abc", "v/a")
    store.put_bytes(b"old", "done/b")
    store.copy("v/a", "done/b")
    assert store.read_bytes("done/b") == b"abc"


def test_a_link_gives_the_object_to_whoever_has_it(store: MediaStore) -> None:
    store.put_bytes(b"abc", "v/clip é.mp4")
    assert servers.get(store.presign_get("v/clip é.mp4", expires_s=60)) == b"abc"
