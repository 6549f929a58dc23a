"""What always runs: webserver, daemon and code server, on Fargate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_servicediscovery as discovery
from constructs import Construct

from .configuration import CODE_PORT, NAME, WEB_PORT, Configuration
from .fleet import Fleet
from .logs import log_group
from .network import Network
from .notices import Notices
from .permissions import Permissions
from .tasks import Tasks, explain_task

NAMESPACE = f"{NAME}.internal"
CODE_NAME = "code"


@dataclass(frozen=True)
class Process:
    """A process that always runs.

    Attributes:
        name: of its service, its family, its container and its log group.
        health: command that ends with 0 while it does its work.
        single: there must never be two, not even during a deployment.
    """

    name: str
    command: list[str]
    health: list[str]
    cpu: int
    memory_mib: int
    port: int | None = None
    single: bool = False


_DAEMON = Process(
    "daemon",
    ["dagster-daemon", "run", "-w", "/opt/dagster/workspace.yaml"],
    # Also the cure for its slow leak of memory: over its limit it is killed, and all it does can be resumed.
    ["CMD-SHELL", "dagster-daemon liveness-check || exit 1"],
    cpu=1024,
    memory_mib=2048,
    single=True,
)
_WEBSERVER = Process(
    "webserver",
    ["dagster-webserver", "-h", "0.0.0.0", "-p", str(WEB_PORT), "-w", "/opt/dagster/workspace.yaml"],
    [
        "CMD",
        "python",
        "-c",
        f"import urllib.request as r; r.urlopen('http://127.0.0.1:{WEB_PORT}/server_info', timeout=5)",
    ],
    cpu=512,
    memory_mib=2048,
    port=WEB_PORT,
)
_CODE = Process(
    "code",
    ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", str(CODE_PORT), "-m", "stereo_spot_dagster.definitions"],
    ["CMD-SHELL", f"dagster api grpc-health-check -p {CODE_PORT} || exit 1"],
    cpu=1024,
    memory_mib=2048,
    port=CODE_PORT,
)


class Services(Construct):
    """The three services; the code server is found by name."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        configuration: Configuration,
        *,
        fleet: Fleet,
        network: Network,
        tasks: Tasks,
        permissions: Permissions,
        notices: Notices,
    ) -> None:
        super().__init__(scope, construct_id)
        self._configuration = configuration
        self._fleet = fleet
        self._network = network
        self._tasks = tasks
        self.log_groups: dict[str, logs.LogGroup] = {}
        # Plain DNS: the proxy of Service Connect ends calls after 15 seconds, and a sensor may take 60.
        self._namespace = discovery.PrivateDnsNamespace(self, "Names", name=NAMESPACE, vpc=network.vpc)
        # The sensors work in the code server, and only they have something to tell.
        told = {"STEREO_SPOT_ALERT_URLS": notices.topic.topic_arn}
        self.code = self._service(_CODE, network.code, permissions.code, more=told)
        self.code.enable_cloud_map(
            name=CODE_NAME,
            cloud_map_namespace=self._namespace,
            dns_record_type=discovery.DnsRecordType.A,
            dns_ttl=Duration.seconds(10),
        )
        self.daemon = self._service(_DAEMON, network.daemon, permissions.daemon, shell=True)
        # Where no load balancer is, a person reaches the UI through Session Manager.
        self.webserver = self._service(_WEBSERVER, network.webserver, permissions.webserver, shell=True)

    def _service(
        self,
        process: Process,
        group: ec2.SecurityGroup,
        role: iam.Role,
        *,
        shell: bool = False,
        more: Mapping[str, str] | None = None,
    ) -> ecs.FargateService:
        definition = ecs.FargateTaskDefinition(
            self,
            f"{process.name.capitalize()}Task",
            family=f"{NAME}-{process.name}",
            cpu=process.cpu,
            memory_limit_mib=process.memory_mib,
            task_role=role,
        )
        self.log_groups[process.name] = log = log_group(
            self, f"{process.name.capitalize()}Log", process.name, self._configuration
        )
        definition.add_container(
            process.name,
            image=self._tasks.cpu_image,
            command=process.command,
            memory_limit_mib=process.memory_mib,
            environment={
                **self._tasks.environment,
                "STEREO_SPOT_CODE_HOST": f"{CODE_NAME}.{NAMESPACE}",
                "STEREO_SPOT_HOME": "/tmp/stereo-spot",
                # Listing a large bucket may take longer than the default of 60 s; both ends must agree.
                "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "120",
                **(more or {}),
            },
            secrets=self._tasks.secrets,
            logging=ecs.LogDrivers.aws_logs(stream_prefix=process.name, log_group=log),
            health_check=ecs.HealthCheck(
                command=process.health,
                interval=Duration.seconds(60),
                timeout=Duration.seconds(30),
                retries=3,
                # Importing the definitions on half a core.
                start_period=Duration.seconds(180),
            ),
            port_mappings=[ecs.PortMapping(container_port=process.port)] if process.port else [],
            linux_parameters=ecs.LinuxParameters(self, f"{process.name.capitalize()}Init", init_process_enabled=True),
        )
        explain_task(definition)
        return ecs.FargateService(
            self,
            process.name.capitalize(),
            service_name=f"{NAME}-{process.name}",
            cluster=self._fleet.cluster,
            task_definition=definition,
            desired_count=1,
            min_healthy_percent=0 if process.single else 100,
            max_healthy_percent=100 if process.single else 200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            enable_execute_command=shell,
            vpc_subnets=self._network.private,
            security_groups=[group],
            assign_public_ip=False,
        )
