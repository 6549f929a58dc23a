"""What ``auto`` stands for on which machine, and what is said when a model cannot be used."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stereo_spot_dagster.convert import choice
from stereo_spot_dagster.convert.choice import choose_models, preview_models
from stereo_spot_dagster.domain.errors import InvalidSettings, ToolUnavailable, WeightsBroken, WeightsMissing
from stereo_spot_dagster.domain.settings import ConversionSettings, Inpaint
from stereo_spot_dagster.weights import CATALOGUE
from stereo_spot_dagster.weights.pull import pull

from ..weights.fixtures import empty_cache, hub_starter  # noqa: F401 pytest finds fixtures by name
from ..weights.hub import Repository
from ..weights.tiny import entry, picture_model, svd, unet

_SMALL = "depth-anything-v2-small"


@pytest.fixture
def own_weights(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Puts tiny weights of some models into the user's own folder."""
    folder = tmp_path / "models"
    monkeypatch.setenv("STEREO_SPOT_MODELS", str(folder))
    contents = {"svd": svd(), "depthcrafter": unet(8), "stereocrafter": unet(9), _SMALL: picture_model()}

    def put(*names: str) -> Path:
        for name in names:
            for path, content in contents[name].items():
                (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / name / path).write_bytes(content)
        return folder

    return put


@pytest.fixture
def gpu(monkeypatch) -> Callable[[float | None], None]:
    """Gives this machine a GPU with so many gigabytes; None: one that torch cannot use."""

    def give(memory_gb: float | None) -> None:
        monkeypatch.setattr(choice, "_has_driver", lambda machine: True)
        monkeypatch.setattr(choice, "_gpu_memory_gb", lambda machine: memory_gb)

    return give


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch) -> None:
    monkeypatch.setattr(choice, "_has_driver", lambda machine: False)


def test_without_gpu_weights_and_network_depth_comes_from_cues_and_the_reason_is_said():
    chosen = choose_models(ConversionSettings())
    assert (chosen.depth, chosen.depth_digest, chosen.inpaint) == ("cues", "", Inpaint.BACKGROUND)
    assert chosen.depth_reason == (
        f"no GPU; the weights of {_SMALL} are not cached and the network may not be used (HF_HUB_OFFLINE)"
    )
    assert chosen.inpaint_reason == "no GPU"


def test_a_hub_that_does_not_answer_is_the_reason_for_cues(start_hub, monkeypatch):
    start_hub({})
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    chosen = choose_models(ConversionSettings())
    assert chosen.depth_reason == f"no GPU; the weights of {_SMALL} are not cached and the hub cannot be reached"


def test_the_picture_model_is_downloaded_where_it_can_be_had(start_hub, monkeypatch):
    small = entry(_SMALL)
    monkeypatch.setitem(CATALOGUE, _SMALL, small)
    start_hub({small.repo: Repository(picture_model(), commit=small.revision)})
    assert preview_models(ConversionSettings()).depth == _SMALL
    chosen = choose_models(ConversionSettings())
    assert (chosen.depth, chosen.depth_reason) == (_SMALL, "depthcrafter is not used: no GPU")
    assert len(chosen.depth_digest) == 16


def test_a_preview_downloads_nothing(start_hub, monkeypatch):
    small = entry(_SMALL)
    monkeypatch.setitem(CATALOGUE, _SMALL, small)
    hub = start_hub({small.repo: Repository(picture_model(), commit=small.revision)})
    preview_models(ConversionSettings())
    assert hub.downloaded() == []


def test_everything_at_hand_means_the_models_of_the_paper(own_weights, gpu):
    own_weights("svd", "depthcrafter", "stereocrafter")
    gpu(24)
    chosen = choose_models(ConversionSettings(accept_noncommercial=True))
    assert (chosen.depth, chosen.inpaint) == ("depthcrafter", Inpaint.STEREOCRAFTER)
    assert "GPU" in chosen.depth_reason


@pytest.mark.parametrize(
    ("memory", "accepted", "weights", "reason"),
    [
        (24, False, ("svd", "depthcrafter", _SMALL), "the licence of depthcrafter was not accepted"),
        (8, True, ("svd", "depthcrafter", _SMALL), "the GPU has 8 GB and depthcrafter needs 12"),
        (None, True, ("svd", "depthcrafter", _SMALL), "torch cannot use the GPU"),
        (24, True, ("depthcrafter", _SMALL), "the weights of svd are not here (stereo-spot models pull svd)"),
    ],
)
def test_each_missing_condition_is_the_reason(own_weights, gpu, memory, accepted, weights, reason):
    own_weights(*weights)
    gpu(memory)
    chosen = choose_models(ConversionSettings(accept_noncommercial=accepted))
    assert (chosen.depth, chosen.depth_reason) == (_SMALL, f"depthcrafter is not used: {reason}")


def test_broken_weights_are_not_used_by_themselves_and_the_reason_says_so(own_weights, gpu):
    folder = own_weights("svd", "depthcrafter", _SMALL)
    (folder / "depthcrafter" / "diffusion_pytorch_model.safetensors").write_bytes(b"short")
    gpu(24)
    chosen = choose_models(ConversionSettings(accept_noncommercial=True))
    assert chosen.depth == _SMALL
    assert "the weights of depthcrafter are broken" in chosen.depth_reason


