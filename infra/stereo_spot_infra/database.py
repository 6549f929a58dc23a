"""Dagster's state: Postgres, and the secrets."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, SecretValue
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from .configuration import DATABASE, DATABASE_PORT, NAME, Configuration
from .logs import log_group
from .network import Network
from .reasons import acknowledge


class Database(Construct):
    """A private Postgres with backups and a password that nobody has seen; since version 15 it takes only TLS."""

    def __init__(self, scope: Construct, construct_id: str, configuration: Configuration, network: Network) -> None:
        super().__init__(scope, construct_id)
        # RDS would make this group itself, without an end.
        log = log_group(self, "Log", f"/aws/rds/instance/{NAME}/postgresql", configuration)
        self.instance = rds.DatabaseInstance(
            self,
            "Postgres",
            instance_identifier=NAME,
            engine=rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_17_9),
            instance_type=ec2.InstanceType(configuration.database_instance),
            vpc=network.vpc,
            vpc_subnets=network.isolated,
            security_groups=[network.database],
            publicly_accessible=False,
            port=DATABASE_PORT,
            database_name=DATABASE,
            credentials=rds.Credentials.from_generated_secret(DATABASE, secret_name=f"{NAME}/database"),
            storage_type=rds.StorageType.GP3,
            allocated_storage=20,
            # Events of 200,000 segments are about 20 GB.
            max_allocated_storage=100,
            storage_encrypted=True,
            multi_az=configuration.database_multi_az,
            backup_retention=Duration.days(configuration.database_backup_days),
            copy_tags_to_snapshot=True,
            auto_minor_version_upgrade=True,
            cloudwatch_logs_exports=["postgresql"],
            deletion_protection=configuration.database_deletion_protection,
            removal_policy=RemovalPolicy.SNAPSHOT,
        )
        self.instance.node.add_dependency(log)
        self.secret: secretsmanager.ISecret = self.instance.secret
        self._explain(configuration)

    def _explain(self, configuration: Configuration) -> None:
        acknowledge(
            self.instance,
            "AwsSolutions-SMG4",
            "Tasks read the password when they start, so a rotation restarts the services: see the runbook.",
        )
        acknowledge(
            self.instance,
            "AwsSolutions-RDS11",
            "Four security groups reach the port and nobody else; another number would keep out nobody.",
        )
        if not configuration.database_multi_az:
            acknowledge(
                self.instance,
                "AwsSolutions-RDS3",
                "The store holds the truth, and the state is rebuilt from it; database_multi_az=true pays for more.",
            )
        if not configuration.database_deletion_protection:
            acknowledge(
                self.instance,
                "AwsSolutions-RDS10",
                "Switched off by database_deletion_protection=false, to tear down; a last snapshot is taken.",
            )


class HubToken(Construct):
    """The secret for the token that opens gated repositories; its value is put in by hand (see the runbook)."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.secret = secretsmanager.Secret(
            self,
            "Secret",
            secret_name=f"{NAME}/hub-token",
            description="Token of huggingface.co, as plain text or as JSON with a field HF_TOKEN",
            secret_object_value={"HF_TOKEN": SecretValue.unsafe_plain_text("")},
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(
            self.secret,
            "AwsSolutions-SMG4",
            "The token is made on a web page by a person; no function can make a new one.",
        )
