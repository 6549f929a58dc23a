"""``stereo-spot models``: list, download, check and find the weights of the models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Column, Table
from rich.text import Text

from ..domain.errors import InvalidSettings, StereoSpotError
from ..domain.machine import MachineSettings
from ..weights import CATALOGUE, ModelWeights, find, identity, locate, require, verify, with_needs
from ..weights.cache import commit
from ..weights.pull import pull

_out, _err = Console(soft_wrap=True, highlight=False), Console(stderr=True, highlight=False)

commands = typer.Typer(
    name="models",
    help="The weights of the models: what there is, what is here, download and check.",
    no_args_is_help=True,
)
Names = Annotated[list[str] | None, typer.Argument(help="Names from the list, or owner/name of the hub.")]


@commands.command("list")
def list_models() -> None:
    """Show the models, their licences, and which of them are on this machine."""
    machine = MachineSettings.from_environment()
    model_column, size_column = Column("model, repository and revision", overflow="fold"), Column("size", no_wrap=True)
    table = Table(model_column, size_column, "licence", "here", show_lines=True)
    for entry in CATALOGUE.values():
        folder = locate(entry, machine)
        model = Text(entry.name).append(f"\n{entry.repo}\n{_revision(entry, folder)}", "dim")
        licence = [entry.licence, *["no commercial use"] * entry.noncommercial, *["gated"] * entry.gated]
        table.add_row(model, entry.size, Text(", ".join(licence)), "yes" if folder else "no")
    _out.print(table)


@commands.command("pull")
def pull_models(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="All models of the list.")] = False,
    revision: Annotated[str, typer.Option(help="Another commit, branch or tag than the listed one.")] = "",
) -> None:
    """Download models, with what they need. Started again, it goes on from the finished files."""
    chosen = _chosen(names, everything=everything)
    if revision and len(chosen) != 1:
        raise InvalidSettings("--revision", "it cannot be of several models", "Name one model")
    machine = MachineSettings.from_environment()
    for entry in dict.fromkeys(needed for model in chosen for needed in with_needs(model)):
        words = f"{entry.name}: licence {entry.licence} ({entry.licence_url})"
        _err.print(Text(words + (", no commercial use" if entry.noncommercial else "")), soft_wrap=True)
        # Only the named model is of another revision, not what it needs.
        folder = _pull_shown(entry, machine, revision if entry in chosen else "")
        verify(entry, machine=machine)
        _out.print(Text(str(folder)))


@commands.command("verify")
def verify_models(
    names: Names = None,
    full: Annotated[bool, typer.Option("--full", help="Read every byte and compare checksums.")] = False,
) -> None:
    """Check models on this machine; without names, all that are here."""
    machine = MachineSettings.from_environment()
    here = [entry for entry in CATALOGUE.values() if locate(entry, machine)]
    entries = _chosen(names, everything=False) if names else here
    if not entries:
        _err.print("No weights are on this machine.")
    broken = False
    for entry in entries:
        try:
            verify(entry, full=full, machine=machine)
            _out.print(Text(f"{entry.name}: ok"))
        except StereoSpotError as error:
            broken = True
            _out.print(Text(str(error)))
    if broken:
        raise typer.Exit(1)


@commands.command("where")
def where_is(name: Annotated[str, typer.Argument(help="A name from the list, or owner/name of the hub.")]) -> None:
    """Print the folder in which a model's weights lie."""
    _out.print(Text(str(require(find(name)))))


def _chosen(names: list[str] | None, *, everything: bool) -> list[ModelWeights]:
    if everything:
        return list(CATALOGUE.values())
    if not names:
        raise InvalidSettings("models", "no model was named", f"Name some of {', '.join(CATALOGUE)}, or use --all")
    return [find(name) for name in names]


def _revision(entry: ModelWeights, folder: Path | None) -> str:
    """What is or would be loaded, short."""
    if folder:
        found = identity(entry, folder)
        return found if found.startswith("folder:") else found[:12]
    return (commit(entry) or entry.revision)[:12]


def _pull_shown(entry: ModelWeights, machine: MachineSettings, revision: str) -> Path:
    """Download with a bar of bytes on the terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal) as bar:
        task = bar.add_task(entry.name, total=entry.size_bytes or None)
        return pull(
            entry,
            machine,
            lambda done, total: bar.update(task, completed=done, total=total),
            revision=revision,
        )
