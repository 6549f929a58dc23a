"""Decoded pictures out of a segment file, and pictures into an encoder, through bounded pipes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import ffmpeg
import numpy as np
from numpy.typing import NDArray

from ..domain.errors import ProofFailed
from ..domain.picture import PixelFormat
from ..domain.probe import VideoStream, WorkingPicture
from .picture import scale_matrix
from .process import Child, arguments, file_url, safe_input
from .scan import STALL_S, apply_filters

_WHITE = 65535
_RGB_FORMATS = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8", "mono")
_BT709_GBR = np.array([0.7152, 0.0722, 0.2126], np.float32)
# Each picture by itself, so that a part of the file can be read from anywhere.
_LOSSLESS = {"vcodec": "ffv1", "level": 3, "g": 1, "slices": 4, "slicecrc": 1, "format": "matroska"}

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
    node = ffmpeg.output(decoded, "pipe:1", format="rawvideo", fps_mode="passthrough")
    for number, data in enumerate(_raw_frames(node, picture.frame_bytes, range(skip, skip + len(crcs)), name)):
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
    yield from _rgb(decoded, picture, size, range(skip, skip + count), name)


def read_some_rgb(
    path: Path, picture: WorkingPicture, *, size: tuple[int, int], numbers: Sequence[int], name: str
) -> Iterator[NDArray[np.uint8]]:
    """``[h, w, 3]`` RGB copies of single pictures, the same samples that :func:`read_rgb` gives.

    Args:
        path, picture, size, name: as for :func:`read_rgb`.
        numbers: which decoded frames of the file, ascending.

    Raises:
        ProofFailed: there are fewer pictures.
    """
    decoded = apply_filters(safe_input(path, noautorotate=None)["v:0"], picture.filters)
    yield from _rgb(decoded, picture, size, numbers, name)


def read_plain_rgb(path: Path, *, size: tuple[int, int], count: int, name: str) -> Iterator[NDArray[np.uint8]]:
    """``[h, w, 3]`` pictures of a file that :func:`rgb_writer` wrote.

    Raises:
        ProofFailed: there are fewer pictures.
    """
    width, height = size
    stream = safe_input(path)["v:0"].filter("format", "rgb24")
    node = ffmpeg.output(stream, "pipe:1", format="rawvideo", fps_mode="passthrough")
    for data in _raw_frames(node, width * height * 3, range(count), name):
        yield data.reshape(height, width, 3)


def read_gray16(path: Path, *, size: tuple[int, int], skip: int, count: int, name: str) -> Iterator[NDArray[np.uint16]]:
    """``[h, w]`` samples of a 16 bit gray file such as stored depth.

    Raises:
        ProofFailed: there are fewer pictures.
    """
    node = ffmpeg.output(
        safe_input(path)["v:0"], "pipe:1", format="rawvideo", pix_fmt="gray16le", fps_mode="passthrough"
    )
    width, height = size
    for data in _raw_frames(node, width * height * 2, range(skip, skip + count), name):
        yield data.view("<u2").reshape(height, width)


def read_luma16(path: Path, video: VideoStream, *, size: tuple[int, int], name: str) -> Iterator[NDArray[np.uint16]]:
    """``[h, w]`` luma of every picture of a file: 0 is black, 65535 white, whatever its range and bit depth.

    Args:
        path: a video file.
        video: its stream to read, as probed.
        size: (width, height) wanted.
        name: what the user calls the file, for errors.

    Raises:
        FfmpegFailed: it cannot be decoded.
    """
    is_rgb = video.pix_fmt.startswith(_RGB_FORMATS)
    gray = video.pix_fmt.startswith("gray")
    decoded = safe_input(path, noautorotate=None)[str(video.index)]
    bits = _sample_bits(video.pix_fmt)
    full = is_rgb or video.color_range == "pc" or video.pix_fmt.startswith("yuvj") or (gray and not video.color_range)
    # swscale treats the range of gray pictures, and white of RGB ones, differently from version to version; taken as
    # they are, the samples are what the file says.
    if is_rgb:
        plane = decoded.filter("format", "gbrp" if bits == 8 else f"gbrp{bits}le")
    else:
        luma = decoded if gray else decoded.filter("extractplanes", "y")
        plane = luma.filter("format", "gray" if bits == 8 else f"gray{bits}le")
    node = ffmpeg.output(plane, "pipe:1", format="rawvideo", fps_mode="passthrough")
    low, span = (0, (1 << bits) - 1) if full else (16 << (bits - 8), 219 << (bits - 8))
    pixels = video.width * video.height * (3 if is_rgb else 1)
    for data in _frames_to_the_end(node, pixels * (1 if bits == 8 else 2), name):
        samples = (data if bits == 8 else data.view("<u2")).reshape(-1, video.height, video.width)
        samples = np.tensordot(_BT709_GBR, samples, 1) if is_rgb else samples[0]
        if is_rgb or (low, span) != (0, _WHITE):
            stretched = (samples.astype(np.float32) - low) * np.float32(_WHITE / span)
            samples = np.rint(np.clip(stretched, 0, _WHITE))
        yield resized(samples.astype(np.uint16), size)


def resized(picture: NDArray, size: tuple[int, int]) -> NDArray:
    """``[h, w]`` or ``[h, w, 3]`` samples at ``size`` (width, height), by area averaging where it becomes smaller."""
    if picture.shape[1::-1] == size:
        return picture
    shrinks = size[0] < picture.shape[1]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def gray16_writer(target: Path, size: tuple[int, int], name: str) -> PictureWriter:
    """A writer of ``[h, w]`` uint16 pictures into a lossless file for :func:`read_gray16`."""
    source = ffmpeg.input("pipe:0", format="rawvideo", pix_fmt="gray16le", s=f"{size[0]}x{size[1]}", framerate=25)
    return PictureWriter(ffmpeg.output(source, file_url(target), **_LOSSLESS), name=name)


def rgb_writer(target: Path, size: tuple[int, int], name: str) -> PictureWriter:
    """A writer of ``[h, w, 3]`` uint8 pictures into a lossless file for :func:`read_plain_rgb`."""
    source = ffmpeg.input("pipe:0", format="rawvideo", pix_fmt="rgb24", s=f"{size[0]}x{size[1]}", framerate=25)
    return PictureWriter(ffmpeg.output(source, file_url(target), pix_fmt="bgr0", **_LOSSLESS), name=name)


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
                self._child.write(memoryview(np.ascontiguousarray(plane)).cast("B"))
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


def _rgb(
    stream, picture: WorkingPicture, size: tuple[int, int], wanted: Sequence[int], name: str
) -> Iterator[NDArray[np.uint8]]:
    enlarges = size[0] > picture.width or size[1] > picture.height
    scaled = stream.filter(
        "scale",
        *size,
        flags="bicubic" if enlarges else "area",
        in_color_matrix=scale_matrix(picture.color),
        in_range="pc" if picture.color.full_range else "tv",
    )
    node = ffmpeg.output(scaled.filter("format", "rgb24"), "pipe:1", format="rawvideo", fps_mode="passthrough")
    width, height = size
    for data in _raw_frames(node, width * height * 3, wanted, name):
        yield data.reshape(height, width, 3)


def _sample_bits(pix_fmt: str) -> int:
    """8, 10, 12 or 16: of the gray or planar RGB format that holds the luma or the colours of another format."""
    if re.search(r"(?:48|64|f16|f32)(?:le|be)?$", pix_fmt):
        return 16
    found = re.search(r"(?:p|gray|p0|y2|ya|rgb|bgr|gbra?p)(9|10|12|14|16)(?:le|be)?$", pix_fmt)
    bits = int(found.group(1)) if found else 8
    return min(known for known in (8, 10, 12, 16) if known >= bits)


def _frames_to_the_end(node, frame_bytes: int, name: str) -> Iterator[NDArray[np.uint8]]:
    """All frames of ``frame_bytes`` each from the node's stdout."""
    with Child(arguments(node), subject=name, stdout=True, stall_s=STALL_S) as child:
        while True:
            data = np.empty(frame_bytes, np.uint8)
            if child.read_into(memoryview(data)) < frame_bytes:
                child.finish()
                return
            yield data


def _raw_frames(node, frame_bytes: int, wanted: Sequence[int], name: str) -> Iterator[NDArray[np.uint8]]:
    """The frames ``wanted`` (ascending numbers), of ``frame_bytes`` each, from the node's stdout.

    They are counted here: where the format of the pictures changes ffmpeg makes its filters anew, and a filter that
    counts begins again. What follows the last one is not waited for.
    """
    with Child(arguments(node), subject=name, stdout=True, stall_s=STALL_S) as child:
        following = 0
        for found, number in enumerate(wanted):
            data = np.empty(frame_bytes, np.uint8)
            for _ in range(following, number + 1):
                if child.read_into(memoryview(data)) < frame_bytes:
                    child.finish()
                    raise ProofFailed(name, f"only {found} of {len(wanted)} planned frames could be decoded")
            following = number + 1
            yield data
        child.stop()
