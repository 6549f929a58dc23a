"""Downloading weights, with the real client of the hub against a hub on this machine."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from stereo_spot_dagster.domain.errors import DownloadFailed, DownloadRefused, StereoSpotError, ToolUnavailable
from stereo_spot_dagster.domain.machine import MachineSettings
from stereo_spot_dagster.weights import find, identity, locate, require
from stereo_spot_dagster.weights.cache import hub_cache
from stereo_spot_dagster.weights.pull import can_be_had, pull

from .hub import Repository
from .tiny import entry, picture_model, svd, unet

_SMALL = entry("depth-anything-v2-small", revision="main")
_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:hub-AbCdEf"


def test_only_the_files_that_are_needed_are_downloaded(start_hub):
    base = entry("svd", revision="main")
    hub = start_hub({base.repo: Repository(svd())})
    folder = pull(base)
    assert sorted(hub.downloaded()) == sorted(file.path for file in base.files)
    assert locate(base) == folder
    assert require(base) == folder


def test_the_progress_counts_bytes_up_to_the_size_of_the_download(start_hub):
    start_hub({_SMALL.repo: Repository(picture_model())})
    told: list[tuple[int, int]] = []
    folder = pull(_SMALL, progress=lambda done, total: told.append((done, total)))
    size = sum((folder / file.path).stat().st_size for file in _SMALL.files)
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_branch_that_moves_does_not_change_the_weights(start_hub):
    hub = start_hub({_SMALL.repo: Repository(picture_model())})
    first = pull(_SMALL)
    hub.repositories[_SMALL.repo] = Repository(picture_model(seed=1), commit="b2" * 20)
    assert locate(_SMALL) == first
    assert identity(_SMALL, first) == "a1" * 20
    # Another program that downloads the same repository moves the branch in the shared cache.
    (first.parent.parent / "refs" / "main").write_text("b2" * 20)
    assert locate(_SMALL) == first
    assert pull(_SMALL, revision="main").name == "b2" * 20


def test_another_revision_can_be_pulled_and_is_used_from_then_on(start_hub):
    pinned = entry("depth-anything-v2-small", revision="c3" * 20)
    start_hub({pinned.repo: Repository(picture_model())})
    with pytest.raises(DownloadRefused, match=r"no such revision.*--revision main"):
        pull(pinned)
    folder = pull(pinned, revision="main")
    assert locate(pinned) == folder


def test_a_dropped_connection_is_taken_up_where_it_broke(start_hub, monkeypatch):
    # The client hands on what it received in pieces of ten megabytes, larger than the file of this test.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    files = picture_model()
    hub = start_hub({_SMALL.repo: Repository(files, drops={"model.safetensors": [20_000]})})
    folder = pull(_SMALL)
    assert (folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    ranges = [asked for method, path, asked in hub.requests if method == "GET" and asked]
    assert ranges == ["bytes=20000-"]


def test_after_an_interruption_finished_files_are_kept(start_hub):
    hub = start_hub({_SMALL.repo: Repository(picture_model(), failing={"model.safetensors"})})
    with pytest.raises(DownloadFailed, match="HTTP status 500"):
        pull(_SMALL)
    assert locate(_SMALL) is None
    hub.repositories[_SMALL.repo].failing.clear()
    before = len(hub.downloaded())
    pull(_SMALL)
    assert hub.downloaded()[before:] == ["model.safetensors"]


def test_a_gated_model_says_where_to_accept_the_terms(start_hub, monkeypatch):
    base = entry("svd", revision="main")
    start_hub({base.repo: Repository(svd(), gated=True)})
    with pytest.raises(DownloadRefused, match=r"no token is set\. Accept the terms at https://.*HF_TOKEN"):
        pull(base)
    monkeypatch.setenv("HF_TOKEN", "bad")
    with pytest.raises(DownloadRefused, match="your token does not open it"):
        pull(base)
    monkeypatch.setenv("HF_TOKEN", "good")
    assert locate(base) is None
    pull(base)
    assert locate(base)


def test_the_token_may_lie_in_an_aws_secret(start_hub, monkeypatch):
    base = entry("svd", revision="main")
    start_hub({base.repo: Repository(svd(), gated=True)})
    asked = []

    def client(service, region_name):
        asked.append((service, region_name))
        return SimpleNamespace(get_secret_value=lambda SecretId: {"SecretString": '{"HF_TOKEN": "good"}'})

    boto3 = ModuleType("boto3")
    boto3.client = client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "boto3", boto3)
    pull(base, MachineSettings(token_secret=_ARN))
    assert asked == [("secretsmanager", "eu-west-1")]


def test_a_secret_without_boto3_or_without_a_token_is_said(start_hub, monkeypatch):
    start_hub({})
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ToolUnavailable, match="needs the package boto3"):
        pull(_SMALL, MachineSettings(token_secret=_ARN))
    boto3 = ModuleType("boto3")
    secret = SimpleNamespace(get_secret_value=lambda SecretId: {"SecretString": '{"other": 1}'})
    boto3.client = lambda service, region_name: secret  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "boto3", boto3)
    with pytest.raises(StereoSpotError, match="holds no token"):
        pull(_SMALL, MachineSettings(token_secret=_ARN))


def test_an_unknown_repository_and_one_without_the_files_are_refused(start_hub):
    start_hub({"me/empty": Repository({"config.json": b"{}"})})
    with pytest.raises(DownloadRefused, match=r"the hub has no me/nothing, or it is private"):
        pull(find("me/nothing"))
    with pytest.raises(DownloadRefused, match=r"me/empty at a1a1a1a1a1a1 has no model\.safetensors"):
        pull(find("me/empty"))


def test_any_depth_model_of_the_hub_can_be_pulled_without_its_pickles(start_hub):
    hub = start_hub({"me/model": Repository(picture_model())})
    pull(find("me/model"))
    assert sorted(hub.downloaded()) == ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert locate(find("me/model"))


def test_offline_nothing_is_asked_of_the_network(start_hub, monkeypatch):
    hub = start_hub({_SMALL.repo: Repository(picture_model())})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadRefused, match="HF_HUB_OFFLINE"):
        pull(_SMALL)
    assert not can_be_had(_SMALL)
    assert hub.requests == []


def test_a_hub_that_cannot_be_reached_is_said_in_words(start_hub, monkeypatch):
    start_hub({})
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadFailed, match=r"http://127\.0\.0\.1:9 cannot be reached") as caught:
        pull(_SMALL)
    assert caught.value.retryable
    assert not can_be_had(_SMALL)


def test_a_disk_without_room_is_said_before_the_download(start_hub, monkeypatch):
    hub = start_hub({_SMALL.repo: Repository(picture_model())})
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(DownloadFailed, match=r"are free in .*Make room"):
        pull(_SMALL)
    assert hub.downloaded() == []
    assert not list(hub_cache().glob("*/snapshots/*"))


def test_whether_the_hub_has_a_model_is_asked_once(start_hub):
    unet_entry = entry("stereocrafter")
    hub = start_hub({unet_entry.repo: Repository(unet(9))})
    assert can_be_had(unet_entry)
    assert can_be_had(unet_entry)
    assert len(hub.requests) == 1
