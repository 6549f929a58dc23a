"""The jobs: three slices of the graph for the sensors, and two that a person or a CI starts with a path."""

from pathlib import Path
from typing import Any, get_args, get_origin

import dagster as dg
from pydantic import Field, create_model

from ..convert.finish import FinishedVideo, deliver, deliver_done
from ..convert.intake import identify_any, submit
from ..convert.steps import DepthStep, StereoStep, conversion_steps
from ..convert.workspace import Workspace
from ..domain.models import ModelOptions
from ..domain.plan import SegmentPlan
from ..domain.settings import ConversionSettings, parse_settings
from ..domain.video import Driver, SourceRecord
from ..storage.keys import segment_partition
from . import depth_segments, final_video, reporting, segments, source_video, stereo_segments
from .partitions import SEGMENTS, VIDEOS
from .studio import Studio

_SAME_RETRIES = {"dagster/max_retries": "2"}

take_in_job = dg.define_asset_job(
    "take_in", selection=dg.AssetSelection.assets(source_video.NAME, segments.NAME), tags=_SAME_RETRIES
)
convert_segment_job = dg.define_asset_job(
    "convert_segment", selection=dg.AssetSelection.assets(depth_segments.NAME, stereo_segments.NAME), tags=_SAME_RETRIES
)
finish_job = dg.define_asset_job("finish", selection=dg.AssetSelection.assets(final_video.NAME), tags=_SAME_RETRIES)


def _config_fields() -> dict[str, Any]:
    """Run config for each conversion setting, as plain types: choices are written as the CLI writes them."""
    fields: dict[str, Any] = {}
    for name, field in ConversionSettings.model_fields.items():
        default = field.get_default()
        if isinstance(default, tuple):
            kind, plain = list[str], [str(value) for value in default]
        else:
            kind, plain = _plain_type(field.annotation), default if default is None else _plain(default)
        fields[name] = (kind, Field(default=plain, description=field.description))
    return fields


def _plain_type(annotation: Any) -> Any:
    options = [option for option in get_args(annotation) if option is not type(None)]
    if get_origin(annotation) is not None and len(options) == 1:
        return options[0] | None
    return annotation if annotation in (int, float, bool, str) else str


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str | ModelOptions) else value


SettingsConfig = create_model("SettingsConfig", __base__=dg.Config, **_config_fields())


class VideoConfig(dg.Config):
    """A video and how to convert it.

    Attributes:
        source: path of the video file, or ``s3://bucket/key``.
        settings: conversion settings.
    """

    source: str = Field(description="path of the video file, or s3://bucket/key")
    settings: SettingsConfig = Field(default_factory=SettingsConfig, description="conversion settings")  # type: ignore[valid-type]

    def parsed_settings(self) -> ConversionSettings:
        values = {name: value for name, value in self.settings.model_dump().items() if value is not None}  # type: ignore[attr-defined]
        return parse_settings(values, subject="run config")


class ConvertConfig(VideoConfig):
    """A video, how to convert it, and where to put the result.

    Attributes:
        output: folder for the finished files; empty for the done ones of the store.
    """

    output: str = Field(default="", description="folder for the finished files; empty for the done ones of the store")


@dg.op(description="Hand in a video by its path or s3:// URL; the sensors convert it.")
def hand_in(context: dg.OpExecutionContext, config: VideoConfig, studio: Studio) -> None:
    workspace = studio.workspace
    with reporting.plain_failures():
        submission = identify_any(
            workspace, config.source, config.parsed_settings(), driver=Driver.SENSORS, origin="launchpad"
        )
        submit(workspace, submission)
    context.instance.add_dynamic_partitions(str(VIDEOS.name), [submission.video])
    reporting.mark_run(context, submission.video)
    context.add_output_metadata({"video": submission.video})
    context.log.info(f"{submission.name} is video {submission.video}; the take-in sensor carries it on.")


@dg.op(description="Convert one video from beginning to end in this run.")
def convert(context: dg.OpExecutionContext, config: ConvertConfig, studio: Studio) -> None:
    workspace = studio.workspace
    with reporting.plain_failures():
        submission = identify_any(
            workspace, config.source, config.parsed_settings(), driver=Driver.INLINE, origin="job"
        )
        context.instance.add_dynamic_partitions(str(VIDEOS.name), [submission.video])
        reporting.mark_run(context, submission.video)
        source: SourceRecord | None = None
        plan: SegmentPlan | None = None
        for step in conversion_steps(workspace, submission):
            if isinstance(step, SourceRecord):
                source = step
                _log(context, source_video.materialization(studio, source), submission.video)
            elif isinstance(step, SegmentPlan):
                plan = step
                names = [segment_partition(plan.video, segment.index) for segment in plan.segments]
                context.instance.add_dynamic_partitions(str(SEGMENTS.name), names)
                _log(context, segments.materialization(plan), submission.video)
            elif isinstance(step, DepthStep):
                name = segment_partition(submission.video, step.segment.index)
                _log(context, depth_segments.materialization(studio, step.record, step.strip), name)
            elif isinstance(step, StereoStep) and source and plan:
                name = segment_partition(submission.video, step.segment.index)
                made = stereo_segments.materialization(studio, source, plan, step.segment, step.rendered)
                _log(context, made, name)
            elif isinstance(step, FinishedVideo) and source and plan:
                delivered = _deliver(workspace, step, submission.video, config.output)
                made = final_video.materialization(studio, source, plan, step, delivered)
                _log(context, made, submission.video)
                reporting.log_warnings(context, source.name, step.warnings)
                for place in delivered:
                    context.log.info(f"Finished: {place}")


def _deliver(workspace: Workspace, finished: FinishedVideo, video: str, output: str) -> list[str]:
    """Paths or URLs of the finished files."""
    if not output:
        return deliver_done(workspace, video, finished.outputs)
    return [str(path) for path in deliver(workspace, video, finished.outputs, Path(output))]


def _log(context: dg.OpExecutionContext, made: dg.MaterializeResult, partition: str) -> None:
    assert made.asset_key is not None
    tags = {"dagster/data_version": made.data_version.value} if made.data_version else None
    context.log_event(
        dg.AssetMaterialization(asset_key=made.asset_key, partition=partition, metadata=made.metadata, tags=tags)
    )


@dg.job(description="Hand in a video by its path or s3:// URL; the sensors take it from there.")
def add_video() -> None:
    hand_in()


@dg.job(description="Convert a video by its path or s3:// URL in one run, without sensors. For CI and scripts.")
def convert_video() -> None:
    convert()


ALL = [take_in_job, convert_segment_job, finish_job, add_video, convert_video]
