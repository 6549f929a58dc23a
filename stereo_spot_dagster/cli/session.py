"""What every command needs: the workspace, the Dagster instance beside it, and conversions in this process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import dagster as dg

from ..assets.depth_segments import depth_segments
from ..assets.final_video import final_video
from ..assets.partitions import ACTIVE_RUNS, SEGMENTS, VIDEO_TAG, VIDEOS
from ..assets.segments import segments
from ..assets.source_video import source_video
from ..assets.stereo_segments import stereo_segments
from ..assets.studio import Studio, listening
from ..convert.intake import look_into, submit
from ..convert.progress import Stage, video_progress
from ..convert.workspace import Workspace
from ..domain.errors import InputRefused, StereoSpotError, VideoBusy
from ..domain.video import Driver, FinalRecord, Submission
from ..storage import keys
from ..storage.keys import segment_partition
from .interrupts import interrupts_kept

Progress = Callable[[str, int, int | None], None]

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
# `make dev` puts the repository's own dagster.yaml here; commands need no more than this.
_INSTANCE_CONFIG = "telemetry:\n  enabled: false\n"


class ConversionFailed(StereoSpotError):
    """A step of the graph failed; its own words are the message."""

    def __init__(self, sentence: str) -> None:
        super().__init__("conversion", sentence)
        self.args = (sentence,)


class Session:
    """A command's view of the world.

    Args:
        home: the folder with Dagster's storage and, unless ``$STEREO_SPOT_STORE`` names a bucket, the media; by
            default ``$STEREO_SPOT_HOME`` or ``./data``.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.workspace = Workspace.from_environment(home)
        self.workspace.home.mkdir(parents=True, exist_ok=True)

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """The Dagster instance: ``$DAGSTER_HOME`` if it is set, else the one in the home folder."""
        if os.environ.get("DAGSTER_HOME"):
            return dg.DagsterInstance.get()
        folder = self.workspace.home / "dagster"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "dagster.yaml"
        if not config.exists():
            config.write_text(_INSTANCE_CONFIG, encoding="utf-8")
        return dg.DagsterInstance.from_config(str(folder))

    def daemon_is_alive(self) -> bool:
        """True if a daemon of this instance evaluates sensors now."""
        statuses = self.instance.get_daemon_statuses()
        return any(status.healthy for kind, status in statuses.items() if kind == "SENSOR")

    def active_runs(self, video: str) -> list[dg.DagsterRun]:
        """Runs of a video that are queued or running."""
        return list(self.instance.get_runs(dg.RunsFilter(tags={VIDEO_TAG: video}, statuses=ACTIVE_RUNS)))

    def convert(self, submission: Submission, progress: Progress) -> FinalRecord:
        """Materialize the whole graph for one video in this process; what is there already is kept.

        Raises:
            InputRefused: the input cannot be converted.
            VideoBusy: another process converts it.
            ConversionFailed: a step failed.
        """
        with self._alone(submission.video):
            done = self._finished(submission)
            if done:
                return done
            if not self.workspace.store.exists(keys.source_record(submission.video)):
                # A file that cannot be converted is refused at once, before Dagster's storage is opened for it.
                look_into(self.workspace, submission)
            submit(self.workspace, submission)
            self.instance.add_dynamic_partitions(str(VIDEOS.name), [submission.video])
            with listening(progress):
                self._run([source_video, segments], submission.video, submission.video)
                self._convert_segments(submission.video)
                self._run([final_video], submission.video, submission.video)
            final = self.workspace.final(submission.video)
            assert final is not None
            return final

    def _convert_segments(self, video: str) -> None:
        state = video_progress(self.workspace, video)
        assert state.plan is not None
        names = [segment_partition(video, segment.index) for segment in state.plan.segments]
        self.instance.add_dynamic_partitions(str(SEGMENTS.name), names)
        for index in state.missing:
            self._run([depth_segments, stereo_segments], names[index], video)

    def _run(self, assets: list[dg.AssetsDefinition], partition: str, video: str) -> None:
        """One in-process run of some assets of the graph."""
        with interrupts_kept():
            result = dg.materialize(
                _whole_graph(),
                selection=dg.AssetSelection.assets(*assets),
                partition_key=partition,
                instance=self.instance,
                resources={"studio": Studio(home=str(self.workspace.home))},
                run_config=_QUIET,
                tags={VIDEO_TAG: video},
                raise_on_error=False,
            )
        if not result.success:
            refusal = self.workspace.refusal(video)
            if refusal:
                raise _refused(refusal.reason)
            raise ConversionFailed(failure_words(result.all_events))

    def _finished(self, submission: Submission) -> FinalRecord | None:
        """The result, if this very video was converted before; an error if somebody else is at it."""
        if not self.workspace.has_submission(submission.video):
            return None
        state = video_progress(self.workspace, submission.video)
        if state.stage is Stage.FINISHED and state.source and state.source.settings == submission.settings:
            return state.final
        if state.submission.driver is Driver.SENSORS and self.daemon_is_alive() and state.stage is not Stage.REFUSED:
            raise VideoBusy(
                submission.name,
                f"it is being converted by the daemon already (video {submission.video})",
                f"See: stereo-spot status {submission.video}",
            )
        return None

    @contextmanager
    def _alone(self, video: str) -> Iterator[None]:
        """A lock that ends with the process, so that a killed conversion can be taken up again at once."""
        self.workspace.scratch.mkdir(parents=True, exist_ok=True)
        with (self.workspace.scratch / f"{video}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise VideoBusy(video, "another process is converting it", "Wait for it to end") from None
            yield

    def is_locked(self, video: str) -> bool:
        """True if a process converts the video right now."""
        try:
            with self._alone(video):
                return False
        except VideoBusy:
            return True


def failure_words(events: Sequence[dg.DagsterEvent]) -> str:
    """The message of the last step failure among a run's events."""
    for event in reversed(list(events)):
        if not event.is_step_failure:
            continue
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            return data.user_failure_data.description
        if data.error:
            return (data.error.cause or data.error).message.strip()
    return "the run failed without a message"


def _whole_graph() -> list[dg.AssetsDefinition]:
    return [source_video, segments, depth_segments, stereo_segments, final_video]


def _refused(reason: str) -> InputRefused:
    error = InputRefused("", "")
    error.args = (reason,)
    return error
