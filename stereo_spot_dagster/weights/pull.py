"""Downloads weights into the cache that all programs of the hub share: only the files needed, of one commit."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..domain.errors import DownloadFailed, DownloadRefused, StereoSpotError, ToolUnavailable
from ..domain.machine import MachineSettings
from .cache import commit, hub_cache, locate, offline, remember, require
from .catalogue import ModelWeights
from .token import hub_token

Progress = Callable[[int, int], None]
"""Called with (bytes that are here, bytes in all)."""

_NETWORK_LIBRARIES = ("httpx", "httpx2", "httpcore", "requests", "urllib3")
_ENDPOINT = "https://huggingface.co"
_KNOCK_S = 3.0


def pull(
    entry: ModelWeights,
    machine: MachineSettings | None = None,
    progress: Progress | None = None,
    *,
    revision: str = "",
) -> Path:
    """Download what is missing of ``entry`` and use that commit from now on.

    Files that are here are kept, and a dropped connection is taken up where it broke.

    Args:
        revision: another one than that of the catalogue: a commit, branch or tag.

    Returns:
        The folder with the files.

    Raises:
        DownloadRefused: the hub wants an account or a token, or does not have it.
        DownloadFailed: the network or the disk failed; what was finished is kept.
        ToolUnavailable: the hub's client is not installed.
    """
    if offline():
        raise DownloadRefused(entry.name, "HF_HUB_OFFLINE forbids to use the network", "Unset it to download weights")
    if importlib.util.find_spec("huggingface_hub") is None:
        remedy = "Run: pip install 'stereo-spot-dagster[models]'"
        raise ToolUnavailable(entry.name, "the package huggingface_hub, which downloads weights, is missing", remedy)
    token = hub_token(machine or MachineSettings.from_environment())
    try:
        return _download(entry, token, progress, revision)
    except StereoSpotError:
        raise
    except Exception as error:
        typed = _in_words(entry, error, has_token=bool(token))
        if typed is None:
            raise
        raise typed from error


def obtain(entry: ModelWeights, machine: MachineSettings, progress: Progress | None = None) -> Path:
    """The folder of ``entry``: found on this machine, or else downloaded.

    Raises:
        WeightsMissing: it is not here, and ``HF_HUB_OFFLINE`` forbids to download it.
        DownloadFailed: it could not be downloaded.
    """
    found = locate(entry, machine)
    if found:
        return found
    return require(entry, machine) if offline() else pull(entry, machine, progress)


def can_be_had(entry: ModelWeights) -> bool:
    """True if the hub answers that it has ``entry`` within three seconds; asked once a process."""
    return not offline() and _answers(f"{_endpoint()}/{entry.repo}/resolve/{commit(entry) or 'main'}/config.json")


@lru_cache(maxsize=64)
def _answers(url: str) -> bool:
    answers: list[bool] = []

    def knock() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_KNOCK_S) as response:
                answers.append(response.status == 200)
        except (OSError, ValueError, urllib.error.URLError):
            answers.append(False)

    # A name server that is silent is not bounded by the timeout of the socket.
    asking = threading.Thread(target=knock, daemon=True)
    asking.start()
    asking.join(_KNOCK_S)
    return bool(answers and answers[0])


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or _ENDPOINT).rstrip("/")


def _download(entry: ModelWeights, token: str | None, progress: Progress | None, revision: str) -> Path:
    from huggingface_hub import HfApi, hf_hub_download

    cache, endpoint = hub_cache(), _endpoint()
    wanted = revision or commit(entry) or entry.revision
    info = HfApi(endpoint=endpoint, token=token or False).model_info(entry.repo, revision=wanted, files_metadata=True)
    resolved = str(info.sha)
    there = {file.rfilename: file.size or 0 for file in info.siblings or () if entry.takes(file.rfilename)}
    _check_files(entry, there, resolved)
    snapshot = cache / f"models--{entry.repo.replace('/', '--')}" / "snapshots" / resolved
    tally = _Tally(sum(there.values()), progress)
    for path, size in sorted(there.items(), key=lambda item: item[1]):
        here = (snapshot / path).is_file()
        if not here:
            _check_space(entry, cache, size)
            options: dict[str, Any] = {"tqdm_class": tally.bar()} if _reports_bytes() else {}
            hf_hub_download(
                entry.repo,
                path,
                revision=resolved,
                cache_dir=cache,
                endpoint=endpoint,
                token=token or False,
                **options,
            )
        tally.finish(size)
    if not entry.pinned or resolved != entry.revision or commit(entry) != resolved:
        remember(entry, resolved)
    return snapshot


def _check_files(entry: ModelWeights, there: dict[str, int], resolved: str) -> None:
    missing = [file.path for file in entry.files if file.path not in there]
    if not entry.files and not any(path.endswith(".safetensors") for path in there):
        missing = ["model.safetensors"]
    if missing:
        cause = f"{entry.repo} at {resolved[:12]} has no {', '.join(missing)}"
        raise DownloadRefused(entry.name, cause, f"See what it has: {entry.page}")


def _check_space(entry: ModelWeights, cache: Path, size: int) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < size:
        raise _disk_full(entry, f"{size / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free in {cache}")


def _disk_full(entry: ModelWeights, cause: str) -> DownloadFailed:
    return DownloadFailed(entry.name, cause, "Make room, or set HF_HOME to a folder on a larger disk")


@lru_cache(maxsize=1)
def _reports_bytes() -> bool:
    """True if the installed client of the hub lets the bytes of one file be counted."""
    import inspect

    from huggingface_hub import hf_hub_download

    return "tqdm_class" in inspect.signature(hf_hub_download).parameters


class _Tally:
    """Counts the bytes of several files, one after the other.

    Args:
        total: bytes of all files.
        progress: told of every change.
    """

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total, self.finished, self.current, self.progress = total, 0, 0, progress

    def add(self, count: int) -> None:
        """``count`` bytes of the current file came, or were given up if it is negative."""
        self.current += count
        self._tell()

    def finish(self, size: int) -> None:
        """The current file of ``size`` bytes is here."""
        self.finished, self.current = self.finished + size, 0
        self._tell()

    def bar(self) -> type:
        """A class that stands in for a progress bar of the hub's client and reports here."""
        tally = self

        class Bar:
            def __init__(self, *_: Any, initial: int = 0, total: int | None = None, **__: Any) -> None:
                self.n, self.total = initial, total
                tally.add(initial)

            def update(self, n: float | None = 1) -> None:
                self.n += int(n or 0)
                tally.add(int(n or 0))

            def __enter__(self) -> Bar:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def __getattr__(self, name: str) -> Callable[..., None]:
                if name.startswith("update_"):  # the client counts bytes from the network and to the disk apart
                    raise AttributeError(name)
                return lambda *_, **__: None

        return Bar

    def _tell(self) -> None:
        if self.progress:
            self.progress(min(self.finished + max(0, self.current), self.total), self.total)


