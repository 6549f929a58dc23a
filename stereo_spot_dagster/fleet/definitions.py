"""A task definition with another image."""

from __future__ import annotations

import hashlib
from typing import Any

# Of a task definition's description, what registering it again takes.
_COPIED = (
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "runtimePlatform",
    "ephemeralStorage",
)


def definition_with(ecs: Any, definition: str, container: str, image: str) -> str:
    """A task definition that differs in its image alone, registered once.

    Args:
        ecs: client of ECS.
        definition: family or ARN of the one to start from.
        container: whose image it is.
        image: that it shall have.

    Returns:
        ``definition`` itself if it has that image, else the family of the copy.
    """
    base = ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
    worker = next(each for each in base["containerDefinitions"] if each["name"] == container)
    if worker["image"] == image:
        return definition
    basis = f"{base['taskDefinitionArn']}\n{image}"
    family = f"{base['family']}-{hashlib.sha256(basis.encode()).hexdigest()[:8]}"
    try:
        ecs.describe_task_definition(taskDefinition=family)
        return family
    except ecs.exceptions.ClientException:
        pass
    worker["image"] = image
    ecs.register_task_definition(**{name: base[name] for name in _COPIED if base.get(name)}, family=family)
    return family
