"""Asset: the original file, accepted or refused."""

from collections.abc import Iterator

import dagster as dg

from ..convert.intake import take_in
from ..domain.checks import CheckOutcome
from ..domain.probe import ProbeReport
from ..domain.video import SourceRecord
from ..media.container import MuxPlan, plan_mux
from ..storage import keys
from ..storage.base import StoredObject
from . import reporting
from .partitions import VIDEOS
from .policies import OWNERS, RETRIES
from .studio import Studio

NAME = "source_video"
CHECKS = {"probe_sane": "The header describes pictures of a possible size and rate, and the file has the size it had."}


@dg.asset(
    name=NAME,
    partitions_def=VIDEOS,
    group_name="intake",
    kinds={"ffmpeg"},
    owners=OWNERS,
    description="The original file in the media store: checksum, what it holds, and the settings frozen for it.",
    check_specs=reporting.check_specs(NAME, CHECKS),
    retry_policy=RETRIES,
)
def source_video(
    context: dg.AssetExecutionContext, studio: Studio
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    workspace, video = studio.workspace, context.partition_key
    reporting.mark_run(context, video)
    with reporting.plain_failures():
        record = take_in(workspace, workspace.submission(video))
    outcome = probe_sane(record, workspace.store.stat(record.key))

    def withdraw() -> None:
        # Without its record the copy counts for nothing, and the next attempt copies the source again.
        workspace.store.delete_prefix(keys.source_record(video))

    yield from reporting.report_checks(NAME, [outcome], record.name, withdraw)
    yield materialization(studio, record)


def probe_sane(record: SourceRecord, stored: StoredObject | None) -> CheckOutcome:
    """Whether the probe report can be true and the stored file is whole."""
    probe, problems = record.probe, []
    if not 0 < probe.video.frame_rate <= 1000:
        problems.append(f"{probe.video.frame_rate} frames per second")
    if min(probe.video.width, probe.video.height) < 1:
        problems.append(f"{probe.video.width}x{probe.video.height} pixels")
    if stored is None or stored.size_bytes != record.size_bytes:
        problems.append(f"stored {stored.size_bytes if stored else 0} of {record.size_bytes} bytes")
    return CheckOutcome(name="probe_sane", passed=not problems, detail="; ".join(problems) or _summary(probe))


def materialization(studio: Studio, record: SourceRecord) -> dg.MaterializeResult:
    probe = record.probe
    mux = plan_mux(probe, record.settings.container, record.settings.codec)
    return dg.MaterializeResult(
        asset_key=NAME,
        data_version=dg.DataVersion(f"{record.sha256[:16]}-{record.settings.fingerprint}"),
        metadata={
            "name": record.name,
            "summary": _summary(probe),
            "warnings": reporting.warnings_value(probe.warnings + mux.notices),
            "container": mux.container.value,
            "streams": _streams_table(probe, mux),
            "settings": reporting.settings_table(record.settings),
            "file": studio.file_value(record.key),
            "megabytes": round(record.size_bytes / 1e6, 2),
            "sha256": record.straightened_from or record.sha256,
            **({"sha256_straightened": record.sha256} if record.straightened_from else {}),
            **reporting.machine(),
        },
    )


def _summary(probe: ProbeReport) -> str:
    video = probe.video
    width, height = video.upright_size
    length = f", {probe.duration_s:.2f} s" if probe.duration_s else ""
    return f"{video.codec} {width}x{height} {video.pix_fmt}, {float(video.frame_rate):.3f} fps{length}"


def _streams_table(probe: ProbeReport, mux: MuxPlan) -> dg.TableMetadataValue:
    uses = {stream.index: "copied" for stream in (*mux.covers, *mux.attachments)}
    uses |= {c.stream.index: "copied" if c.codec == "copy" else f"converted to {c.codec}" for c in mux.carried}
    rows = [(probe.video.index, "video", probe.video.codec, probe.video.language, "made stereoscopic")]
    rows += [
        (s.index, "cover" if s.cover else s.kind, s.codec, s.language, uses.get(s.index, "no track of its own"))
        for s in probe.others
    ]
    names = ("stream", "kind", "codec", "language", "use")
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    return dg.MetadataValue.table(records=[dg.TableRecord(dict(zip(names, row, strict=True))) for row in cells])
