"""What each kind of task may do: one role each, and nothing that it does not need."""

from __future__ import annotations

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from .configuration import CPU_FAMILY, GPU_FAMILY, ON_DEMAND_PROVIDER, SPOT_PROVIDER
from .database import HubToken
from .fleet import Fleet
from .reasons import acknowledge, own, wildcard
from .storage import COMPUTE_LOGS, DROP, Storage

# The version too: what was dropped is read as it was then, also when its key has been overwritten since.
_READ = ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging")
# What is small goes in one piece.
_PUT = ("s3:PutObject", "s3:PutObjectTagging")
_WRITE = (*_PUT, "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
# Nobody's for what is finished.
_DELETE = ("s3:DeleteObject",)
VIDEOS, DONE, PRESETS, SMOKE = "videos/", "done/", "presets/", "smoke/"


class Permissions(Construct):
    """The roles of the tasks.

    Attributes:
        gpu_worker: reads and writes a video's files.
        cpu_worker: reads what was dropped too, and writes what is finished. Neither knows the queue or ECS.
        code: the sensors: takes messages, looks at what was dropped, writes submissions.
        daemon: starts and stops workers; and what ``stereo-spot`` does that an operator types there.
        webserver: looks at runs and their logs, and stops them; it sees no media.
    """

    def __init__(
        self, scope: Construct, construct_id: str, fleet: Fleet, storage: Storage, hub_token: HubToken
    ) -> None:
        super().__init__(scope, construct_id)
        self._fleet = fleet
        self._storage = storage
        self.cpu_worker = self._role("CpuWorker")
        self.gpu_worker = self._role("GpuWorker")
        self.code = self._role("Code")
        self.daemon = self._role("Daemon")
        self.webserver = self._role("Webserver")

        for worker in (self.cpu_worker, self.gpu_worker):
            self._media(worker, (*_READ, *_WRITE, *_DELETE), VIDEOS)
            self._list(worker)
            self._compute_logs(worker, *_READ, "s3:PutObject")
            hub_token.secret.grant_read(worker)
        self._media(self.cpu_worker, _READ, DROP)
        self._media(self.cpu_worker, (*_READ, *_WRITE), DONE)
        self._media(self.code, _READ, DROP, PRESETS)
        self._media(self.code, (*_READ, *_PUT, *_DELETE), VIDEOS)
        self._list(self.code)
        self._compute_logs(self.code, *_READ, "s3:PutObject")
        storage.drops.grant_consume_messages(self.code)
        # `stereo-spot status, retry, remove, smoke` are typed into the daemon's container: see the runbooks.
        self._media(self.daemon, (*_READ, *_WRITE), DROP, DONE)
        self._media(self.daemon, (*_READ, *_WRITE, *_DELETE), VIDEOS, SMOKE)
        storage.drops.grant(self.daemon, "sqs:GetQueueAttributes")
        self._see_capacity(self.daemon)
        self._list(self.daemon)
        self._compute_logs(self.daemon, *_READ, "s3:PutObject")
        self._compute_logs(self.webserver, *_READ)
        # The sensor of lost starts asks what became of a worker, and quotes its last lines.
        self._watch_workers(self.code)
        for process in (self.daemon, self.webserver):
            self._watch_workers(process, "ecs:StopTask")
            acknowledge(
                process,
                own(fleet.shell_log, service="logs", resource="log-group:@:*"),
                "ECS Exec writes what was typed into a stream of its own for each session.",
            )

    def let_start(self, definitions: list[ecs.TaskDefinition]) -> None:
        """Let the daemon start tasks of ``definitions``, with their roles and no others."""
        self.daemon.add_to_policy(
            iam.PolicyStatement(
                sid="StartWorkers",
                actions=["ecs:RunTask"],
                resources=[self._fleet.task_arn(f"task-definition/{family}:*") for family in (CPU_FAMILY, GPU_FAMILY)],
                conditions={"ArnEquals": {"ecs:cluster": self._fleet.cluster.cluster_arn}},
            )
        )
        for family in (CPU_FAMILY, GPU_FAMILY):
            acknowledge(
                self.daemon,
                own(self._fleet.cluster, service="ecs", resource=f"task-definition/{family}:*"),
                "Any revision of the two workers: a deployment makes new ones while the daemon runs.",
            )
        self.daemon.add_to_policy(
            iam.PolicyStatement(
                sid="TagWhatIsStarted",
                actions=["ecs:TagResource"],
                resources=[self._fleet.task_arn(f"task/{self._fleet.cluster.cluster_name}/*")],
                conditions={"StringEquals": {"ecs:CreateAction": "RunTask"}},
            )
        )
        roles = [role for each in definitions for role in (each.task_role, each.obtain_execution_role())]
        self.daemon.add_to_policy(
            iam.PolicyStatement(
                # ECS demands this right for both roles of a task: the one it runs with and the one that starts it.
                sid="GiveWorkersTheirRoles",
                actions=["iam:PassRole"],
                resources=[role.role_arn for role in roles],
                conditions={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
            )
        )

    def let_tell(self, topic: sns.Topic, key: kms.Key) -> None:
        """Let the sensors tell people of videos that failed or are stuck."""
        self.code.add_to_policy(iam.PolicyStatement(actions=["sns:Publish"], resources=[topic.topic_arn]))
        # What the topic's key is used for when somebody publishes.
        needed = ["kms:GenerateDataKey", "kms:Decrypt"]
        self.code.add_to_policy(iam.PolicyStatement(actions=needed, resources=[key.key_arn]))

    def let_read_log(self, log: logs.ILogGroup) -> None:
        """Let the last lines of a worker that died be quoted."""
        for process in (self.daemon, self.code):
            log.grant(process, "logs:GetLogEvents")

    def _see_capacity(self, role: iam.Role) -> None:
        role.add_to_policy(
            iam.PolicyStatement(
                sid="SeeCapacity", actions=["ecs:DescribeClusters"], resources=[self._fleet.cluster.cluster_arn]
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="SeeProviders",
                actions=["ecs:DescribeCapacityProviders"],
                resources=[
                    self._fleet.task_arn(f"capacity-provider/{name}") for name in (SPOT_PROVIDER, ON_DEMAND_PROVIDER)
                ],
            )
        )

    def _watch_workers(self, role: iam.Role, *more: str) -> None:
        """Let a process find workers and see what became of them, and do ``more`` with them."""
        role.add_to_policy(
            iam.PolicyStatement(
                sid="Workers",
                actions=["ecs:DescribeTasks", *more],
                resources=[self._fleet.task_arn(f"task/{self._fleet.cluster.cluster_name}/*")],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                # By who started them: for a run whose daemon ended before it noted the worker.
                sid="FindWorkers",
                actions=["ecs:ListTasks"],
                resources=["*"],
                conditions={"ArnEquals": {"ecs:cluster": self._fleet.cluster.cluster_arn}},
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(sid="ReadDefinitions", actions=["ecs:DescribeTaskDefinition"], resources=["*"])
        )
        acknowledge(
            role,
            own(self._fleet.cluster, service="ecs", resource="task/@/*"),
            "Tasks are named when they start; the limit is the cluster, where nothing else runs.",
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            "ecs:DescribeTaskDefinition, ecs:ListTasks and the channels of ECS Exec know no resources of ours.",
        )

    def _role(self, construct_id: str) -> iam.Role:
        return iam.Role(self, construct_id, assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))

    def _media(self, role: iam.Role, actions: tuple[str, ...], *prefixes: str) -> None:
        media = self._storage.media
        resources = [media.arn_for_objects(f"{prefix}*") for prefix in prefixes]
        role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=resources))
        for prefix in prefixes:
            acknowledge(
                role,
                wildcard(role, media, f"{prefix}*"),
                "Videos are named when they are dropped; the prefix is the limit.",
            )

    def _list(self, role: iam.Role) -> None:
        """Let ``role`` list the media bucket, the whole of it.

        The store asks whether a key is there. To whoever may list only some prefixes S3 answers "forbidden" for a key
        that is missing, not "not there".
        """
        role.add_to_policy(iam.PolicyStatement(actions=["s3:ListBucket"], resources=[self._storage.media.bucket_arn]))

    def _compute_logs(self, role: iam.Role, *actions: str) -> None:
        objects = self._storage.logs.arn_for_objects(f"{COMPUTE_LOGS}*")
        role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=[objects]))
        acknowledge(
            role,
            wildcard(role, self._storage.logs, f"{COMPUTE_LOGS}*"),
            "Logs are named after runs, which are named when they start; the prefix is the limit.",
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[self._storage.logs.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [f"{COMPUTE_LOGS}*"]}},
            )
        )
