"""Joins a video's segments into its finished files."""

from __future__ import annotations

import filecmp
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath

from ..domain.checks import CheckOutcome, worst_of
from ..domain.errors import StoreFailed, VideoIncomplete
from ..domain.layout import Layout, View, name_suffix
from ..domain.plan import SegmentPlan
from ..domain.settings import Container
from ..domain.video import Delivery, FinalRecord, OutputFile, SourceRecord
from ..media.container import MuxPlan, plan_mux
from ..media.encode import packing_in_stream
from ..media.hdr import codec_for
from ..media.join import JoinJob, join
from ..media.packets import PacketList, audio_packets
from ..media.scan import FrameTable
from ..storage import keys
from ..verify import Announced, Film, Order, verify
from .render import Rendering
from .workspace import Workspace

# Of a film, four windows of eight frames each are looked at: seconds, however long it is. Packets and times are all
# compared, and each segment was decoded and counted when it was made.
_LOOKED_AT = 32


@dataclass(frozen=True)
class FinishedVideo:
    """What joining gave.

    Attributes:
        outputs: the finished files; empty if a check that blocks failed.
        checks: every checked property; where several files share one, the first that failed.
        container: the container that was chosen.
        warnings: what could not be carried, what is odd about the source, and how the result differs in small things.
        seconds: how long it took.
    """

    outputs: tuple[OutputFile, ...]
    checks: tuple[CheckOutcome, ...]
    container: Container
    warnings: tuple[str, ...]
    seconds: float


def missing_segments(workspace: Workspace, source: SourceRecord, plan: SegmentPlan) -> list[int]:
    """Indexes of the segments that have not all of their files in the store."""
    rendering = Rendering(plan, source.settings)
    files = {key: segment.index for segment in plan.segments for key in rendering.files(segment).values()}
    return sorted({files[key] for key in workspace.store.missing(files)})


