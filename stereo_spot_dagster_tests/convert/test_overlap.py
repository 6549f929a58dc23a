"""Working ahead and behind with a bounded number of items."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from stereo_spot_dagster.convert.overlap import Behind, ahead


def test_items_arrive_in_order() -> None:
    with ahead(iter(range(100))) as items:
        assert list(items) == list(range(100))


def test_the_source_is_never_more_than_the_window_ahead() -> None:
    made = []

    def source() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    with ahead(source(), window=3) as items:
        next(items)
        time.sleep(0.2)
        # One taken, three waiting, one in the hand of the thread that cannot put it down.
        assert len(made) <= 5
        assert list(items)[-1] == 49


def test_an_error_of_the_source_reaches_the_reader() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with ahead(source()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="broken"):
            next(items)


def test_leaving_early_closes_the_source() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    with ahead(source(), window=2) as items:
        next(items)
    assert closed.wait(2)


def test_everything_put_is_consumed_before_leaving() -> None:
    consumed: list[object] = []
    with Behind(consumed.append) as behind:
        for number in range(50):
            behind.put(number)
    assert consumed == list(range(50))


def test_an_error_while_consuming_is_raised_where_items_are_put() -> None:
    def fail(item: object) -> None:
        raise RuntimeError(f"cannot take {item}")

    def put_many() -> None:
        with Behind(fail) as behind:
            for number in range(1000):
                behind.put(number)

    with pytest.raises(RuntimeError, match="cannot take 0"):
        put_many()
