"""Synthesis in this process, and plain questions to the templates it makes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INFRA = Path(__file__).parents[2] / "infra"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Stack:
    """A synthesized template.

    Attributes:
        path: its file.
        template: its content.
    """

    path: Path
    template: dict[str, Any]

    def all(self, kind: str) -> dict[str, Resource]:
        """The properties of the resources of type ``AWS::<kind>``, by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == f"AWS::{kind}"
        }

    def one(self, kind: str, part: str = "") -> Resource:
        """The properties of the only resource of ``kind`` that has ``part`` in its logical id."""
        found = {name: resource for name, resource in self.all(kind).items() if part in name}
        assert len(found) == 1, f"{kind} with {part!r}: {sorted(found)}"
        return next(iter(found.values()))

    def resource(self, kind: str, part: str = "") -> Resource:
        """As :meth:`one`, but with its deletion policy and all else beside the properties."""
        found = [
            resource
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == f"AWS::{kind}" and part in name
        ]
        assert len(found) == 1
        return found[0]


@dataclass(frozen=True)
class Deployment:
    """The three stacks of a deployment."""

    images: Stack
    data: Stack
    compute: Stack

    @property
    def stacks(self) -> tuple[Stack, Stack, Stack]:
        return self.images, self.data, self.compute


def synthesize(context: dict[str, Any], folder: Path) -> Deployment:
    """What ``cdk synth`` does with ``context``, cdk-nag included: a broken rule raises."""
    import aws_cdk as cdk
    from cdk_nag import AwsSolutionsChecks
    from stereo_spot_infra.application import build_stacks
    from stereo_spot_infra.configuration import Configuration

    flags = json.loads((INFRA / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(context={**flags, **context}, outdir=str(folder))
    build_stacks(app, Configuration.from_context(app.node.try_get_context))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
    return Deployment(*(_read(folder / f"StereoSpot{name}.template.json") for name in ("Images", "Data", "Compute")))


def _read(path: Path) -> Stack:
    return Stack(path, json.loads(path.read_text(encoding="utf-8")))


def statements(policy: Resource) -> list[dict[str, Any]]:
    """The statements of a policy, with actions and resources as lists."""
    return [
        {**statement, "Action": _listed(statement["Action"]), "Resource": _listed(statement.get("Resource", []))}
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["Name"]: entry["Value"] for entry in container["Environment"]}
