"""moto's server with one more address, at which whoever plays ECS tells tasks what happens to them.

python -m stereo_spot_dagster_tests.fleet.ecs_server --host 127.0.0.1 --port 5000
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

from .patient_tasks import install, tell
from .told import PATH, Told

_Answer = Callable[..., Any]


def listen(environ: dict[str, Any], start_response: _Answer) -> Iterable[bytes]:
    """The address that is not moto's."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    tell(Told.model_validate_json(body))
    start_response("204 No Content", [])
    return []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    os.environ["MOTO_PORT"] = str(arguments.port)
    install()
    moto = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: _Answer) -> Iterable[bytes]:
        handler = listen if environ["PATH_INFO"] == PATH else moto
        return handler(environ, start_response)

    run_simple(arguments.host, arguments.port, application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
