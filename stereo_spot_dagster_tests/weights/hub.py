"""A hub for tests: a local server that speaks as much of the Hugging Face hub's protocol as its client needs."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_REVISION = re.compile(r"^/api/models/(?P<repo>[^/]+/[^/]+)(/revision/(?P<revision>[^/?]+))?(\?.*)?$")
_RESOLVE = re.compile(r"^/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>[^?]+)")
COMMIT = "a1" * 20


@dataclass
class Repository:
    """One repository of the hub.

    Attributes:
        files: path to content.
        gated: who asks for a file without ``token`` is refused.
        large: files kept as the hub keeps large ones: named by their SHA-256.
        drops: path to the number of bytes after which the connection breaks, once each entry.
        failing: paths that answer with HTTP status 500.
    """

    files: dict[str, bytes]
    commit: str = COMMIT
    revisions: tuple[str, ...] = ("main",)
    gated: bool = False
    token: str = "good"
    drops: dict[str, list[int]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)


@dataclass
class Hub:
    """The server and what was asked of it.

    Attributes:
        requests: (method, path, value of the Range header) of each.
    """

    url: str
    repositories: dict[str, Repository]
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def downloaded(self) -> list[str]:
        """Paths of files that were asked for, in order."""
        found = [_RESOLVE.match(path) for method, path, _ in self.requests if method == "GET"]
        return [match["path"] for match in found if match]


@contextmanager
def running(repositories: dict[str, Repository]) -> Iterator[Hub]:
    """A hub with these repositories, on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}", repositories)
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        hub.requests.append((self.command, self.path, self.headers.get("Range", "")))
        asked = _REVISION.match(self.path) or _RESOLVE.match(self.path)
        repository = hub.repositories.get(asked["repo"]) if asked else None
        if not asked or not repository:
            self._refuse(404, "RepoNotFound")
        elif (asked["revision"] or "main") not in (*repository.revisions, repository.commit):
            self._refuse(404, "RevisionNotFound")
        elif "path" in asked.groupdict():
            self._file(repository, asked["path"])
        else:
            self._info(asked["repo"], repository)

    def _info(self, name: str, repository: Repository) -> None:
        siblings = [{"rfilename": path, "size": len(content)} for path, content in repository.files.items()]
        body = json.dumps({"id": name, "sha": repository.commit, "siblings": siblings}).encode()
        self._send(200, body, {"Content-Type": "application/json"})

    def _file(self, repository: Repository, path: str) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if repository.gated and token != repository.token:
            self._refuse(403 if token else 401, "GatedRepo")
        elif path not in repository.files:
            self._refuse(404, "EntryNotFound", repository.commit)
        elif path in repository.failing and self.command == "GET":
            self._refuse(500, "")
        else:
            self._content(repository, path)

    def _content(self, repository: Repository, path: str) -> None:
        content = repository.files[path]
        digest = hashlib.sha256(content).hexdigest()
        headers = {
            "X-Repo-Commit": repository.commit,
            "ETag": f'"{digest if path.endswith((".safetensors", ".bin")) else digest[:40]}"',
            "X-Linked-Size": str(len(content)),
            "Accept-Ranges": "bytes",
        }
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        if asked:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        drops = repository.drops.get(path, [])
        keep = drops.pop(0) if drops and self.command == "GET" else None
        self._send(206 if asked else 200, content[first:], headers, keep)

    def _refuse(self, status: int, code: str, commit: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code}
        self._send(status, b"{}", headers | ({"X-Repo-Commit": commit} if commit else {}))

    def _send(self, status: int, body: bytes, headers: dict[str, str], keep: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if keep is None else body[:keep])
        if keep is not None:
            self.close_connection = True
