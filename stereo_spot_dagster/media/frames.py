"""Decoded pictures out of a segment file, and pictures into an encoder, through bounded pipes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from ..domain.errors import ProofFailed
from ..domain.picture import PixelFormat
from ..domain.probe import WorkingPicture
from .picture import scale_matrix
from .process import Child, arguments, read_exactly, safe_input
from .scan import STALL_S, apply_filters

Planes = tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]


def read_pictures(
    path: Path, picture: WorkingPicture, *, skip: int, crcs: NDArray[np.uint32], name: str
) -> Iterator[Planes]:
    """The working pictures of a segment file, each proved by its checksum.

    Args:
        path: the segment file.
        picture: size, sample format and filters of its pictures.
        skip: decoded frames to drop first.
        crcs: ``[T]`` planned Adler-32 checksums; T pictures are read.
        name: the video's name, for errors.

    Yields:
        Planes Y, U, V of each picture, freshly allocated.

    Raises:
        ProofFailed: a picture is missing or is not the planned one.
    """
    decoded = apply_filters(safe_input(path, noautorotate=None)["v:0"], picture.filters)
    node = ffmpeg.output(_window(decoded, skip, len(crcs)), "pipe:1", format="rawvideo", fps_mode="passthrough")
    for number, data in enumerate(_raw_frames(node, picture.frame_bytes, len(crcs), name)):
        if zlib.adler32(data, 0) != crcs[number]:
            raise ProofFailed(name, f"frame {number} of {path.name} is not the planned picture")
        yield split_planes(data, picture.pixel_format, picture.width, picture.height)


def read_rgb(
    path: Path, picture: WorkingPicture, *, size: tuple[int, int], skip: int, count: int, name: str
) -> Iterator[NDArray[np.uint8]]:
    """``[h, w, 3]`` RGB copies of ``count`` pictures at ``size`` (width, height).

    Raises:
        ProofFailed: there are fewer pictures.
    """
    decoded = apply_filters(safe_input(path, noautorotate=None)["v:0"], picture.filters)
    scaled = _window(decoded, skip, count).filter(
        "scale",
        *size,
        flags="area",
        in_color_matrix=scale_matrix(picture.color),
        in_range="pc" if picture.color.full_range else "tv",
    )
    node = ffmpeg.output(scaled.filter("format", "rgb24"), "pipe:1", format="rawvideo", fps_mode="passthrough")
    width, height = size
    for data in _raw_frames(node, width * height * 3, count, name):
        yield data.reshape(height, width, 3)


def read_gray16(path: Path, *, size: tuple[int, int], skip: int, count: int, name: str) -> Iterator[NDArray[np.uint16]]:
    """``[h, w]`` samples of a 16 bit gray file such as stored depth.

    Raises:
        ProofFailed: there are fewer pictures.
    """
    node = ffmpeg.output(
        _window(safe_input(path)["v:0"], skip, count),
        "pipe:1",
        format="rawvideo",
        pix_fmt="gray16le",
        fps_mode="passthrough",
    )
    width, height = size
    for data in _raw_frames(node, width * height * 2, count, name):
        yield data.view("<u2").reshape(height, width)


class PictureWriter:
    """An encoder fed with raw pictures.

    Use as a context manager; leaving it normally waits for the file to be complete.

    Args:
        node: an ffmpeg-python output node whose input is ``pipe:0``.
        name: the video's name, for errors.
    """

    def __init__(self, node, *, name: str) -> None:
        self._child = Child(arguments(node), subject=name, stdin=True, stall_s=STALL_S)
        self.written = 0

    def __enter__(self) -> PictureWriter:
        self._child.__enter__()
        return self

    def __exit__(self, error_type: type[BaseException] | None, error: object, trace: object) -> None:
        self._child.__exit__(error_type, error, trace)

    def write(self, planes: Sequence[NDArray]) -> None:
        """Encode one picture.

        Raises:
            FfmpegFailed: the encoder has died; its last words are in the message.
        """
        try:
            for plane in planes:
                data = memoryview(np.ascontiguousarray(plane)).cast("B")
                while data:
                    data = data[self._child.stdin.write(data) :]
                    self._child.touch()
        except BrokenPipeError:
            self._child.finish()
            raise
        self.written += 1


def split_planes(data: NDArray[np.uint8], fmt: PixelFormat, width: int, height: int) -> Planes:
    """Views of the planes in one raw frame of ``fmt``."""
    samples = data.view(fmt.dtype.newbyteorder("<")) if fmt.bit_depth > 8 else data
    planes, position = [], 0
    for rows, columns in fmt.plane_shapes(width, height):
        planes.append(samples[position : position + rows * columns].reshape(rows, columns))
        position += rows * columns
    return tuple(planes)


def _window(stream, skip: int, count: int):
    return stream.filter("select", f"between(n,{skip},{skip + count - 1})") if skip else stream


def _raw_frames(node, frame_bytes: int, count: int, name: str) -> Iterator[NDArray[np.uint8]]:
    """``count`` frames of ``frame_bytes`` each from the node's stdout; what follows them is not waited for."""
    with Child(arguments(node), subject=name, stdout=True, stall_s=STALL_S) as child:
        for number in range(count):
            data = np.empty(frame_bytes, np.uint8)
            if read_exactly(child.stdout, memoryview(data), child.touch) < frame_bytes:
                child.finish()
                raise ProofFailed(name, f"only {number} of {count} planned frames could be decoded")
            yield data
        child.stop()
