"""Where the two images are built and kept."""

from __future__ import annotations

from aws_cdk import Aws, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_s3 as s3
from constructs import Construct

from .buckets import private_bucket
from .configuration import NAME, Configuration
from .logs import log_group
from .reasons import acknowledge, own, wildcard

SOURCE_ARCHIVE = "source.zip"


class Images(Construct):
    """One repository for each image, and the project that builds both from a commit."""

    def __init__(self, scope: Construct, construct_id: str, configuration: Configuration) -> None:
        super().__init__(scope, construct_id)
        self.cpu = self._repository("Cpu", f"{NAME}-cpu")
        self.gpu = self._repository("Gpu", f"{NAME}-gpu")
        self.source = None if configuration.github_repository else self._source_bucket()
        self.build = self._project(configuration)

    def _repository(self, construct_id: str, name: str) -> ecr.Repository:
        return ecr.Repository(
            self,
            construct_id,
            repository_name=name,
            image_scan_on_push=True,
            # A tag is a commit: what runs is what was tested under that name.
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            encryption=ecr.RepositoryEncryption.AES_256,
            lifecycle_rules=[
                # A GPU image is about 4 GB: 0.40 USD a month each.
                ecr.LifecycleRule(description="ten releases to go back to", max_image_count=10),
            ],
            removal_policy=RemovalPolicy.DESTROY,
            empty_on_delete=False,
        )

    def _source_bucket(self) -> s3.Bucket:
        """A private checkout needs no account at a forge: an archive of a commit is enough."""
        bucket = private_bucket(
            self,
            "Source",
            removal_policy=RemovalPolicy.DESTROY,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="old archives",
                    expiration=Duration.days(7),
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                )
            ],
        )
        acknowledge(bucket, "AwsSolutions-S1", "It holds one archive of public source for minutes; nothing to audit.")
        CfnOutput(Stack.of(self), "SourceBucket", value=bucket.bucket_name)
        return bucket

    def _project(self, configuration: Configuration) -> codebuild.Project:
        if self.source:
            source = codebuild.Source.s3(bucket=self.source, path=SOURCE_ARCHIVE)
        else:
            owner, _, name = configuration.github_repository.partition("/")
            source = codebuild.Source.git_hub(owner=owner, repo=name, webhook=False)
        project = codebuild.Project(
            self,
            "Build",
            project_name=f"{NAME}-images",
            source=source,
            build_spec=codebuild.BuildSpec.from_source_filename("infra/buildspec.yml"),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxBuildImage.STANDARD_7_0,
                compute_type=codebuild.ComputeType.LARGE,
                privileged=True,
            ),
            environment_variables={
                "REGISTRY": codebuild.BuildEnvironmentVariable(
                    value=f"{Aws.ACCOUNT_ID}.dkr.ecr.{Aws.REGION}.{Aws.URL_SUFFIX}"
                ),
                "CPU_REPOSITORY": codebuild.BuildEnvironmentVariable(value=self.cpu.repository_uri),
                "GPU_REPOSITORY": codebuild.BuildEnvironmentVariable(value=self.gpu.repository_uri),
            },
            logging=codebuild.LoggingOptions(
                cloud_watch=codebuild.CloudWatchLoggingOptions(
                    log_group=log_group(self, "BuildLog", "build", configuration)
                )
            ),
            timeout=Duration.hours(1),
        )
        for repository in (self.cpu, self.gpu):
            repository.grant_pull_push(project)
        acknowledge(
            project, "AwsSolutions-CB3", "Docker builds images in privileged mode only; it builds our own source."
        )
        acknowledge(
            project, "AwsSolutions-CB4", "Artifacts are images in encrypted repositories; the project stores none."
        )
        self._explain_role(project)
        return project

    def _explain_role(self, project: codebuild.Project) -> None:
        acknowledge(
            project.role,
            "AwsSolutions-IAM5[Resource::*]",
            "ecr:GetAuthorizationToken knows no resources; it gives a login, and the repositories' grants decide.",
        )
        acknowledge(
            project.role,
            own(project, service="logs", resource="log-group:/aws/codebuild/@:*"),
            "The streams of the project's own log group; a build names its stream after itself.",
        )
        acknowledge(
            project.role,
            own(project, service="codebuild", resource="report-group/@-*"),
            "CodeBuild writes test reports only into groups that begin with the project's name.",
        )
        if self.source:
            for action in ("s3:GetBucket*", "s3:GetObject*", "s3:List*"):
                acknowledge(
                    project.role,
                    f"AwsSolutions-IAM5[Action::{action}]",
                    "Reading, on the one bucket of source archives.",
                )
            acknowledge(
                project.role,
                wildcard(project, self.source, SOURCE_ARCHIVE),
                "One archive in the bucket of source archives.",
            )