def test_a_machine_that_plans_for_a_gpu_worker_needs_no_gpu(own_weights, monkeypatch):
    own_weights("svd", "depthcrafter", "stereocrafter")
    monkeypatch.setenv("STEREO_SPOT_WORKER_VRAM", "24GB")
    chosen = choose_models(ConversionSettings(accept_noncommercial=True))
    assert (chosen.depth, chosen.inpaint) == ("depthcrafter", Inpaint.STEREOCRAFTER)
    monkeypatch.setenv("STEREO_SPOT_WORKER_VRAM", "8GB")
    assert choose_models(ConversionSettings(accept_noncommercial=True)).inpaint is Inpaint.BACKGROUND


def test_a_machine_that_plans_for_a_worker_needs_no_weights_of_what_was_asked_for(monkeypatch):
    monkeypatch.setenv("STEREO_SPOT_WORKER_VRAM", "24GB")
    chosen = choose_models(ConversionSettings(depth="depthcrafter", accept_noncommercial=True))
    assert (chosen.depth, chosen.depth_reason) == ("depthcrafter", "it was asked for")
    assert len(chosen.depth_digest) == 16


@pytest.mark.parametrize(
    "values", [{"depth": "depthcrafter"}, {"inpaint": "stereocrafter"}, {"depth": "depth-anything-v2-base"}]
)
def test_models_without_commercial_use_are_refused_until_their_licence_is_accepted(values):
    with pytest.raises(InvalidSettings, match=r"licence, .*--accept-noncommercial"):
        choose_models(ConversionSettings.model_validate(values))


def test_a_model_that_was_asked_for_and_is_not_here_is_an_error_offline():
    with pytest.raises(WeightsMissing, match=f"stereo-spot models pull {_SMALL}"):
        choose_models(ConversionSettings(depth=_SMALL))
    with pytest.raises(WeightsMissing, match="models pull owner/name"):
        choose_models(ConversionSettings(depth="owner/name"))


def test_a_model_that_was_asked_for_is_downloaded(start_hub):
    start_hub({"me/model": Repository(picture_model())})
    chosen = choose_models(ConversionSettings(depth="me/model"))
    assert (chosen.depth, chosen.depth_reason) == ("me/model", "it was asked for")


def test_wrong_weights_are_an_error_before_any_work(own_weights):
    folder = own_weights("svd", "depthcrafter")
    (folder / "stereocrafter").symlink_to(folder / "depthcrafter")
    with pytest.raises(WeightsBroken, match="stereocrafter needs 9"):
        choose_models(ConversionSettings(inpaint=Inpaint.STEREOCRAFTER, accept_noncommercial=True))


def test_missing_packages_are_named(own_weights, monkeypatch):
    own_weights(_SMALL)
    monkeypatch.setattr(choice, "_lacking", lambda packages: "transformers")
    with pytest.raises(ToolUnavailable, match=r"needs transformers, .*pip install 'stereo-spot-dagster\[models\]'"):
        choose_models(ConversionSettings(depth=_SMALL))
    assert choose_models(ConversionSettings()).depth_reason == "no GPU; transformers is not installed"


def test_depth_is_known_by_its_options_and_its_weights(start_hub):
    hub = start_hub({"me/model": Repository(picture_model())})
    first = choose_models(ConversionSettings(depth="me/model")).depth_digest
    assert choose_models(ConversionSettings(depth="me/model", divergence=3)).depth_digest == first
    other = ConversionSettings.model_validate({"depth": "me/model", "picture_depth": "side=280"})
    assert choose_models(other).depth_digest != first
    hub.repositories["me/model"] = Repository(picture_model(seed=1), commit="b2" * 20)
    assert choose_models(ConversionSettings(depth="me/model")).depth_digest == first
    pull(choice.find("me/model"), revision="b2" * 20)
    assert choose_models(ConversionSettings(depth="me/model")).depth_digest != first


def test_an_onnx_file_is_known_by_its_content(tmp_path):
    model = tmp_path / "model.onnx"
    with pytest.raises(InvalidSettings, match="there is no such file"):
        choose_models(ConversionSettings(depth=f"onnx:{model}"))
    digests = set()
    for content in (b"one", b"two", b"one"):
        model.write_bytes(content)
        digests.add(choose_models(ConversionSettings(depth=f"onnx:{model}")).depth_digest)
    assert len(digests) == 2
    assert hashlib.sha256(b"one").hexdigest()[:16] not in digests  # options count too


def test_depth_from_a_file_and_from_cues_has_no_digest():
    assert choose_models(ConversionSettings(depth="cues")).depth_digest == ""
    assert choose_models(ConversionSettings(depth="file:depth.mkv")).depth_digest == ""


def test_torch_is_not_imported_to_decide_without_a_gpu():
    code = (
        "import sys; from stereo_spot_dagster.convert.choice import choose_models;"
        "from stereo_spot_dagster.domain.settings import ConversionSettings;"
        "choose_models(ConversionSettings(accept_noncommercial=True)); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
