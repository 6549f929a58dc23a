"""``stereo-spot smoke``: whether a deployed stack holds together, tried from where this command runs.

Nothing is started and nothing stays: objects below ``smoke/`` in the store are written, read and deleted again; the
queue, the secret, the database and the fleet are only asked about.
"""

from __future__ import annotations

import os
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..domain.errors import StereoSpotError, ToolUnavailable
from ..domain.machine import MachineSettings
from ..storage import keys
from ..storage.base import MediaStore
from ..weights.token import hub_token
from .doctor import Finding, State
from .session import Session

if TYPE_CHECKING:
    from ..fleet.launcher import GpuEcsRunLauncher

QUEUE, SECRET = "STEREO_SPOT_DROP_QUEUE", "STEREO_SPOT_TOKEN_SECRET"

_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_TIMEOUT_S = 15
_LAUNCHER = "GpuEcsRunLauncher"


def examine(session: Session) -> list[Finding]:
    """Try everything that the parts of a stack need of one another."""
    return [
        *_store(session.workspace.store),
        _queue(),
        _secret(),
        _database(session),
        *_launcher(session),
    ]


def _store(store: MediaStore) -> Iterator[Finding]:
    key, content = keys.trial(), uuid.uuid4().hex.encode()
    written = _tried(
        "store: write", lambda: store.put_bytes(content, key).key and store.locate(key), "Allow s3:PutObject there"
    )
    yield written
    if written.state is State.BROKEN:
        return
    try:
        yield _tried("store: read", lambda: _same(store.read_bytes(key), content), "Allow s3:GetObject there")
        remedy = "Check that this machine reaches the store's address, and its clock"
        yield _tried("store: presigned download", lambda: _same(_get(store.presign_get(key)), content), remedy)
        if store.folder is None:
            yield _tried("store: presigned upload", lambda: _uploaded(store, key), remedy)
    finally:
        deleted = _tried("store: delete", lambda: _deleted(store, key), "Allow s3:DeleteObject and s3:ListBucket there")
    yield deleted


def _queue() -> Finding:
    url = os.environ.get(QUEUE, "")
    if not url:
        return Finding("drop queue", State.MISSING, f"{QUEUE} is not set", "Not needed for a drop folder")

    def waiting() -> str:
        from ..sensors.drop_queue import DropQueue

        # Receiving a message would hide it from the sensor for a while.
        waiting, taken = DropQueue(url).counts()
        return f"{url}: {waiting} messages wait, {taken} are being looked at"

    return _tried("drop queue", waiting, "Check the URL, and allow sqs:GetQueueAttributes")


def _secret() -> Finding:
    """Whether the token can be read; it is never shown."""
    thing, machine = "token secret", MachineSettings.from_environment()
    if not machine.token_secret:
        return Finding(thing, State.MISSING, f"{SECRET} is not set", "Needed for gated weights only")
    for variable in _TOKEN_VARIABLES:
        if os.environ.get(variable, "").strip():
            return Finding(thing, State.MISSING, f"not tried: {variable} is set and goes before it", "")
    try:
        hub_token(machine)
    except StereoSpotError as error:
        if "AccessDenied" in repr(error.__cause__):
            # In the stack only the workers may read it, and only they need it.
            return Finding(thing, State.MISSING, "this process may not read it", "The workers need to, nobody else")
        # Read, but empty: what a new stack has until somebody puts a token in.
        empty = error.__cause__ is None and not isinstance(error, ToolUnavailable)
        return Finding(thing, State.MISSING if empty else State.BROKEN, error.cause, error.remedy)
    return Finding(thing, State.GOOD, f"{machine.token_secret} holds a token")


def _database(session: Session) -> Finding:
    def answered() -> str:
        instance = session.instance
        return f"{type(instance.run_storage).__name__}, {instance.get_runs_count()} runs"

    return _tried("Dagster database", answered, "Check DAGSTER_HOME/dagster.yaml, the address and the password")


def _launcher(session: Session) -> Iterator[Finding]:
    try:
        launcher: Any = session.instance.run_launcher
    except Exception as error:  # whatever the instance's configuration raises is the finding
        yield Finding("launcher", State.BROKEN, _words(error), "Check DAGSTER_HOME/dagster.yaml")
        return
    name = type(launcher).__name__
    if name != _LAUNCHER:
        yield Finding("launcher", State.MISSING, f"{name}: runs stay on this machine")
        return
    yield from _fleet(launcher)


def _fleet(launcher: GpuEcsRunLauncher) -> Iterator[Finding]:
    """A launch as far as it goes without starting anything: all that it names exists."""
    ecs, cluster = launcher.ecs, str((launcher.run_task_kwargs or {}).get("cluster", "default"))
    found = _tried("fleet: cluster", lambda: _cluster(ecs, cluster), "Deploy StereoSpotCompute, or set its name")
    yield found
    definitions, providers = launcher.task_definitions, launcher.capacity_providers
    for kind, family in definitions.items():
        remedy = "Deploy StereoSpotCompute, and allow ecs:DescribeTaskDefinition"
        yield _tried(f"fleet: {kind} task", lambda family=family: _definition(ecs, family, launcher), remedy)
    for provider in providers:
        remedy = "Deploy StereoSpotCompute, and allow ecs:DescribeCapacityProviders"
        yield _tried(f"fleet: {provider}", lambda provider=provider: _provider(ecs, provider), remedy)


def _cluster(ecs: Any, name: str) -> str:
    found = ecs.describe_clusters(clusters=[name])["clusters"]
    if not found or found[0]["status"] != "ACTIVE":
        raise StereoSpotError(name, "there is no such active cluster")
    return f"{name}: {found[0]['runningTasksCount']} tasks, {found[0]['registeredContainerInstancesCount']} machines"


def _definition(ecs: Any, family: str, launcher: GpuEcsRunLauncher) -> str:
    found = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    names = [container["name"] for container in found["containerDefinitions"]]
    if found["status"] != "ACTIVE" or launcher.container_name not in names:
        raise StereoSpotError(family, f"it is not active or has no container '{launcher.container_name}'")
    return f"{family}:{found['revision']}"


def _provider(ecs: Any, name: str) -> str:
    found = ecs.describe_capacity_providers(capacityProviders=[name])["capacityProviders"]
    if not found or found[0].get("status") != "ACTIVE":
        raise StereoSpotError(name, "there is no such active capacity provider")
    return "active"


def _tried(thing: str, act: Callable[[], str], remedy: str) -> Finding:
    """What ``act`` found, or why it did not; whatever it raises is the finding."""
    try:
        return Finding(thing, State.GOOD, act())
    except Exception as error:
        own = error.remedy if isinstance(error, StereoSpotError) and error.remedy else remedy
        return Finding(thing, State.BROKEN, _words(error), own)


def _words(error: Exception) -> str:
    if isinstance(error, StereoSpotError):
        return f"{error.subject}: {error.cause}"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _same(read: bytes, written: bytes) -> str:
    if read != written:
        raise StereoSpotError("store", "what was read is not what was written")
    return f"{len(read)} bytes"


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
        return answer.read()


def _uploaded(store: MediaStore, key: str) -> str:
    upload, content = store.presign_put(key), uuid.uuid4().hex.encode()
    request = urllib.request.Request(upload.url, data=content, headers=upload.headers, method="PUT")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
        return _same(store.read_bytes(key), content)


def _deleted(store: MediaStore, key: str) -> str:
    store.delete_prefix(key)
    if store.exists(key):
        raise StereoSpotError(key, "it is still there")
    return "gone"
