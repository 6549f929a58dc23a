"""One page that answers: does it move, what fails, what does it cost."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from .alarms import Alarms
from .configuration import NAME, ON_DEMAND_PROVIDER, SPOT_PROVIDER
from .measures import Measures

_HALF = 12


class Dashboard(Construct):
    """The CloudWatch dashboard."""

    def __init__(self, scope: Construct, construct_id: str, measures: Measures, alarms: Alarms) -> None:
        super().__init__(scope, construct_id)
        board = cloudwatch.Dashboard(self, "Board", dashboard_name=NAME)
        board.add_widgets(cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms.all, width=24, height=3))
        board.add_widgets(
            _graph("Work: steps done, looks at a queue that waits", measures.steps, measures.waiting),
            _graph("Failed runs", measures.failed_runs),
        )
        board.add_widgets(
            # The groups have the providers' names.
            _graph("GPU machines", measures.machines(SPOT_PROVIDER), measures.machines(ON_DEMAND_PROVIDER)),
            _graph(
                "GPU machines in use, % (200: some are on their way)",
                measures.reservation(SPOT_PROVIDER),
                measures.reservation(ON_DEMAND_PROVIDER),
            ),
        )
        board.add_widgets(
            _graph("Dropped files", measures.drops, measures.dead_drops, right=[measures.oldest_drop]),
            _graph(
                "Database: CPU %, connections; free bytes",
                measures.database_cpu,
                measures.database_connections,
                right=[measures.database_free],
            ),
        )


def _graph(
    title: str, *left: cloudwatch.IMetric, right: list[cloudwatch.IMetric] | None = None
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(left), right=right or [], width=_HALF, height=6)
