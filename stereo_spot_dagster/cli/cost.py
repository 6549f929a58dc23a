"""``stereo-spot cost``: what a video's conversion took of each kind of machine, times a price.

Seconds of work come from the materializations' metadata (``seconds_of_work``, ``device``); what the video's runs took
beyond those went into planning, loading models, and attempts that failed. Prices are assumptions until you give your
own: 0.35 USD an hour for a machine with a GPU (g5.xlarge on Spot; 1.006 on demand) and 0.25 USD an hour for one without
(Fargate in us-east-1: 4 vCPU, 16 GB, 180 GB of disk). Starting machines, storage and what is always on are not in them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg
from rich.table import Table
from rich.text import Text

from ..assets import depth_segments, final_video, stereo_segments
from ..assets.partitions import SEGMENTS, VIDEO_TAG
from ..convert.workspace import Workspace
from ..domain.errors import InvalidSettings
from ..fleet.routing import needs_gpu

GPU_PRICE, CPU_PRICE = 0.35, 0.25

OTHER = "planning, loading, failed attempts"

_BY_FRAME = (depth_segments.NAME, stereo_segments.NAME)
_CPU, _SOME_GPU = "CPU", "GPU"
# On runs that were tasks of the fleet.
_TASK_TAG = "ecs/task_arn"
_VERSION_TAG = "dagster/data_version"
# Each event holds a preview picture of up to 100 kB.
_PAGE = 100


@dataclass(frozen=True)
class Prices:
    """What an hour of a machine costs, in one currency.

    Raises:
        InvalidSettings: a price is negative or no number.
    """

    gpu_usd: float = GPU_PRICE
    cpu_usd: float = CPU_PRICE

    def __post_init__(self) -> None:
        for name, price in (("GPU", self.gpu_usd), ("CPU", self.cpu_usd)):
            if not 0 <= price < float("inf"):
                raise InvalidSettings(f"price of a {name} machine", f"'{price}' is no price", "Give USD an hour")

    def an_hour_usd(self, machine: str) -> float:
        return self.cpu_usd if machine == _CPU else self.gpu_usd


@dataclass(frozen=True)
class Work:
    """A materialization and the work behind it.

    Attributes:
        asset: name of the asset.
        partition: its partition.
        run: id of the run that did it; empty where no run did.
        device: ``CPU`` or the name of a GPU.
        seconds: how long it took; None where nobody knows any more.
        frames: how many it was done to; 0 where that is the whole video.
    """

    asset: str
    partition: str
    run: str
    device: str
    seconds: float | None
    frames: int = 0


@dataclass(frozen=True)
class Run:
    """A run that has ended, well or not.

    Attributes:
        id: its id.
        machine: ``CPU``, or ``GPU`` if it was a task of the fleet with one.
        seconds: from its first step to its end.
    """

    id: str
    machine: str
    seconds: float


@dataclass(frozen=True)
class Cost:
    """What a video took.

    Attributes:
        seconds: by asset, or :data:`OTHER`, and machine (``CPU``, or the name of the GPU that the machine has).
        unknown: materializations of which nobody knows how long they took.
        frames: that an asset's known seconds were spent on, by asset, each time anew.
    """

    seconds: dict[tuple[str, str], float]
    unknown: int = 0
    frames: dict[str, int] = field(default_factory=dict)

    @property
    def frames_per_second(self) -> float:
        """Frames of finished segments over the time that their depth and their second eye take; 0 if unknown."""
        if not all(self.frames.get(asset) for asset in _BY_FRAME):
            return 0.0
        frame_s = sum(
            seconds / self.frames[asset] for (asset, _), seconds in self.seconds.items() if asset in _BY_FRAME
        )
        return 1 / frame_s if frame_s else 0.0

    def total_usd(self, prices: Prices) -> float:
        return sum(seconds / 3600 * prices.an_hour_usd(machine) for (_, machine), seconds in self.seconds.items())


def video_cost(instance: dg.DagsterInstance, workspace: Workspace, video: str) -> Cost:
    """The work on all segments of a video and on joining them, also what was done again; and the rest of its runs.

    Raises:
        UnknownVideo: it was never submitted.
    """
    workspace.submission(video)
    known = instance.get_dynamic_partitions(str(SEGMENTS.name))
    segments = [name for name in known if name.startswith(f"{video}.")]
    works = [
        *_works(instance, depth_segments.NAME, segments),
        *_works(instance, stereo_segments.NAME, segments),
        *_works(instance, final_video.NAME, [video]),
    ]
    return cost_of(works, list(_runs(instance, video)))


def cost_of(works: Sequence[Work], runs: Sequence[Run] = ()) -> Cost:
    """Sum of some works, and of what the runs took beside them.

    While a run works without its GPU, the machine with the GPU is paid for all the same.
    """
    gpus = {work.run: work.device for work in works if work.run and work.device != _CPU}
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    worked: dict[str, float] = defaultdict(float)
    frames: dict[str, int] = defaultdict(int)
    for work in works:
        if work.seconds is not None:
            seconds[work.asset, gpus.get(work.run, work.device)] += work.seconds
            worked[work.run] += work.seconds
            frames[work.asset] += work.frames
    for run in runs:
        seconds[OTHER, gpus.get(run.id, run.machine)] += max(0.0, run.seconds - worked[run.id])
    return Cost(dict(seconds), sum(work.seconds is None for work in works), dict(frames))


def table(cost: Cost, prices: Prices) -> Table:
    """One row for each asset and machine, and the sum."""
    shown = Table("work", "machine", "seconds", "USD/h", "USD", show_footer=True)
    for (asset, machine), seconds in cost.seconds.items():
        price = prices.an_hour_usd(machine)
        row = (asset, machine, f"{seconds:.1f}", f"{price:g}", f"{seconds / 3600 * price:.4f}")
        shown.add_row(*(Text(cell) for cell in row))
    shown.columns[0].footer = "together"
    shown.columns[2].footer = f"{sum(cost.seconds.values()):.1f}"
    shown.columns[4].footer = f"{cost.total_usd(prices):.4f}"
    for column in shown.columns[2:]:
        column.justify = "right"
    return shown


def _runs(instance: dg.DagsterInstance, video: str) -> Iterator[Run]:
    wanted, cursor = dg.RunsFilter(tags={VIDEO_TAG: video}), None
    while records := instance.get_run_records(wanted, limit=_PAGE, cursor=cursor):
        cursor = records[-1].dagster_run.run_id
        for record in records:
            run = record.dagster_run
            if record.start_time and record.end_time:
                gpu = _TASK_TAG in run.tags and needs_gpu(instance, run)
                yield Run(run.run_id, _SOME_GPU if gpu else _CPU, record.end_time - record.start_time)


def _works(instance: dg.DagsterInstance, asset: str, partitions: list[str]) -> Iterator[Work]:
    """Each piece of work once, the oldest first."""
    counted: set[tuple[str, str, object]] = set()
    for record in _materializations(instance, asset, partitions):
        made = record.asset_materialization
        if made is None or made.partition is None:
            continue
        value = made.metadata["seconds_of_work"].value if "seconds_of_work" in made.metadata else None
        device = made.metadata["device"].value if "device" in made.metadata else _CPU
        # A retry reports depth that is in the store already once more, with the seconds it took then.
        which = (made.partition, (made.tags or {}).get(_VERSION_TAG, ""), value)
        if which not in counted:
            counted.add(which)
            seconds = float(value) if isinstance(value, int | float) else None
            # What was told from the store belongs to no run.
            run = "" if "recovered" in made.metadata else record.run_id
            frames = made.metadata["frames"].value if "frames" in made.metadata else 0
            yield Work(asset, made.partition, run, str(device or _CPU), seconds, int(str(frames)))


def _materializations(instance: dg.DagsterInstance, asset: str, partitions: list[str]) -> Iterator[dg.EventLogRecord]:
    for start in range(0, len(partitions), _PAGE):
        part = partitions[start : start + _PAGE]
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=part)
        cursor: str | None = None
        while True:
            page = instance.fetch_materializations(wanted, limit=_PAGE, cursor=cursor, ascending=True)
            yield from page.records
            if not page.has_more:
                break
            cursor = page.cursor
