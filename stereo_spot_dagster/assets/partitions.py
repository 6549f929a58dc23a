"""The two partition sets, the edge between them, and the tags and pool of their runs, defined once."""

from __future__ import annotations

import dagster as dg

from ..storage.keys import parse_segment_partition

VIDEOS = dg.DynamicPartitionsDefinition(name="videos")
SEGMENTS = dg.DynamicPartitionsDefinition(name="segments")

# A lineage edge without a claim about partitions. A mapping of our own would break every backfill in the UI, because
# the webserver and the daemon do not load user code; the sensors do the real fan-out and join.
LINEAGE_ONLY = dg.SpecificPartitionsPartitionMapping([])

VIDEO_TAG = "stereo_spot/video"
COMPUTE_TAG = "stereo_spot/compute"
GPU_POOL = "gpu"

# Dagster's own tags.
RUN_KEY_TAG = "dagster/run_key"
PARTITION_TAG = "dagster/partition"
RETRY_NUMBER_TAG = "dagster/retry_number"
FROM_FAILURE_TAG = "dagster/is_resume_retry"
ACTIVE_RUNS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def video_of_partition(name: str) -> str:
    """The video of a partition of either set."""
    try:
        return parse_segment_partition(name)[0]
    except ValueError:
        return name
