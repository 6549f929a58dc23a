"""What wakes somebody up, and the budget."""

from __future__ import annotations

from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from .configuration import NAME, ON_DEMAND_PROVIDER, SPOT_PROVIDER, Configuration
from .measures import Measures


class Alarms(Construct):
    """Alarms that send to a topic, and a budget that does too."""

    def __init__(
        self, scope: Construct, construct_id: str, configuration: Configuration, measures: Measures, topic: sns.Topic
    ) -> None:
        super().__init__(scope, construct_id)
        self.topic = topic
        self.all = [
            self._alarm("FailedRuns", "runs failed: see the runbook on failed partitions", measures.failed_runs),
            self._alarm(
                "DeadDrops",
                "a dropped file could not be taken in, or an intermediate one not be marked to expire",
                measures.dead_drops,
            ),
            self._alarm(
                "NoProgress",
                f"runs wait, but no step has ended for {configuration.stall_minutes} minutes: see the runbook",
                measures.stalled,
                periods=configuration.stall_minutes // 5,
            ),
            self._alarm(
                "DaemonDown",
                "no daemon: nothing is taken in or started",
                measures.daemon_missing,
                periods=3,
                # Where no task runs, there may be nobody who could say so.
                missing=cloudwatch.TreatMissingData.BREACHING,
            ),
            self._alarm(
                "DatabaseFull", "less than 2 GiB are left for Dagster's state", measures.database_full, periods=3
            ),
            *(
                self._alarm(
                    f"Idle{group}",
                    f"a GPU machine has had nothing to do for {configuration.idle_minutes} minutes",
                    measures.idle(provider),
                    periods=configuration.idle_minutes // 5,
                )
                for group, provider in (("Spot", SPOT_PROVIDER), ("OnDemand", ON_DEMAND_PROVIDER))
            ),
        ]
        self._budget(configuration)

    def _alarm(
        self,
        construct_id: str,
        description: str,
        metric: cloudwatch.IMetric,
        *,
        periods: int = 1,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> cloudwatch.Alarm:
        """An alarm for when ``metric`` is at least 1 for ``periods`` times five minutes."""
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            alarm_name=f"{NAME}-{construct_id}",
            alarm_description=description,
            metric=metric,
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))
        return alarm

    def _budget(self, configuration: Configuration) -> None:
        """Of the whole account: a budget by tag sees nothing until the tag is activated in the billing console."""
        to_topic = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=self.topic.topic_arn)
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=NAME,
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=configuration.monthly_budget_usd, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN",
                        notification_type=kind,
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[to_topic],
                )
                for kind, percent in (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
            ],
        )
