"""What assets tell Dagster: checks, failures, and metadata a person wants to see."""

from __future__ import annotations

import base64
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from ..convert.workspace import Workspace
from ..domain.checks import CheckOutcome
from ..domain.errors import FfmpegFailed, StereoSpotError
from ..domain.settings import ConversionSettings
from ..domain.video import OutputFile
from .partitions import FROM_FAILURE_TAG, RETRY_NUMBER_TAG, VIDEO_TAG

# Progress goes into the run's log this often: an event costs milliseconds, one for each frame would add up.
_LOG_EVERY_S = 10.0
# Of ffmpeg's messages, the last that a person can still read.
_MESSAGES = 4000


@contextmanager
def plain_failures() -> Iterator[None]:
    """Turns this project's errors into Dagster failures with their own words; only transient ones are retried."""
    try:
        yield
    except StereoSpotError as error:
        raise dg.Failure(
            description=str(error),
            metadata=_details(error),
            allow_retries=error.retryable,
        ) from error


def _details(error: StereoSpotError) -> dict[str, str]:
    details = {"subject": error.subject, "cause": error.cause, "remedy": error.remedy or "none"}
    if isinstance(error, FfmpegFailed) and error.messages:
        details["ffmpeg"] = error.messages[-_MESSAGES:]
    return details


def continues(context: dg.AssetExecutionContext) -> bool:
    """True for runs of our own sensors and commands and for retries: they use what is in the store already.

    A person who materializes by hand, or re-executes all of a run, wants the work done again.
    """
    run = context.run
    if run.parent_run_id is None:
        return VIDEO_TAG in run.tags
    return RETRY_NUMBER_TAG in run.tags or run.tags.get(FROM_FAILURE_TAG) == "true"


def mark_run(context: dg.AssetExecutionContext | dg.OpExecutionContext, video: str) -> None:
    """Name the video on a run that a person started, so that `stereo-spot status` and the run list find it."""
    if VIDEO_TAG not in context.run.tags:
        context.instance.add_run_tags(context.run_id, {VIDEO_TAG: video})


def check_specs(asset: str, names: dict[str, str]) -> list[dg.AssetCheckSpec]:
    """Blocking check specs from name to description."""
    return [
        dg.AssetCheckSpec(name=name, asset=asset, description=description, blocking=True)
        for name, description in names.items()
    ]


def report_checks(
    asset: str, outcomes: Sequence[CheckOutcome], subject: str, withdraw: Callable[[], object] | None = None
) -> Iterator[dg.AssetCheckResult]:
    """The check results; afterwards a failure if one blocks, so that nothing unproved is materialized.

    Args:
        asset: name of the asset.
        outcomes: what was checked.
        subject: what the checks are about, for the failure's words.
        withdraw: takes what was stored already out of the store again; called if a check blocks.
    """
    bad = [outcome for outcome in outcomes if outcome.blocks]
    if bad and withdraw:
        withdraw()
    for outcome in outcomes:
        yield dg.AssetCheckResult(
            asset_key=asset,
            check_name=outcome.name,
            passed=outcome.passed,
            severity=dg.AssetCheckSeverity.ERROR if outcome.blocking else dg.AssetCheckSeverity.WARN,
            metadata={"subject": subject, "found": outcome.detail},
        )
    if bad:
        words = "; ".join(outcome.words for outcome in bad)
        raise dg.Failure(description=f"{subject}: checks failed ({words}). Nothing was published.", allow_retries=False)


def picture(data: bytes, alternative: str) -> dg.MarkdownMetadataValue:
    """A JPEG or PNG that the UI shows inline."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return dg.MetadataValue.md(f"![{alternative}](data:image/{kind};base64,{base64.b64encode(data).decode()})")


def settings_table(settings: ConversionSettings) -> dg.TableMetadataValue:
    """One row for each setting, with its meaning."""
    records = []
    for name, field in ConversionSettings.model_fields.items():
        value = getattr(settings, name)
        shown = ", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        row = {"setting": name, "value": shown or "default", "meaning": field.description or ""}
        records.append(dg.TableRecord(row))
    return dg.MetadataValue.table(records=records)


def outputs_table(workspace: Workspace, outputs: Sequence[OutputFile]) -> dg.TableMetadataValue:
    """One row for each file."""
    records = [
        dg.TableRecord(
            {
                "layout": output.layout.value,
                "view": output.view.value,
                "file": workspace.store.locate(output.key),
                "megabytes": round(output.size_bytes / 1e6, 2),
            }
        )
        for output in outputs
    ]
    return dg.MetadataValue.table(records=records)


def log_warnings(context: dg.AssetExecutionContext | dg.OpExecutionContext, name: str, warnings: Sequence[str]) -> None:
    """Put what is odd about a video into the run's log."""
    for warning in warnings:
        context.log.warning(f"{name}: {warning}")


def warnings_value(warnings: Sequence[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {warning}" for warning in warnings) if warnings else "none")


def machine() -> dict[str, Any]:
    """Where the work was done."""
    return {"machine": f"{platform.node()} ({platform.machine()})"}


class ProgressLog:
    """Writes 'what done/total' into a run's log at most every ten seconds."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context = context
        self._last = time.monotonic()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._last >= _LOG_EVERY_S:
            self._last = now
            self._context.log.info(f"{what}: {done} of {total or '?'}")
