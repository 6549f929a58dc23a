"""Depth that comes with a video: a depth video, an array, or a folder of pictures; larger values are nearer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..domain.errors import FfmpegFailed, InputRefused
from ..domain.models import DepthKind, parse_depth
from ..domain.probe import ProbeReport
from ..domain.settings import ConversionSettings
from ..domain.video import SourceRecord, SuppliedDepth, content_identity
from ..media.frames import gray16_writer, read_gray16, read_luma16, resized
from ..media.probe import probe
from ..storage import keys
from .supplied_arrays import ArrayFile, PictureFolder, picture_files
from .workspace import Workspace

# A worker fetches the pieces that its segment's frames lie in.
PIECE_FRAMES = 1000
# Depth of another aspect belongs to another cut of the film, or to a crop of it.
_ASPECT_TOLERANCE = 0.01
# How far the number of pictures may be from what the source's header promises. The exact count is known, and
# compared, after the source was decoded; this keeps a file that claims a billion pictures from being unpacked.
_COUNT_FACTOR, _COUNT_SLACK = 2, 1000

Maps = Iterator[NDArray[np.uint16]]


def supplied_path(settings: ConversionSettings) -> Path | None:
    """Where the depth lies that the settings name; None if depth does not come from a file."""
    choice = parse_depth(settings.depth)
    return Path(choice.path) if choice.kind is DepthKind.FILE else None


def supplied_identity(path: Path) -> str:
    """Hex digest of the content: other depth under the same name makes another video.

    Raises:
        InputRefused: there is nothing there.
    """
    if path.is_dir():
        files = picture_files(path)
        listed = "".join(f"{file.name}:{content_identity(file)}\n" for file in files)
        return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    if not path.is_file():
        raise InputRefused(str(path), "there is no such depth file or folder", "Correct the path after file:")
    return content_identity(path)


def take_depth(workspace: Workspace, video: str, path: Path, source: ProbeReport) -> SuppliedDepth:
    """Bring supplied depth into the store, as 16 bit pictures of at most the source's size.

    Args:
        workspace: store and scratch.
        video: key of the video it belongs to.
        path: a video file, an ``.npz`` with an array ``depth`` ``[T, h, w]``, or a folder of PNG pictures.
        source: the video it belongs to.

    Raises:
        InputRefused: it cannot be read, or cannot belong to the source.
    """
    width, height, maps = _open(path, source)
    wanted = source.video.upright_size
    if abs((width / height) / (wanted[0] / wanted[1]) - 1) > _ASPECT_TOLERANCE:
        what = f"its depth has {width}x{height} pixels, which is not the shape of the video ({wanted[0]}x{wanted[1]})"
        raise InputRefused(source.file_name, what, "Supply depth of the whole picture")
    size = wanted if width > wanted[0] or height > wanted[1] else (width, height)
    with workspace.folder() as folder:
        digest, pieces, frames = hashlib.sha256(f"{size[0]}x{size[1]}".encode()), [], 0
        try:
            while (first := next(maps, None)) is not None:
                piece = folder / f"{len(pieces)}.mkv"
                with gray16_writer(piece, size, source.file_name) as writer:
                    for samples in chain([first], maps):
                        picture = np.ascontiguousarray(resized(samples, size), dtype="<u2")
                        digest.update(picture)
                        writer.write([picture])
                        if writer.written == PIECE_FRAMES:
                            break
                    frames += writer.written
                pieces.append(piece)
                _check_count(frames, source, at_least=True)
        except FfmpegFailed as error:
            raise InputRefused(path.name, f"its depth cannot be decoded ({error.cause})", "Check the file") from None
        if not pieces:
            raise InputRefused(path.name, "it holds no depth pictures", "Check the file")
        sha256 = digest.hexdigest()
        stored = [keys.supplied_depth(video, sha256[:16], index * PIECE_FRAMES) for index in range(len(pieces))]
        for piece, key in zip(pieces, stored, strict=True):
            workspace.store.put(piece, key)
    return SuppliedDepth(
        keys=tuple(stored),
        piece_frames=PIECE_FRAMES,
        frames=frames,
        width=size[0],
        height=size[1],
        sha256=sha256,
    )


def supplied_depth_of(source: SourceRecord) -> SuppliedDepth:
    """The depth that was taken in with a source.

    Raises:
        InputRefused: there is none.
    """
    if source.supplied_depth is None:
        raise InputRefused(source.name, "its depth was not taken in with it", "Hand it in again")
    return source.supplied_depth


def check_frames(source: SourceRecord, frames: int) -> None:
    """Pass if there is a depth picture for each of the ``frames`` frames that the source turned out to have.

    Raises:
        InputRefused: the numbers differ; both are said.
    """
    supplied = supplied_depth_of(source)
    if supplied.frames != frames:
        what = f"it has {frames} frames, and its depth has {supplied.frames} pictures"
        raise InputRefused(source.name, what, "Supply one depth picture for each frame of the whole video")


def read_supplied(
    workspace: Workspace, supplied: SuppliedDepth, first: int, count: int, folder: Path, name: str
) -> Maps:
    """``[h, w]`` uint16 depth of the source's frames ``first`` to ``first + count - 1``.

    Args:
        workspace: with the store.
        supplied: what was taken in.
        first: number of a frame of the source, of the whole of it.
        count: how many.
        folder: scratch.
        name: of the video, for errors.
    """
    size, end = (supplied.width, supplied.height), first + count
    while first < end:
        index, skip = divmod(first, supplied.piece_frames)
        piece = workspace.store.fetch(supplied.keys[index], folder)
        here = min(supplied.piece_frames - skip, end - first)
        yield from read_gray16(piece, size=size, skip=skip, count=here, name=name)
        first += here


def _open(path: Path, source: ProbeReport) -> tuple[int, int, Maps]:
    """(width, height, maps) of supplied depth."""
    if path.is_dir():
        pictures = PictureFolder(path)
        _check_count(len(pictures.files), source)
        return pictures.width, pictures.height, pictures.maps()
    if not path.is_file():
        raise InputRefused(str(path), "there is no such depth file or folder", "Correct the path after file:")
    if path.suffix.lower() == ".npz":
        array = ArrayFile(path)
        _check_count(array.frames, source)
        return array.width, array.height, array.maps()
    video = probe(path).video
    return video.width, video.height, read_luma16(path, video, size=(video.width, video.height), name=path.name)


def _check_count(frames: int, source: ProbeReport, *, at_least: bool = False) -> None:
    """Refuse what cannot be as many pictures as the source has; ``at_least`` if there may be more to come."""
    duration_s = source.video.duration_s or source.duration_s
    if not duration_s:
        return
    expected = round(duration_s * float(source.video.frame_rate))
    too_many = frames > _COUNT_FACTOR * expected + _COUNT_SLACK
    too_few = not at_least and frames < expected / _COUNT_FACTOR - _COUNT_SLACK
    if too_many or too_few:
        what = f"it has about {expected} frames, and its depth has {frames} pictures"
        raise InputRefused(source.file_name, what, "Supply one depth picture for each frame of the whole video")
