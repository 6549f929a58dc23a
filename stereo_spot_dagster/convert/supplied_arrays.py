"""Depth in ``.npz`` files and in folders of PNG pictures, read one picture at a time and without trust."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from ..domain.errors import InputRefused
from ..media.limits import MAX_PIXELS, MAX_SIDE

_MEMBER = "depth.npy"
_WHITE = 65535
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What numpy itself writes before an array is 128 bytes; longer headers have made parsers slow.
_LONGEST_HEADER = 10_000


class ArrayFile:
    """The array ``depth`` ``[T, h, w]`` of an ``.npz`` file. Only one map of it is in memory at a time.

    8 and 16 bit unsigned integers count as shares of their largest value. Other integers, and floats that do not lie
    in 0..1, are stretched from the smallest to the largest value of the whole array.

    Args:
        path: the file.

    Raises:
        InputRefused: it holds no such array.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._member() as file:
            self.frames, self.height, self.width, self._dtype = self._header(file)

    def maps(self) -> Iterator[NDArray[np.uint16]]:
        """``[h, w]`` uint16, one for each picture.

        Raises:
            InputRefused: the array ends early, or holds values that are no numbers.
        """
        low, span = self._range()
        for values in self._raw():
            yield np.rint((values.astype(np.float64) - low) * (_WHITE / span)).astype(np.uint16)

    def _range(self) -> tuple[float, float]:
        """(value that becomes 0, distance to the one that becomes 65535)."""
        if self._dtype.kind == "u" and self._dtype.itemsize <= 2:
            return 0.0, float(np.iinfo(self._dtype).max)
        low, high = np.inf, -np.inf
        for values in self._raw():
            if not np.isfinite(values).all():
                raise self._refused("its array holds values that are not finite", "Replace them")
            low, high = min(low, float(values.min())), max(high, float(values.max()))
        if self._dtype.kind == "f" and low >= 0 and high <= 1:
            return 0.0, 1.0
        span = high - low
        if not np.isfinite(span):
            raise self._refused(f"its values lie too far apart ({low:.1e} to {high:.1e})", "Scale them to 0..1")
        return low, span or 1.0

    def _raw(self) -> Iterator[NDArray]:
        size = self.height * self.width * self._dtype.itemsize
        with self._member() as file:
            self._header(file)
            for number in range(self.frames):
                try:
                    data = file.read(size)
                except (zipfile.BadZipFile, OSError, EOFError) as error:
                    raise self._refused(f"it is damaged ({error})", "Write it again") from None
                if len(data) < size:
                    raise self._refused(f"it ends after {number} of {self.frames} pictures", "Write it again")
                yield np.frombuffer(data, self._dtype).reshape(self.height, self.width)

    def _member(self) -> IO[bytes]:
        try:
            return zipfile.ZipFile(self._path).open(_MEMBER)
        except KeyError:
            raise self._refused("it holds no array called 'depth'", "Write np.savez(path, depth=array)") from None
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            raise self._refused(f"it is not an .npz file ({error})", "Write np.savez(path, depth=array)") from None

    def _header(self, file: IO[bytes]) -> tuple[int, int, int, np.dtype]:
        """(frames, height, width, sample type), read as text: nothing of it is executed, nothing is allocated."""
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file, max_header_size=_LONGEST_HEADER)
        except (ValueError, OSError, EOFError) as error:
            line = next(iter(str(error).splitlines()), "")
            raise self._refused(f"its array cannot be read ({line})", "Write np.savez(path, depth=array)") from None
        if len(shape) != 3 or dtype.kind not in "uif" or min(shape) < 1:
            what = f"its array has the shape {list(shape)} and the type {dtype}, not [frames, height, width] of numbers"
            raise self._refused(what, "Write np.savez(path, depth=array)")
        if fortran:
            raise self._refused("its array lies in Fortran order", "Write np.ascontiguousarray(array)")
        _refuse_large(self._path.name, shape[2], shape[1])
        return shape[0], shape[1], shape[2], dtype

    def _refused(self, cause: str, remedy: str) -> InputRefused:
        return InputRefused(self._path.name, cause, remedy)


class PictureFolder:
    """A folder of 8 or 16 bit PNG pictures of one size, in order of their names. Colours count by their luma.

    Args:
        path: the folder; links, folders and other files in it are passed over.

    Raises:
        InputRefused: it holds no PNG picture.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.files = picture_files(path)
        if not self.files:
            raise InputRefused(path.name, "there is no PNG picture in this folder", "Name a folder of depth pictures")
        self.width, self.height = _png_size(self.files[0])

    def maps(self) -> Iterator[NDArray[np.uint16]]:
        """``[h, w]`` uint16, one for each picture.

        Raises:
            InputRefused: one of them cannot be read or has another size.
        """
        for file in self.files:
            if _png_size(file) != (self.width, self.height):
                what = f"it has another size than {self.files[0].name} ({self.width}x{self.height})"
                raise InputRefused(file.name, what, "Bring all pictures to one size")
            samples = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
            if samples is None or samples.shape != (self.height, self.width):
                raise InputRefused(file.name, "it is damaged", "Write it again")
            scale = 257 if samples.dtype == np.uint8 else 1
            yield np.multiply(samples, scale, dtype=np.uint16)


def picture_files(path: Path) -> list[Path]:
    """The PNG files of a folder, sorted by name."""
    found = [entry for entry in path.iterdir() if entry.suffix.lower() == ".png"]
    return sorted(entry for entry in found if stat.S_ISREG(entry.lstat().st_mode))


def _png_size(file: Path) -> tuple[int, int]:
    """(width, height), from the first bytes alone."""
    with file.open("rb") as opened:
        head = opened.read(24)
    if len(head) < 24 or not head.startswith(_PNG_SIGNATURE) or head[12:16] != b"IHDR":
        raise InputRefused(file.name, "it is not a PNG picture", "Write it again")
    width, height = struct.unpack(">II", head[16:24])
    _refuse_large(file.name, width, height)
    return width, height


def _refuse_large(name: str, width: int, height: int) -> None:
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise InputRefused(name, f"its pictures are of {width}x{height} pixels", "Supply depth of the video's size")
