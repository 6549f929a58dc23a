"""Lets decode, compute and encode work at the same time, with a bounded number of pictures in flight."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

_Item = TypeVar("_Item")
_WINDOW = 4


@contextmanager
def ahead(source: Iterator[_Item], window: int = _WINDOW) -> Iterator[Iterator[_Item]]:
    """``source``, computed by a thread up to ``window`` items ahead of its reader.

    An error of the source reaches the reader; leaving early stops the thread and closes the source.
    """
    items: queue.Queue[tuple[bool, _Item | BaseException | None]] = queue.Queue(maxsize=window)
    stopped = threading.Event()

    def offer(entry: tuple[bool, _Item | BaseException | None]) -> bool:
        while not stopped.is_set():
            try:
                items.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in source:
                if not offer((True, item)):
                    return
            offer((False, None))
        except BaseException as error:  # handed to the reader, which raises it
            offer((False, error))
        finally:
            if isinstance(source, Generator):
                source.close()

    def read() -> Iterator[_Item]:
        while True:
            more, item = items.get()
            if more:
                yield item  # type: ignore[misc]
            elif item is None:
                return
            else:
                raise item  # type: ignore[misc]

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield read()
    finally:
        stopped.set()
        thread.join()


class Behind:
    """Calls ``consume`` for each item in a thread, at most ``window`` items late.

    Use as a context manager; leaving it normally waits for the last item. An error of ``consume`` is raised by the
    next :meth:`put` or on leaving.
    """

    def __init__(self, consume: Callable[[object], None], window: int = _WINDOW) -> None:
        self._consume = consume
        self._items: queue.Queue[object] = queue.Queue(maxsize=window)
        self._error: BaseException | None = None
        self._end = object()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Behind:
        self._thread.start()
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self._items.put(self._end)
        self._thread.join()
        if error_type is None:
            self._raise_error()

    def put(self, item: object) -> None:
        self._raise_error()
        self._items.put(item)

    def _work(self) -> None:
        while (item := self._items.get()) is not self._end:
            if self._error is None:
                try:
                    self._consume(item)
                except BaseException as error:  # kept for the caller's thread
                    self._error = error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
