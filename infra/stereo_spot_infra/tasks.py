"""The tasks: what runs in a container, with how much of a machine."""

from __future__ import annotations

from aws_cdk import Aws, Duration, Fn
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from .configuration import CLUSTER, CPU_FAMILY, DATABASE, GPU_FAMILY, WORKER_CONTAINER, Configuration
from .database import Database, HubToken
from .fleet import MACHINE_FOLDER
from .images import Images
from .logs import log_group
from .network import Network
from .permissions import Permissions
from .reasons import acknowledge
from .storage import Storage

# A task that is stopped may end a segment's ffmpeg and report; Spot gives two minutes.
_STOP = Duration.seconds(110)
# Source, segments, joined file and result of a film of 40 GB; the most that Fargate has.
_CPU_DISK_GB = 200
_TASK_ON_FARGATE_FOLDER = "/tmp/stereo-spot"


class Tasks(Construct):
    """The two workers, and the parts that the services are made of."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        configuration: Configuration,
        *,
        images: Images,
        network: Network,
        storage: Storage,
        database: Database,
        hub_token: HubToken,
        permissions: Permissions,
    ) -> None:
        super().__init__(scope, construct_id)
        self._configuration = configuration
        self._database = database
        self.cpu_image = ecs.ContainerImage.from_ecr_repository(images.cpu, configuration.image_tag)
        self._gpu_image = ecs.ContainerImage.from_ecr_repository(images.gpu, configuration.image_tag)
        subnets = network.vpc.select_subnets(subnet_type=network.private.subnet_type).subnet_ids
        self.environment = {
            "STEREO_SPOT_STORE": f"s3://{storage.media.bucket_name}",
            "STEREO_SPOT_DROP_QUEUE": storage.drops.queue_url,
            "STEREO_SPOT_TOKEN_SECRET": hub_token.secret.secret_arn,
            "STEREO_SPOT_LOG_BUCKET": storage.logs.bucket_name,
            "STEREO_SPOT_CLUSTER": CLUSTER,
            "STEREO_SPOT_SUBNETS": Fn.join(",", subnets),
            "STEREO_SPOT_SECURITY_GROUPS": network.workers.security_group_id,
            "PG_DB": DATABASE,
            # Fargate sets it by itself, EC2 does not.
            "AWS_DEFAULT_REGION": Aws.REGION,
        }
        self.worker_log = log_group(self, "WorkerLog", "workers", configuration)
        self.cpu = self._cpu_worker(permissions.cpu_worker)
        self.gpu = self._gpu_worker(permissions.gpu_worker)
        permissions.let_start([self.cpu, self.gpu])
        permissions.let_read_log(self.worker_log)

    @property
    def secrets(self) -> dict[str, ecs.Secret]:
        fields = {"PG_HOST": "host", "PG_USER": "username", "PG_PASSWORD": "password"}
        return {name: ecs.Secret.from_secrets_manager(self._database.secret, key) for name, key in fields.items()}

    def _cpu_worker(self, role: iam.Role) -> ecs.FargateTaskDefinition:
        definition = ecs.FargateTaskDefinition(
            self,
            "CpuWorker",
            family=CPU_FAMILY,
            cpu=4096,
            memory_limit_mib=16384,
            ephemeral_storage_gib=_CPU_DISK_GB,
            task_role=role,
        )
        definition.add_container(
            WORKER_CONTAINER,
            image=self.cpu_image,
            memory_limit_mib=16384,
            environment={
                **self.environment,
                "STEREO_SPOT_HOME": _TASK_ON_FARGATE_FOLDER,
                # This one chooses models and segment lengths for the machines that will do the work.
                "STEREO_SPOT_WORKER_VRAM": f"{self._configuration.gpu_memory_gb}GB",
            },
            secrets=self.secrets,
            logging=ecs.LogDrivers.aws_logs(stream_prefix="cpu", log_group=self.worker_log),
            stop_timeout=_STOP,
            linux_parameters=ecs.LinuxParameters(self, "CpuInit", init_process_enabled=True),
        )
        explain_task(definition)
        return definition

    def _gpu_worker(self, role: iam.Role) -> ecs.Ec2TaskDefinition:
        definition = ecs.Ec2TaskDefinition(
            self, "GpuWorker", family=GPU_FAMILY, network_mode=ecs.NetworkMode.AWS_VPC, task_role=role
        )
        definition.add_volume(name="machine", host=ecs.Host(source_path=MACHINE_FOLDER))
        container = definition.add_container(
            WORKER_CONTAINER,
            image=self._gpu_image,
            gpu_count=1,
            # What is left of a g5.xlarge (4 cores, 16 GiB) beside the agent; larger machines still take one task a GPU.
            cpu=3584,
            memory_reservation_mib=12288,
            memory_limit_mib=14336,
            environment={
                **self.environment,
                "STEREO_SPOT_HOME": f"{MACHINE_FOLDER}/work",
                "TMPDIR": f"{MACHINE_FOLDER}/work",
                "STEREO_SPOT_MODELS": f"{MACHINE_FOLDER}/weights",
                "HF_HOME": f"{MACHINE_FOLDER}/hub",
                "NVIDIA_DRIVER_CAPABILITIES": "compute,utility,video",
            },
            secrets=self.secrets,
            logging=ecs.LogDrivers.aws_logs(stream_prefix="gpu", log_group=self.worker_log),
            stop_timeout=_STOP,
            linux_parameters=ecs.LinuxParameters(self, "GpuInit", init_process_enabled=True),
        )
        container.add_mount_points(
            ecs.MountPoint(source_volume="machine", container_path=MACHINE_FOLDER, read_only=False)
        )
        explain_task(definition)
        return definition


def explain_task(definition: ecs.TaskDefinition) -> None:
    """Why the rules on secrets and on roles that start tasks are not followed to the letter."""
    acknowledge(
        definition,
        "AwsSolutions-ECS2",
        "These are names and addresses; what is secret comes from Secrets Manager when the task starts.",
    )
    acknowledge(
        definition.obtain_execution_role(),
        "AwsSolutions-IAM5[Resource::*]",
        "ecr:GetAuthorizationToken knows no resources; it gives a login, and the repositories' grants decide.",
    )
