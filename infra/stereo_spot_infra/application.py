"""The stacks, in the order in which they are deployed."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
import jsii

from .access import Access
from .alarms import Alarms
from .configuration import NAME, Configuration
from .dashboard import Dashboard
from .database import Database, HubToken
from .fleet import Fleet
from .images import Images
from .measures import Measures
from .network import Network
from .notices import Notices
from .permissions import Permissions
from .retention import Retention
from .services import Services
from .storage import Storage
from .tasks import Tasks


class ImagesStack(cdk.Stack):
    """First, because the services cannot start before their image is there."""

    def __init__(self, scope: cdk.App, configuration: Configuration) -> None:
        super().__init__(scope, "StereoSpotImages", description="Stereo-Spot: image repositories and their build")
        self.images = Images(self, "Images", configuration)


class DataStack(cdk.Stack):
    """What must outlive everything else: media, state, secrets, and the network the database is in."""

    def __init__(self, scope: cdk.App, configuration: Configuration) -> None:
        self._zones = configuration.zones
        super().__init__(
            scope,
            "StereoSpotData",
            description="Stereo-Spot: network, buckets, database, secrets",
            termination_protection=configuration.database_deletion_protection,
        )
        self.network = Network(self, "Network", configuration)
        self.storage = Storage(self, "Storage", configuration)
        self.retention = Retention(self, "Retention", configuration, self.storage)
        self.database = Database(self, "Database", configuration, self.network)
        self.hub_token = HubToken(self, "HubToken")
        cdk.CfnOutput(self, "MediaBucket", value=self.storage.media.bucket_name)

    @property
    @jsii.member(jsii_name="availabilityZones")
    def availability_zones(self) -> list[str]:
        # Without a fixed region the CDK counts on two; most regions have three or more.
        return [cdk.Fn.select(index, cdk.Fn.get_azs()) for index in range(self._zones)]


class ComputeStack(cdk.Stack):
    """What does the work and what watches it; can be deleted and made again without loss."""

    def __init__(self, scope: cdk.App, configuration: Configuration, images: ImagesStack, data: DataStack) -> None:
        super().__init__(scope, "StereoSpotCompute", description="Stereo-Spot: GPU fleet, services, alarms")
        network, storage = data.network, data.storage
        self.fleet = Fleet(self, "Fleet", configuration, network, storage)
        self.permissions = Permissions(self, "Permissions", self.fleet, storage, data.hub_token)
        self.tasks = Tasks(
            self,
            "Tasks",
            configuration,
            images=images.images,
            network=network,
            storage=storage,
            database=data.database,
            hub_token=data.hub_token,
            permissions=self.permissions,
        )
        self.notices = Notices(self, "Notices", configuration)
        self.permissions.let_tell(self.notices.topic, self.notices.key)
        self.services = Services(
            self,
            "Services",
            configuration,
            fleet=self.fleet,
            network=network,
            tasks=self.tasks,
            permissions=self.permissions,
            notices=self.notices,
        )
        if configuration.public:
            Access(self, "Access", configuration, network=network, services=self.services, storage=storage)
        self.measures = Measures(
            self,
            "Measures",
            services=self.services,
            tasks=self.tasks,
            storage=storage,
            database=data.database,
        )
        self.alarms = Alarms(self, "Alarms", configuration, self.measures, self.notices.topic)
        Dashboard(self, "Dashboard", self.measures, self.alarms)


@dataclass(frozen=True)
class Stacks:
    """All stacks of a deployment."""

    images: ImagesStack
    data: DataStack
    compute: ComputeStack


def build_stacks(app: cdk.App, configuration: Configuration) -> Stacks:
    """Add the stacks to ``app``."""
    images, data = ImagesStack(app, configuration), DataStack(app, configuration)
    compute = ComputeStack(app, configuration, images, data)
    cdk.Tags.of(app).add("application", NAME)
    return Stacks(images, data, compute)
