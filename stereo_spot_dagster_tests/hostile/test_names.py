"""Names that mean something to shells, tools, terminals and file systems are only names here."""

from __future__ import annotations

import os
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from stereo_spot_dagster.convert.finish import FinishedVideo
from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.progress import known_videos
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.media import process

from ..e2e.clips import make_clip
from ..e2e.dropping import DropFolder
from ..e2e.stack import Home

NAMES = {
    "newline": "two\nlines.mp4",
    "quotes": 'it\'s a "film" `id`.mp4',
    "leading dash": "-y.mp4",
    "two dashes": "--output.mp4",
    "percent": "clip %03d %s.mp4",
    "colon and bar": "concat:a|b.mp4",
    "shell": "$(touch pwned); & > x.mp4",
    "filter": "a,[b];c='d'\\.mp4",
    "emoji": "holiday 🏖️👩‍👩‍👧.mp4",
    "decomposed": unicodedata.normalize("NFD", "Grüße café.mp4"),
    "long": "x" * 246 + ".mp4",
    "long in bytes": "é" * 123 + ".mp4",
    "dots": "....mp4",
    "spaces at the end": "film.mp4  ",
    "dot at the end": "film.mp4.",
    "escape sequence": "\x1b[31mred\x1b]0;title\x07.mp4",
    "right to left": "film\u202e4pm.exe.mp4",
    "backslash": "a\\..\\film.mp4",
    "device": "CON.mp4",
    "no extension": "a film without an ending",
}
NOT_UNICODE = os.fsdecode(b"film \xff\xfe.mp4")
FAST = ConversionSettings(preset="ultrafast", depth="cues")
HIDDEN = {"dots"}
_TERMINAL = ("\x1b", "\x07", "\u202e")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=4)


def lay_out(clip: Path, folder: Path, name: str) -> Path:
    """Another content for each name, so that each is another video."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    shutil.copyfile(clip, path)
    with path.open("ab") as file:
        file.write(b"\0\0\0\x20free" + os.fsencode(name)[:24].ljust(24, b"\0"))
    return path


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_reaches_no_command_line_and_gives_a_sensible_result(
    kind: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, home, commands = lay_out(clip, tmp_path / "in", NAMES[kind]), tmp_path / "home", []
    plain = process.Child.__init__

    def recorded(child: process.Child, command: list[str], **options: object) -> None:
        commands.append(command)
        plain(child, command, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(process.Child, "__init__", recorded)
    workspace = Workspace.local(home)
    finished = list(conversion_steps(workspace, identify(path, FAST)))[-1]
    assert isinstance(finished, FinishedVideo)
    # The upload itself is looked into before it is copied; there its name is the end of an absolute path.
    words = {word for command in commands for word in command if path.name in word}
    assert words <= {f"file:{path}"}
    made = workspace.store.locate(finished.outputs[0].key)
    name = Path(made).name
    assert name.endswith("_LRF_Full_SBS.mp4")
    assert name.isprintable()
    assert not name.startswith(("-", "."))
    assert len(name.encode()) < 200
    stored = [
        entry.relative_to(home / "videos") for entry in (home / "videos").rglob("*") if "final" not in entry.parts
    ]
    assert all(str(entry).isascii() and str(entry).isprintable() for entry in stored)
    assert [entry.name for entry in (tmp_path / "in").iterdir()] == [path.name]


def test_the_drop_folder_takes_every_name(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = DropFolder(tmp_path / "home", monkeypatch)
    for name in NAMES.values():
        lay_out(clip, drop.folder, name)
    lay_out(clip, drop.folder, NOT_UNICODE)
    drop.take()
    workspace = drop.graph.workspace
    taken = {workspace.submission(video).name for video in known_videos(workspace)}
    assert {name for kind, name in NAMES.items() if kind not in HIDDEN} - taken == set()
    shown = drop.status("")
    assert not any(sign in shown for sign in _TERMINAL)


def test_the_commands_take_every_name_and_write_no_control_characters(clip: Path, tmp_path: Path) -> None:
    home = Home.make(tmp_path / "home")
    names = [lay_out(clip, tmp_path / "in", name) for name in NAMES.values()]
    submitted = run_beside(home, tmp_path / "in", "submit", "--", *(path.name for path in names))
    assert submitted.returncode == 0, submitted.stderr
    assert len(submitted.stdout.split()) == len(names)
    lay_out(clip, tmp_path / "in", NOT_UNICODE)
    unreadable = run_beside(home, tmp_path / "in", "submit", NOT_UNICODE)
    assert unreadable.returncode == 2
    assert "is not valid Unicode" in unreadable.stderr
    broken = tmp_path / "in" / "\x1b[31mnotes\u202e.mp4"
    broken.write_text("no film")
    refused = run_beside(home, tmp_path / "in", "convert", broken.name)
    assert refused.returncode == 2
    said = refused.stdout + refused.stderr + run_beside(home, tmp_path / "in", "status").stdout
    assert "notes" in said
    assert not any(sign in said for sign in _TERMINAL)
    assert not (tmp_path / "in" / "pwned").exists()


def run_beside(home: Home, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command typed in the folder where the files lie."""
    from ..e2e.stack import BIN

    (home.path / "dagster").mkdir(exist_ok=True)
    return subprocess.run(
        [str(BIN / "stereo-spot"), *words],
        cwd=folder,
        env=home.environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=240,
        check=False,
    )
