"""``stereo-spot models`` and what ``doctor`` says about models, as a user types them."""

from __future__ import annotations

import os

import pytest
from typer.testing import CliRunner, Result

from stereo_spot_dagster.cli import models as models_commands
from stereo_spot_dagster.cli.app import app, out
from stereo_spot_dagster.domain.errors import InvalidSettings, StereoSpotError
from stereo_spot_dagster.weights import CATALOGUE

from ..weights import tiny
from ..weights.fixtures import empty_cache, hub_starter  # noqa: F401 pytest finds fixtures by name
from ..weights.hub import Repository

_SMALL = "depth-anything-v2-small"


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch, tmp_path) -> None:
    for console in (out, models_commands._out):
        # Both: a console takes a dumb terminal for 80 columns unless it knows its whole size.
        monkeypatch.setattr(console, "_width", 300)
        monkeypatch.setattr(console, "_height", 100)
    monkeypatch.setenv("STEREO_SPOT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.fixture
def tiny_catalogue(monkeypatch) -> None:
    """The catalogue with revisions of the hub of the tests."""
    for name in (_SMALL, "depthcrafter", "stereocrafter", "svd"):
        monkeypatch.setitem(CATALOGUE, name, tiny.entry(name, revision="main"))


def stereo_spot(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def repositories() -> dict[str, Repository]:
    contents = {
        _SMALL: tiny.picture_model(),
        "depthcrafter": tiny.unet(8),
        "stereocrafter": tiny.unet(9),
        "svd": tiny.svd(),
    }
    return {CATALOGUE[name].repo: Repository(files) for name, files in contents.items()}


def row_of(name: str, table: str) -> str:
    """The lines of the table that are about one model."""
    return next(row for row in table.split("\n├") if f"│ {name} " in row)


def test_the_list_shows_repository_revision_size_licence_and_what_is_here():
    shown = stereo_spot("models", "list").stdout
    row = row_of("depth-anything-v2-base", shown)
    for words in ("depth-anything/Depth-Anything-V2-Base-hf", "b1958afc87fb", "390 MB", "CC-BY-NC-4.0", "no"):
        assert words in row
    assert "yes" not in row
    assert "gated" in row_of("svd", shown)


@pytest.mark.usefixtures("tiny_catalogue")
def test_pull_where_verify_and_list_work_together(start_hub):
    start_hub(repositories())
    pulled = stereo_spot("models", "pull", _SMALL)
    assert pulled.exit_code == 0
    assert "licence Apache-2.0" in pulled.stderr
    assert stereo_spot("models", "where", _SMALL).stdout == pulled.stdout
    assert stereo_spot("models", "verify").stdout == f"{_SMALL}: ok\n"
    row = row_of(_SMALL, stereo_spot("models", "list").stdout)
    assert "a1a1a1a1a1a1" in row
    assert "yes" in row


@pytest.mark.usefixtures("tiny_catalogue")
def test_pulling_a_model_pulls_what_it_needs_once(start_hub):
    hub = start_hub(repositories())
    pulled = stereo_spot("models", "pull", "depthcrafter", "stereocrafter")
    assert pulled.exit_code == 0
    assert len(pulled.stdout.splitlines()) == 3
    assert pulled.stderr.count("no commercial use") == 3
    assert hub.downloaded().count("image_encoder/model.fp16.safetensors") == 1


@pytest.mark.usefixtures("tiny_catalogue")
def test_a_model_from_the_wrong_repository_is_found_when_it_is_pulled(start_hub):
    wrong = repositories()
    wrong[CATALOGUE["stereocrafter"].repo] = Repository(tiny.unet(8))
    start_hub(wrong)
    pulled = stereo_spot("models", "pull", "stereocrafter")
    assert pulled.exit_code == 1
    assert "this is a depth UNet (8 input channels), stereocrafter needs 9" in str(pulled.exception)


@pytest.mark.usefixtures("tiny_catalogue")
def test_verify_says_what_is_wrong_with_each_model_and_fails(start_hub):
    start_hub(repositories())
    folder = stereo_spot("models", "pull", _SMALL).stdout.strip()
    with open(os.path.join(folder, "model.safetensors"), "r+b") as file:
        file.truncate(1000)
    checked = stereo_spot("models", "verify", _SMALL, "svd")
    assert checked.exit_code == 1
    assert "is cut off" in checked.stdout
    assert "svd: its weights are not on this machine" in checked.stdout


def test_models_that_nobody_named_or_knows_are_an_error():
    for words in (["pull"], ["pull", "unknown"], ["where", "unknown"], ["pull", "svd", _SMALL, "--revision", "main"]):
        assert isinstance(stereo_spot("models", *words).exception, InvalidSettings)


def test_the_device_and_its_memory_may_be_given_for_one_conversion(monkeypatch, tmp_path):
    monkeypatch.setenv("STEREO_SPOT_DEVICE", "cpu")
    monkeypatch.setenv("STEREO_SPOT_VRAM", "")
    stereo_spot("convert", str(tmp_path / "none.mp4"), "--device", "cuda:1", "--vram", "16GB")
    assert (os.environ["STEREO_SPOT_DEVICE"], os.environ["STEREO_SPOT_VRAM"]) == ("cuda:1", "16GB")
    failed = stereo_spot("convert", str(tmp_path / "none.mp4"), "--vram", "much")
    assert isinstance(failed.exception, StereoSpotError)
    assert "'much' is not a size" in str(failed.exception)


def test_doctor_says_what_auto_means_here_and_why(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name, *_, **__: None)
    shown = stereo_spot("doctor").stdout
    assert "depth cues (no GPU; the weights of depth-anything-v2-small are not cached" in shown
    assert "none are here" in shown
