"""What is measured: numbers that AWS has, and numbers that are read off the logs."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from .configuration import CLUSTER
from .database import Database
from .services import Services
from .storage import Storage
from .tasks import Tasks

NAMESPACE = "StereoSpot"
_STEP = Duration.minutes(5)

# A worker reports a run that failed; the daemon, one whose worker is gone, never came or could not be started.
FAILED_IN_WORKER = ("RUN_FAILURE",)
FAILED_IN_DAEMON = (
    "Marking run",
    "Run timed out due to taking longer than",
    "has exceeded maximum runtime of",
    "Caught an error dequeuing run",
)
# The daemon says one of these at each look at a queue that is not empty.
WAITING = ("tag concurrency limits for queued runs", "won't launch more")
STEP_DONE = ("STEP_SUCCESS",)


class Measures(Construct):
    """Metrics, each at least 1 where something is wrong if an alarm is made of it."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        services: Services,
        tasks: Tasks,
        storage: Storage,
        database: Database,
    ) -> None:
        super().__init__(scope, construct_id)
        daemon = services.log_groups["daemon"]
        in_worker = self._count("FailedInWorker", tasks.worker_log, FAILED_IN_WORKER)
        in_daemon = self._count("FailedInDaemon", daemon, FAILED_IN_DAEMON)
        self.waiting = self._count("RunsWaiting", daemon, WAITING)
        self.steps = self._count("StepsDone", tasks.worker_log, STEP_DONE)
        self.failed_runs = _math("FILL(worker, 0) + FILL(daemon, 0)", "failed runs", worker=in_worker, daemon=in_daemon)
        self.stalled = _math(
            "IF(FILL(waiting, 0) > 0 AND FILL(steps, 0) == 0, 1, 0)",
            "runs wait, none moves",
            waiting=self.waiting,
            steps=self.steps,
        )
        self.dead_drops = storage.dead_drops.metric_approximate_number_of_messages_visible(
            period=_STEP, statistic="Maximum", label="unusable drops"
        )
        self.drops = storage.drops.metric_approximate_number_of_messages_visible(
            period=_STEP, statistic="Maximum", label="drops to take in"
        )
        self.oldest_drop = storage.drops.metric_approximate_age_of_oldest_message(
            period=_STEP, statistic="Maximum", label="age of the oldest, s"
        )
        running = self._insights("RunningTaskCount", ServiceName=services.daemon.service_name)
        self.daemon_missing = _math("IF(FILL(running, 0) < 1, 1, 0)", "daemon missing", running=running)
        self.database_free = database.instance.metric_free_storage_space(period=_STEP, statistic="Minimum")
        self.database_cpu = database.instance.metric_cpu_utilization(period=_STEP)
        self.database_connections = database.instance.metric_database_connections(period=_STEP, statistic="Maximum")
        # A database that says nothing is another alarm's business, so missing values count as enough.
        self.database_full = _math(
            "IF(FILL(free, 1000000000000) < 2147483648, 1, 0)", "database nearly full", free=self.database_free
        )

    def idle(self, provider: str) -> cloudwatch.MathExpression:
        """1 while ECS needs less than the machines that there are: it reserves 100 % of what is in use."""
        return _math("IF(FILL(reserved, 100) < 100, 1, 0)", f"{provider} idle", reserved=self.reservation(provider))

    def reservation(self, provider: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/ECS/ManagedScaling",
            metric_name="CapacityProviderReservation",
            dimensions_map={"ClusterName": CLUSTER, "CapacityProviderName": provider},
            period=_STEP,
            statistic="Minimum",
            label=provider,
        )

    def machines(self, group: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/AutoScaling",
            metric_name="GroupInServiceInstances",
            dimensions_map={"AutoScalingGroupName": group},
            period=_STEP,
            statistic="Maximum",
            label=group,
        )

    def _insights(self, name: str, **dimensions: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="ECS/ContainerInsights",
            metric_name=name,
            dimensions_map={"ClusterName": CLUSTER, **dimensions},
            period=_STEP,
            statistic="Maximum",
        )

    def _count(self, name: str, group: logs.ILogGroup, phrases: tuple[str, ...]) -> cloudwatch.Metric:
        """How many lines of ``group`` have one of ``phrases``."""
        logs.MetricFilter(
            self,
            name,
            log_group=group,
            filter_pattern=logs.FilterPattern.any_term(*phrases),
            metric_namespace=NAMESPACE,
            metric_name=name,
            metric_value="1",
            default_value=0,
        )
        return cloudwatch.Metric(namespace=NAMESPACE, metric_name=name, period=_STEP, statistic="Sum", label=name)


def _math(expression: str, label: str, **metrics: cloudwatch.IMetric) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(expression=expression, label=label, using_metrics=metrics, period=_STEP)