def _in_words(entry: ModelWeights, error: Exception, *, has_token: bool) -> DownloadFailed | None:
    """What an error of the hub's client means for the user; None for one that is a fault of ours."""
    from huggingface_hub import errors

    name = entry.name
    root = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ else error
    status = getattr(getattr(root, "response", None), "status_code", 0)
    if isinstance(root, errors.GatedRepoError) or (entry.gated and status in (401, 403)):
        terms = f"Accept the terms at {entry.page}"
        if not has_token:
            return DownloadRefused(
                name, f"{entry.repo} is gated and no token is set", f"{terms} and set HF_TOKEN to your token"
            )
        cause = f"{entry.repo} is gated and your token does not open it"
        return DownloadRefused(name, cause, f"{terms} with the account that the token belongs to")
    if isinstance(root, errors.RevisionNotFoundError):
        remedy = f"Use another: stereo-spot models pull {name} --revision main"
        return DownloadRefused(name, f"{entry.repo} has no such revision", remedy)
    if isinstance(root, errors.RepositoryNotFoundError) or status in (401, 403):
        cause = f"the hub has no {entry.repo}, or it is private and your token does not open it"
        return DownloadRefused(name, cause, f"Check the name, and HF_TOKEN: {entry.page}")
    if isinstance(root, errors.EntryNotFoundError) and not isinstance(root, errors.LocalEntryNotFoundError):
        return DownloadRefused(name, f"{entry.repo} lacks a file that is needed", f"See what it has: {entry.page}")
    if isinstance(root, OSError) and root.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(entry, f"the disk is full: {hub_cache()}")
    if isinstance(root, OSError) and root.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return DownloadFailed(name, f"{hub_cache()} cannot be written", "Correct its rights, or set HF_HOME")
    again = "Try again: files that are finished are kept"
    if status:
        return DownloadFailed(name, f"the hub answered with HTTP status {status}", again)
    network = type(root).__module__.split(".")[0] in _NETWORK_LIBRARIES
    known = (ConnectionError, TimeoutError, errors.LocalEntryNotFoundError, errors.FileMetadataError)
    if network or isinstance(root, known) or "Consistency check failed" in str(root):
        return DownloadFailed(name, f"{_endpoint()} cannot be reached, or the connection broke", again)
    return None
