"""The two partition sets and the edge between them, defined once."""

from __future__ import annotations

import dagster as dg

VIDEOS = dg.DynamicPartitionsDefinition(name="videos")
SEGMENTS = dg.DynamicPartitionsDefinition(name="segments")

# A lineage edge without a claim about partitions. A mapping of our own would break every backfill in the UI, because
# the webserver and the daemon do not load user code; the sensors do the real fan-out and join.
LINEAGE_ONLY = dg.SpecificPartitionsPartitionMapping([])

VIDEO_TAG = "stereo_spot/video"
COMPUTE_TAG = "stereo_spot/compute"
GPU_POOL = "gpu"
