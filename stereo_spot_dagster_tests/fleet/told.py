"""What a task of the simulated ECS is told."""

from __future__ import annotations

from urllib.request import Request, urlopen

from pydantic import BaseModel, ConfigDict

PATH = "/ecs-of-the-test"


class Told(BaseModel):
    """What has happened to a task.

    Attributes:
        task: its ARN.
        status: its last status from now on.
        stop_code, reason: why it stopped; what somebody who stopped it said before wins.
        exit_code: of its container; None if nobody knows, as when its machine is gone.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    status: str
    stop_code: str = ""
    reason: str = ""
    exit_code: int | None = None

    def send(self, endpoint: str) -> None:
        request = Request(f"{endpoint}{PATH}", self.model_dump_json().encode(), method="POST")
        with urlopen(request, timeout=30):
            pass
