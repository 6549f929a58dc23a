"""The cluster and its GPU machines: none while there is nothing to do."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Stack, Tags
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from .configuration import CLUSTER, NAME, ON_DEMAND_PROVIDER, SPOT_PROVIDER, USER_ID, Configuration
from .logs import log_group
from .network import Network
from .reasons import acknowledge, wildcard
from .storage import WEIGHTS, Storage

# The one that ECS itself keeps up to date; a new machine starts with the newest driver and agent.
GPU_IMAGE = "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"
# Where a GPU machine keeps weights, the hub's cache and scratch files, on its own fast disk where it has one.
MACHINE_FOLDER = "/var/lib/stereo-spot"
_USER_DATA = Path(__file__).with_name("machine.sh")
# AMI, two images of 4 GB and their layers while they are unpacked.
_ROOT_GB = 100


class Fleet(Construct):
    """An ECS cluster with Fargate and two groups of GPU machines.

    Runs ask for the Spot group; the launcher turns to the on-demand group where Spot has no machine. Both grow with the
    tasks that wait (managed scaling) and shrink to zero; a machine on which a task runs is never sent home.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        configuration: Configuration,
        network: Network,
        storage: Storage,
    ) -> None:
        super().__init__(scope, construct_id)
        self._configuration = configuration
        self._network = network
        self.shell_log = log_group(self, "ShellLog", "shell", configuration)
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            cluster_name=CLUSTER,
            vpc=network.vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
            enable_fargate_capacity_providers=False,
            execute_command_configuration=ecs.ExecuteCommandConfiguration(
                logging=ecs.ExecuteCommandLogging.OVERRIDE,
                log_configuration=ecs.ExecuteCommandLogConfiguration(cloud_watch_log_group=self.shell_log),
            ),
        )
        # ECS would make this group itself, without an end.
        log_group(self, "InsightsLog", f"/aws/ecs/containerinsights/{CLUSTER}/performance", configuration)
        template = self._launch_template(storage)
        self.spot = self._group(
            "Spot", SPOT_PROVIDER, template, configuration.gpu_max, configuration.gpu_on_demand_percent
        )
        self.on_demand = self._group("OnDemand", ON_DEMAND_PROVIDER, template, configuration.gpu_on_demand_max, 100)
        providers = [
            self._provider("SpotProvider", SPOT_PROVIDER, self.spot),
            self._provider("OnDemandProvider", ON_DEMAND_PROVIDER, self.on_demand),
        ]
        ecs.CfnClusterCapacityProviderAssociations(
            self,
            "Providers",
            cluster=self.cluster.cluster_name,
            capacity_providers=["FARGATE", *(provider.ref for provider in providers)],
            default_capacity_provider_strategy=[],
        )

    def _launch_template(self, storage: Storage) -> ec2.LaunchTemplate:
        role = iam.Role(
            self,
            "MachineRole",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AmazonEC2ContainerServiceforEC2Role")
            ],
        )
        acknowledge(
            role,
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role]",
            "AWS keeps this policy in step with what the ECS agent needs; tasks cannot use the machine's role.",
        )
        self._let_read_weights(role, storage)
        commands = _USER_DATA.read_text(encoding="utf-8")
        values = {
            "@CLUSTER@": CLUSTER,
            "@FOLDER@": MACHINE_FOLDER,
            "@WEIGHTS@": f"s3://{storage.media.bucket_name}/{WEIGHTS}",
            "@USER@": str(USER_ID),
        }
        for placeholder, value in values.items():
            commands = commands.replace(placeholder, value)
        template = ec2.LaunchTemplate(
            self,
            "Machine",
            launch_template_name=f"{NAME}-gpu",
            machine_image=ec2.MachineImage.from_ssm_parameter(GPU_IMAGE),
            user_data=ec2.UserData.custom(commands),
            role=role,
            security_group=self._network.machines,
            require_imdsv2=True,
            # One hop: the machine itself. Containers get no credentials of it.
            http_put_response_hop_limit=1,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        _ROOT_GB, volume_type=ec2.EbsDeviceVolumeType.GP3, encrypted=True, delete_on_termination=True
                    ),
                )
            ],
        )
        Tags.of(template).add("Name", f"{NAME}-gpu")
        return template

    def _let_read_weights(self, role: iam.Role, storage: Storage) -> None:
        weights = f"{WEIGHTS}*"
        role.add_to_principal_policy(
            iam.PolicyStatement(actions=["s3:GetObject"], resources=[storage.media.arn_for_objects(weights)])
        )
        role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[storage.media.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [weights]}},
            )
        )
        acknowledge(
            role, wildcard(role, storage.media, weights), "All files of all models, and nothing else in the bucket."
        )

    def _group(
        self, construct_id: str, name: str, template: ec2.LaunchTemplate, most: int, on_demand_percent: int
    ) -> autoscaling.AutoScalingGroup:
        group = autoscaling.AutoScalingGroup(
            self,
            construct_id,
            auto_scaling_group_name=name,
            vpc=self._network.vpc,
            vpc_subnets=self._network.private,
            min_capacity=0,
            max_capacity=most,
            # Else ECS could not keep a machine with a running task from being chosen when the group shrinks.
            new_instances_protected_from_scale_in=True,
            capacity_rebalance=False,
            group_metrics=[autoscaling.GroupMetrics.all()],
            mixed_instances_policy=autoscaling.MixedInstancesPolicy(
                launch_template=template,
                launch_template_overrides=[
                    autoscaling.LaunchTemplateOverrides(instance_type=ec2.InstanceType(name))
                    for name in self._configuration.gpu_instance_types
                ],
                instances_distribution=autoscaling.InstancesDistribution(
                    on_demand_base_capacity=0,
                    on_demand_percentage_above_base_capacity=on_demand_percent,
                    on_demand_allocation_strategy=autoscaling.OnDemandAllocationStrategy.PRIORITIZED,
                    # Cheap, but first of all from a pool that will not be empty in ten minutes.
                    spot_allocation_strategy=autoscaling.SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED,
                ),
            ),
        )
        acknowledge(
            group,
            "AwsSolutions-AS3",
            "Machines come and go with every film; a message for each would be noise. Idle ones raise an alarm.",
        )
        acknowledge(
            group,
            "AwsSolutions-EC26",
            "The rule cannot read launch templates and fails; the disk is encrypted, and a test looks at it.",
        )
        return group

    def _provider(self, construct_id: str, name: str, group: autoscaling.AutoScalingGroup) -> ecs.CfnCapacityProvider:
        return ecs.CfnCapacityProvider(
            self,
            construct_id,
            name=name,
            auto_scaling_group_provider=ecs.CfnCapacityProvider.AutoScalingGroupProviderProperty(
                auto_scaling_group_arn=group.auto_scaling_group_name,
                managed_scaling=ecs.CfnCapacityProvider.ManagedScalingProperty(
                    status="ENABLED",
                    target_capacity=100,
                    minimum_scaling_step_size=1,
                    maximum_scaling_step_size=4,
                    # Before this a new machine's load counts as nothing: AMI, agent and weights take minutes.
                    instance_warmup_period=300,
                ),
                managed_termination_protection="ENABLED",
                managed_draining="ENABLED",
            ),
        )

    def task_arn(self, what: str) -> str:
        """An ARN of a task or task definition in this account, such as ``task/stereo-spot/*``."""
        kind, _, name = what.partition("/")
        return Stack.of(self).format_arn(service="ecs", resource=kind, resource_name=name)
