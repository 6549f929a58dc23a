"""The network: who may speak to whom, and how little of it costs money."""

from __future__ import annotations

from aws_cdk import Tags
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from .configuration import CODE_PORT, DATABASE_PORT, WEB_PORT, Configuration
from .logs import log_group
from .reasons import acknowledge


class Network(Construct):
    """A VPC with private subnets, and one security group for each kind of task.

    One NAT gateway (33 USD a month and 0.045 USD/GB) carries calls of the AWS APIs and of the hub. Without it the
    tasks would need interface endpoints for ECR (2), ECS (3), SQS, Secrets Manager, Logs and SSM: nine, in two zones
    7.3 USD a month each, 131 USD, and could still not reach the hub. Media, image layers and weights are in S3 and go
    through the gateway endpoint, which is free.
    """

    def __init__(self, scope: Construct, construct_id: str, configuration: Configuration) -> None:
        super().__init__(scope, construct_id)
        flow_log = log_group(self, "FlowLog", "network", configuration)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=configuration.zones,
            nat_gateways=1,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(name="private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=20),
                ec2.SubnetConfiguration(name="database", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=26),
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
            },
            flow_logs={
                "Rejected": ec2.FlowLogOptions(
                    destination=ec2.FlowLogDestination.to_cloud_watch_logs(flow_log),
                    # What was let through is media traffic: gigabytes of log lines that nobody reads.
                    traffic_type=ec2.FlowLogTrafficType.REJECT,
                )
            },
        )
        self.private = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
        self.isolated = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)

        self.balancer = self._group("Balancer", "load balancer of the UI")
        self.webserver = self._group("Webserver", "Dagster webserver")
        self.daemon = self._group("Daemon", "Dagster daemon")
        self.code = self._group("Code", "Dagster code server")
        self.workers = self._group("Workers", "runs, one task each")
        self.machines = self._group("Machines", "GPU machines; the tasks on them have network cards of their own")
        self.database = self._group("Database", "Postgres", internet=False)

        for network in configuration.allowed_cidrs if configuration.public else ():
            for port in (80, 443):
                self.balancer.add_ingress_rule(ec2.Peer.ipv4(network), ec2.Port.tcp(port), f"people, port {port}")
        if "0.0.0.0/0" in configuration.allowed_cidrs and configuration.public:
            acknowledge(
                self.balancer,
                "AwsSolutions-EC23",
                "The login page is for people anywhere; port 80 only redirects to it. allowed_cidrs narrows it.",
            )
        self._let(self.balancer, self.webserver, WEB_PORT, "the UI")
        for caller in (self.webserver, self.daemon):
            self._let(caller, self.code, CODE_PORT, "definitions and sensors")
        for client in (self.webserver, self.daemon, self.code, self.workers):
            self._let(client, self.database, DATABASE_PORT, "state")

    def _group(self, name: str, description: str, *, internet: bool = True) -> ec2.SecurityGroup:
        """A group that lets nothing in, and out only HTTPS: APIs, S3, the hub. Name servers are not filtered."""
        group = ec2.SecurityGroup(self, name, vpc=self.vpc, description=description, allow_all_outbound=False)
        Tags.of(group).add("Name", f"stereo-spot {description}"[:255])
        if internet:
            group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "HTTPS")
        return group

    @staticmethod
    def _let(caller: ec2.SecurityGroup, callee: ec2.SecurityGroup, port: int, what: str) -> None:
        callee.add_ingress_rule(caller, ec2.Port.tcp(port), what)
        caller.add_egress_rule(callee, ec2.Port.tcp(port), what)