def finish_video(workspace: Workspace, source: SourceRecord, plan: SegmentPlan) -> FinishedVideo:
    """Join, mux, check and store the finished files of every layout.

    Raises:
        VideoIncomplete: segments are missing; they are named.
        FfmpegFailed: a container does not take a stream.
    """
    missing = missing_segments(workspace, source, plan)
    if missing:
        named = ", ".join(str(index) for index in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise VideoIncomplete(
            plan.video,
            f"{len(missing)} of {len(plan.segments)} segments are not finished (segments {named})",
            f"Run: stereo-spot retry {plan.video}",
        )
    started = time.monotonic()
    frames = workspace.frames(plan)
    mux = plan_mux(source.probe, source.settings.container, source.settings.codec, plan.damage)
    found: list[CheckOutcome] = []
    made: list[tuple[Layout, View, Path]] = []
    with workspace.folder() as folder:
        original = workspace.store.fetch(source.key, folder)
        audio, film = _copied_sound(original, source, mux, folder), Film(original, source.name)
        for layout in source.settings.layouts:
            for view in layout.views:
                job = _join_job(workspace, source, plan, frames, mux, original, audio, layout, view, folder)
                target = folder / f"{layout.value}-{view.value}.{mux.container.value}"
                join(job, target, folder)
                found += _verified(film, target, source, layout, view, _announced(film, source, plan, mux), folder)
                made.append((layout, view, target))
        checks = worst_of(found)
        passed = not any(outcome.blocks for outcome in checks)
        differences = tuple(f"the result differs: {outcome.words}" for outcome in checks if not outcome.passed)
        warnings = plan.warnings + mux.notices + differences
        outputs = tuple(_store(workspace, source, mux, *file) for file in made) if passed else ()
        if passed:
            record = FinalRecord(
                video=source.video,
                render_fingerprint=Rendering(plan, source.settings).fingerprint,
                layouts=source.settings.layouts,
                container=mux.container,
                outputs=outputs,
                warnings=warnings,
                finished_at=datetime.now(UTC),
            )
            workspace.save(record, keys.final_record(source.video))
    return FinishedVideo(
        outputs=outputs,
        checks=checks,
        container=mux.container,
        warnings=warnings,
        seconds=time.monotonic() - started,
    )


def _copied_sound(original: Path, source: SourceRecord, mux: MuxPlan, folder: Path) -> dict[int, PacketList]:
    """The packets of the sound that is copied: what is damaged may not even be listed."""
    copied = [carried.stream for carried in mux.carried if carried.is_copied_sound]
    return audio_packets(original, source.probe, folder, copied)


def deliver_done(workspace: Workspace, video: str, outputs: tuple[OutputFile, ...]) -> list[str]:
    """Put the finished files among the done ones of the store, which for a folder is its done folder.

    A name that another video has gets this video's hash; an earlier result of the same video is replaced.

    Returns:
        Paths or ``s3://`` URLs.

    Raises:
        StoreFailed: the store cannot be written.
    """
    store, earlier = workspace.store, workspace.delivery(video).paths
    delivered: list[str] = []
    for output in outputs:
        key = f"{keys.DONE}{PurePosixPath(output.key).name}"
        # The record of a delivery comes after it: a worker can die between the two.
        if store.exists(key) and key not in earlier and not store.is_copy(output.key, key):
            named = PurePosixPath(key)
            key = str(named.with_name(f"{named.stem}_{video[-8:]}{named.suffix}"))
        store.copy(output.key, key)
        delivered.append(key)
    workspace.save(Delivery(paths=tuple(dict.fromkeys([*earlier, *delivered]))), keys.delivery(video))
    return [store.locate(key) for key in delivered]


def deliver(workspace: Workspace, video: str, outputs: tuple[OutputFile, ...], folder: Path) -> list[Path]:
    """Put the finished files into a folder of this machine.

    A name that another file has gets the video's hash; an earlier result of the same video is replaced.

    Args:
        workspace: the store.
        video: the video's key.
        outputs: its finished files in the store.
        folder: where to put them; made if it is missing.

    Raises:
        StoreFailed: the folder cannot be written.
    """
    targets = [folder / PurePosixPath(output.key).name for output in outputs]
    return _deliver(workspace, video, outputs, targets, partial(_free_path, workspace, video))


def deliver_as(workspace: Workspace, video: str, outputs: tuple[OutputFile, ...], path: Path) -> list[Path]:
    """Put the finished files under the name the user chose; further layouts and views get their suffix behind it.

    A file of that name is replaced, as the user named it.
    """
    targets = [
        path if not position else path.with_name(f"{path.stem}{name_suffix(output.layout, output.view)}{path.suffix}")
        for position, output in enumerate(outputs)
    ]
    return _deliver(workspace, video, outputs, targets, lambda wanted, stored: wanted.absolute())


def _deliver(
    workspace: Workspace,
    video: str,
    outputs: tuple[OutputFile, ...],
    targets: list[Path],
    choose: Callable[[Path, Path], Path],
) -> list[Path]:
    """``choose`` tells from the wanted path and the file to put there where it goes."""
    delivered: list[Path] = []
    for output, target in zip(outputs, targets, strict=True):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with workspace.folder() as scratch:
                stored = workspace.store.fetch(output.key, scratch)
                delivered.append(_place(stored, choose(target, stored)))
        except OSError as error:
            cause = f"it cannot be written ({error.strerror})"
            raise StoreFailed(str(target), cause, "Check space and rights") from error
    workspace.save(_remember(workspace, video, delivered), keys.delivery(video))
    return delivered


def delivered_places(workspace: Workspace, video: str) -> list[str]:
    """Where finished files of a video were put so far: paths, on whatever machine, or ``s3://`` URLs."""
    paths = workspace.delivery(video).paths
    return [path if os.path.isabs(path) else workspace.store.locate(path) for path in paths]


def _remember(workspace: Workspace, video: str, paths: list[Path]) -> Delivery:
    """Paths in the store's own folder are kept as keys, so that it can be moved as a whole."""
    root = workspace.store.folder
    absolute = [path.absolute() for path in paths]
    named = [path.relative_to(root) if root and path.is_relative_to(root) else path for path in absolute]
    return Delivery(paths=tuple(dict.fromkeys([*workspace.delivery(video).paths, *map(str, named)])))


def _place(stored: Path, target: Path) -> Path:
    """A second name for the stored file where the file system allows it, else a copy; never a half-written file."""
    incoming = target.with_name(f".{target.name[-100:]}.incoming")
    incoming.unlink(missing_ok=True)
    try:
        os.link(stored, incoming)
    except OSError:
        shutil.copyfile(stored, incoming)
    os.replace(incoming, target)
    # Two names of one file make replace do nothing and leave the first.
    incoming.unlink(missing_ok=True)
    return target


def _free_path(workspace: Workspace, video: str, wanted: Path, stored: Path) -> Path:
    wanted = wanted.absolute()
    if not wanted.exists() or os.path.samestat(wanted.stat(), stored.stat()):
        return wanted
    # A shared store also remembers paths of other machines: here such a file may be anything.
    ours = workspace.store.folder is not None and str(wanted) in delivered_places(workspace, video)
    if ours or filecmp.cmp(wanted, stored, shallow=False):
        return wanted
    return wanted.with_name(f"{wanted.stem}_{video[-8:]}{wanted.suffix}")


def _join_job(
    workspace: Workspace,
    source: SourceRecord,
    plan: SegmentPlan,
    frames: FrameTable,
    mux: MuxPlan,
    original: Path,
    audio: dict[int, PacketList],
    layout: Layout,
    view: View,
    folder: Path,
) -> JoinJob:
    rendering = Rendering(plan, source.settings)
    wanted = [rendering.files(segment)[layout, view] for segment in plan.segments]
    return JoinJob(
        name=source.name,
        source=original,
        report=source.probe,
        plan=plan,
        frames=frames,
        segments=tuple(workspace.store.fetch(key, folder) for key in wanted),
        mux=mux,
        stereo_mode=layout.stereo_mode,
        packed_in_stream=packing_in_stream(layout, codec_for(source.probe.video, source.settings.codec)) is not None,
        audio=audio,
        is_part=source.settings.start_s is not None or source.settings.end_s is not None,
    )


def _verified(
    film: Film, target: Path, source: SourceRecord, layout: Layout, view: View, announced: Announced, folder: Path
) -> list[CheckOutcome]:
    """What an independent look at the finished file finds."""
    order = Order(
        source=film,
        result=Film(target),
        layout=layout,
        view=view,
        start_s=source.settings.start_s,
        end_s=source.settings.end_s,
        sample=_LOOKED_AT,
        announced=announced,
    )
    return [finding.outcome for finding in verify(order, folder).findings]


def _announced(film: Film, source: SourceRecord, plan: SegmentPlan, mux: MuxPlan) -> Announced:
    """The losses that were decided, and said, before the work: they are no fault of the result."""
    kept = {stream.index for stream in (*mux.covers, *mux.attachments, *(carried.stream for carried in mux.carried))}
    # The probe leaves out, and says so, what cannot be read at all.
    lost = {stream["index"] for stream in film.streams} - kept - {source.probe.video.index}
    damaged = frozenset(carried.stream.index for carried in mux.carried if carried.repair)
    return Announced(frozenset(lost), plan.warnings + mux.notices, damaged)


def _store(
    workspace: Workspace, source: SourceRecord, mux: MuxPlan, layout: Layout, view: View, path: Path
) -> OutputFile:
    key = keys.final(source.video, source.name, layout, view, mux.container)
    stored = workspace.store.put(path, key)
    return OutputFile(layout=layout, view=view, key=stored.key, size_bytes=stored.size_bytes)
