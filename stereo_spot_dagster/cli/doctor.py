"""``stereo-spot doctor``: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata

from rich.table import Table
from rich.text import Text

from ..convert.choice import preview_models
from ..domain.errors import StereoSpotError
from ..domain.machine import MachineSettings
from ..domain.settings import ConversionSettings
from ..media.tools import ANOTHER_FFMPEG, capabilities, encoder_works, find_tools, search_tools, version
from ..storage import keys
from ..weights import CATALOGUE, locate, verify
from .session import Session

_NEEDED_SPACE = 20 << 30
# (name, encoder, sample format) of what ordinary videos need.
_ENCODERS = (
    ("H.264", "libx264", "yuv420p"),
    ("H.264 10 bit", "libx264", "yuv420p10le"),
    ("H.264 4:4:4", "libx264", "yuv444p"),
    ("HEVC", "libx265", "yuv420p"),
    ("HEVC 10 bit", "libx265", "yuv420p10le"),
    ("HEVC 12 bit", "libx265", "yuv420p12le"),
)


class State(StrEnum):
    """How a thing is."""

    GOOD = "ok"
    MISSING = "optional"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """One examined thing.

    Attributes:
        thing: what was looked at.
        state: how it is.
        found: what was found.
        remedy: what to do; empty where nothing is needed.
    """

    thing: str
    state: State
    found: str
    remedy: str = ""


def examine(session: Session) -> list[Finding]:
    """Look at everything a conversion needs."""
    return [
        *_ffmpeg(),
        _gpu(),
        _packages(),
        *_weights(),
        _automatic(),
        _store(session),
        _space(session),
        _dagster(session),
        _daemon(session),
    ]


def table(findings: list[Finding]) -> Table:
    """The findings as a table."""
    colours = {State.GOOD: "green", State.MISSING: "yellow", State.BROKEN: "red"}
    shown = Table("", "state", "found", "what to do")
    for finding in findings:
        state = Text(finding.state.value, colours[finding.state])
        shown.add_row(finding.thing, state, Text(finding.found, overflow="fold"), Text(finding.remedy, overflow="fold"))
    return shown


def _ffmpeg() -> list[Finding]:
    try:
        tools = find_tools()
    except StereoSpotError as error:
        return [Finding("ffmpeg", State.BROKEN, error.cause, error.remedy)]
    findings = [
        Finding("ffmpeg", State.GOOD, f"{version(tools.ffmpeg)} ({tools.origin}: {tools.ffmpeg})"),
        Finding("ffprobe", State.GOOD, f"{version(tools.ffprobe)} ({tools.ffprobe})"),
    ]
    findings += [
        Finding("another ffmpeg", State.MISSING, reason, "Nothing: it is not used")
        for reason in search_tools().passed_over
    ]
    for name, encoder, pix_fmt in _ENCODERS:
        works = encoder_works(tools.ffmpeg, encoder, pix_fmt)
        found = f"{encoder}, {pix_fmt}" if works else f"{encoder} cannot encode {pix_fmt}"
        findings.append(Finding(f"encoder {name}", State.GOOD if works else State.BROKEN, found, _remedy(works)))
    gaps = capabilities(tools.ffmpeg).gaps
    found = f"it lacks {', '.join(gaps)}: videos that need it are refused" if gaps else "all that videos need"
    findings.append(Finding("codecs", State.BROKEN if gaps else State.GOOD, found, _remedy(not gaps)))
    works = encoder_works(tools.ffmpeg, "h264_nvenc")
    findings.append(Finding("encoder NVENC", State.GOOD if works else State.MISSING, "works" if works else "no device"))
    return findings


def _remedy(works: bool) -> str:
    return "" if works else ANOTHER_FFMPEG


def _gpu() -> Finding:
    program = shutil.which("nvidia-smi")
    if not program:
        return Finding("GPU", State.MISSING, "no NVIDIA driver", "Not needed for depth by cues")
    done = subprocess.run(
        [program, "--query-gpu=name,memory.total", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    found = "; ".join(done.stdout.split("\n")).strip("; ")
    return Finding("GPU", State.GOOD if found else State.MISSING, found or "the driver shows none")


def _packages() -> Finding:
    """The packages of the models; torch is imported only where a driver is, because that takes seconds."""
    missing = [name for name in ("torch", "transformers", "diffusers") if importlib.util.find_spec(name) is None]
    if missing:
        remedy = "Not needed for depth by cues; else run: pip install 'stereo-spot-dagster[models]'"
        return Finding("models' packages", State.MISSING, f"{', '.join(missing)} not installed", remedy)
    found = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "diffusers"))
    if not shutil.which("nvidia-smi"):
        return Finding("models' packages", State.GOOD, found)
    import torch

    if torch.cuda.is_available():
        return Finding("models' packages", State.GOOD, f"{found}, CUDA {torch.version.cuda}")
    remedy = "Install a torch that is built for the CUDA of the driver"
    return Finding("models' packages", State.MISSING, f"{found}; torch cannot use the GPU", remedy)


def _weights() -> list[Finding]:
    machine = MachineSettings.from_environment()
    here = [entry for entry in CATALOGUE.values() if locate(entry, machine)]
    findings = []
    for entry in here:
        try:
            folder = verify(entry, machine=machine)
            findings.append(Finding(f"weights {entry.name}", State.GOOD, str(folder)))
        except StereoSpotError as error:
            findings.append(Finding(f"weights {entry.name}", State.BROKEN, error.cause, error.remedy))
    if not here:
        remedy = "Not needed for depth by cues; else see: stereo-spot models list"
        findings.append(Finding("model weights", State.MISSING, "none are here", remedy))
    return findings


def _automatic() -> Finding:
    """What ``auto`` stands for here, with and without the word on licences."""
    try:
        plain = preview_models(ConversionSettings())
        accepted = preview_models(ConversionSettings(accept_noncommercial=True))
    except StereoSpotError as error:
        return Finding("auto", State.BROKEN, error.cause, error.remedy)
    found = f"depth {plain.depth} ({plain.depth_reason}), occlusions {plain.inpaint} ({plain.inpaint_reason})"
    if (plain.depth, plain.inpaint) != (accepted.depth, accepted.inpaint):
        found += f"; with --accept-noncommercial: depth {accepted.depth}, occlusions {accepted.inpaint}"
    return Finding("auto", State.GOOD, found)


def _store(session: Session) -> Finding:
    key, store = keys.trial(), session.workspace.store
    try:
        store.put_bytes(b"ok", key)
        whole = store.read_bytes(key) == b"ok"
        store.delete_prefix(key)
    except StereoSpotError as error:
        return Finding("media store", State.BROKEN, error.cause, error.remedy)
    found = store.locate("")
    return Finding("media store", State.GOOD if whole else State.BROKEN, found, "" if whole else "Check its rights")


def _space(session: Session) -> Finding:
    free = shutil.disk_usage(session.workspace.home).free
    enough = free > _NEEDED_SPACE
    remedy = "" if enough else "A film needs about five times its size while it is converted"
    return Finding("free space", State.GOOD if enough else State.MISSING, f"{free / 1e9:.0f} GB", remedy)


def _dagster(session: Session) -> Finding:
    try:
        runs = session.instance.get_runs_count()
    except Exception as error:  # whatever the storage raises is the finding
        return Finding("Dagster storage", State.BROKEN, str(error).splitlines()[0], "Check DAGSTER_HOME/dagster.yaml")
    where = os.environ.get("DAGSTER_HOME") or str(session.workspace.home / "dagster")
    return Finding("Dagster storage", State.GOOD, f"{where}, {runs} runs")


def _daemon(session: Session) -> Finding:
    alive = session.daemon_is_alive()
    remedy = "" if alive else "Start it for the drop folder and the UI: make dev"
    return Finding("daemon", State.GOOD if alive else State.MISSING, "running" if alive else "not running", remedy)
