"""Depth by networks that see one picture at a time: transformers models and ONNX files, tiny and random."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stereo_spot_dagster.domain.models import PictureDepthOptions
from stereo_spot_dagster.stereo.depth import DepthEstimator, depth_traits, make_depth_estimator
from stereo_spot_dagster.stereo.depth.onnx_model import OnnxDepth
from stereo_spot_dagster.stereo.depth.picture_model import PictureModelDepth
from stereo_spot_dagster.stereo.depth.pictures import ModelFailed

from ..tiny_models import make_tiny_models
from .scenes import render

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
onnx = pytest.importorskip("onnx")

from stereo_spot_dagster.stereo.devices import Device  # noqa: E402 it is of use with torch only

CPU = Device("cpu", "CPU", "fp32")
SMALL = PictureDepthOptions(side=98, batch=4)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``depth-anything-v2-small`` and ``midas-dpt-large``."""
    folder = make_tiny_models(tmp_path_factory.mktemp("models"))
    _save_dpt(folder / "midas-dpt-large")
    return folder


def _save_dpt(folder: Path) -> None:
    from transformers import DPTConfig, DPTForDepthEstimation

    torch.manual_seed(0)
    config = DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=384,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[16, 16, 32, 32],
        fusion_hidden_size=16,
        is_hybrid=False,
    )
    DPTForDepthEstimation(config).save_pretrained(folder)
    preparation = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 384, "width": 384}}
    (folder / "preprocessor_config.json").write_text(json.dumps(preparation | {"ensure_multiple_of": 32}))


def anything(models: Path, options: PictureDepthOptions = SMALL) -> PictureModelDepth:
    return PictureModelDepth("depth-anything-v2-small", models / "depth-anything-v2-small", options, CPU)


def save_onnx(path: Path, *, shape: tuple = ("n", 3, "h", "w"), four: bool = False, inputs: int = 1) -> Path:
    """A network whose depth is the mean of the channels, plus 1."""
    from onnx import TensorProto, helper

    taken = [helper.make_tensor_value_info(f"in{n}", TensorProto.FLOAT, shape) for n in range(inputs)]
    out_shape = [shape[0], *([1] if four else []), *shape[2:]]
    given = helper.make_tensor_value_info("depth", TensorProto.FLOAT, out_shape)
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    nodes = [
        helper.make_node("ReduceMean", ["in0", "axes"], ["mean"], keepdims=int(four)),
        helper.make_node("Add", ["mean", "one"], ["depth"]),
    ]
    graph = helper.make_graph(nodes, "g", taken, [given], [axes, one])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def pictures(estimator: DepthEstimator, frames: int, scene: str = "walkers") -> NDArray[np.uint8]:
    width, height = estimator.working_size(160, 90)
    return render(scene, width, height, frames=frames, seed=4).left


def run(
    estimator: DepthEstimator, rgb: NDArray[np.uint8], sizes: tuple[int, ...] = (), first_frame: int = 0
) -> NDArray[np.float32]:
    """Depth of one shot, with the frames given in calls of ``sizes`` and the rest at once."""
    estimator.reset(first_frame)
    starts = np.arange(len(rgb)) == 0
    edges = [*np.minimum(np.cumsum([0, *sizes]), len(rgb)).tolist(), len(rgb)]
    parts = [estimator.process(rgb[a:b], starts[a:b]) for a, b in pairwise(edges) if b > a]
    return np.concatenate([*parts, estimator.finish()])


def test_depth_anything_gives_one_map_of_the_working_size_for_each_picture(models: Path) -> None:
    estimator = anything(models)
    rgb = pictures(estimator, 6)
    depth = run(estimator, rgb)
    assert depth.shape == rgb.shape[:3]
    assert depth.dtype == np.float32
    assert np.isfinite(depth).all()
    assert depth.std() > 0
    assert estimator.device == "CPU"
    assert estimator.peak_memory_mb == 0


def test_depth_is_what_the_published_preprocessing_and_network_give(models: Path) -> None:
    from transformers import AutoModelForDepthEstimation

    estimator = anything(models, PictureDepthOptions(side=98, batch=1, stabilise=False))
    rgb = pictures(estimator, 1)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.from_numpy(((rgb / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    network = AutoModelForDepthEstimation.from_pretrained(models / "depth-anything-v2-small").eval()
    with torch.inference_mode():
        wanted = network(pixel_values=pixels).predicted_depth.numpy()
    np.testing.assert_allclose(run(estimator, rgb), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "side", "size"),
    [
        ("depth-anything-v2-small", 518, (924, 518)),
        ("depth-anything-v2-small", 98, (168, 98)),
        ("midas-dpt-large", 518, (384, 384)),
        ("midas-dpt-large", 250, (256, 256)),
    ],
)
def test_each_network_gets_the_size_it_takes(models: Path, name: str, side: int, size: tuple[int, int]) -> None:
    options = PictureDepthOptions(side=side)
    estimator = PictureModelDepth(name, models / name, options, CPU)
    assert estimator.working_size(1920, 1080) == size
    assert estimator.working_size(1080, 1920) == size[::-1]
    assert depth_traits(name, options).survey_size(1920, 1080) == size


def test_dpt_runs_with_its_own_statistics(models: Path) -> None:
    estimator = PictureModelDepth("midas-dpt-large", models / "midas-dpt-large", PictureDepthOptions(side=128), CPU)
    rgb = pictures(estimator, 3)
    assert run(estimator, rgb).shape == rgb.shape[:3]


@pytest.mark.parametrize("sizes", [(1,) * 10, (3, 5, 1), (9, 1)])
@pytest.mark.parametrize("batch", [1, 3, 4])
def test_how_frames_are_grouped_into_calls_does_not_change_a_byte(
    models: Path, sizes: tuple[int, ...], batch: int
) -> None:
    estimator = anything(models, PictureDepthOptions(side=98, batch=batch))
    rgb = pictures(estimator, 11)
    np.testing.assert_array_equal(run(estimator, rgb, sizes), run(estimator, rgb))


@pytest.mark.parametrize("first", [5, 6, 8])
def test_a_segment_inside_a_shot_has_the_very_depth_of_the_whole(models: Path, first: int) -> None:
    estimator = anything(models)
    rgb, overlap = pictures(estimator, 45), estimator.overlap_frames
    whole = run(estimator, rgb)
    part = run(estimator, rgb[first:], first_frame=first)
    np.testing.assert_array_equal(part[overlap:], whole[first + overlap :])


def test_without_stabilising_no_frame_depends_on_another(models: Path) -> None:
    estimator = anything(models, PictureDepthOptions(side=98, stabilise=False))
    assert estimator.overlap_frames == 0
    rgb = pictures(estimator, 6)
    np.testing.assert_array_equal(run(estimator, rgb[3:], first_frame=3), run(estimator, rgb)[3:])


def test_another_kind_of_model_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelFailed, match="my/model: it is a model of the kind 'bert'"):
        PictureModelDepth("my/model", tmp_path, SMALL, CPU)


def test_an_overflow_of_the_network_is_an_error_and_not_a_picture(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = anything(models)
    monkeypatch.setattr(estimator, "_infer", lambda batch: np.full(batch.shape[:3], np.nan, np.float32))
    with pytest.raises(ModelFailed, match="not finite"):
        run(estimator, pictures(estimator, 4))


def test_the_settings_make_these_estimators(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_SPOT_MODELS", str(models))
    monkeypatch.setenv("STEREO_SPOT_DEVICE", "cpu")
    assert isinstance(make_depth_estimator("depth-anything-v2-small", SMALL), PictureModelDepth)
    path = save_onnx(tmp_path / "mean.onnx")
    assert isinstance(make_depth_estimator(f"onnx:{path}", SMALL), OnnxDepth)


@pytest.mark.parametrize("four", [False, True])
@pytest.mark.parametrize("shape", [("n", 3, "h", "w"), (1, 3, "h", "w"), (2, 3, 64, 96)])
def test_an_onnx_file_gives_depth_at_its_own_or_the_chosen_size(tmp_path: Path, shape: tuple, four: bool) -> None:
    path = save_onnx(tmp_path / "mean.onnx", shape=shape, four=four)
    estimator = OnnxDepth(path, PictureDepthOptions(side=98, stabilise=False), CPU)
    assert estimator.working_size(160, 90) == ((96, 64) if shape[2] == 64 else (168, 98))
    rgb = pictures(estimator, 3)
    wanted = ((rgb / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).mean(axis=-1) + 1
    np.testing.assert_allclose(run(estimator, rgb), wanted, atol=1e-4)
    assert estimator.device == "CPU"
    assert estimator.notes() == ()


def test_an_onnx_file_with_other_inputs_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    for name, options in {"a": {"inputs": 2}, "b": {"shape": ("n", 1, "h", "w")}}.items():
        with pytest.raises(ModelFailed, match=r"It needs one input \[N, 3, H, W\]"):
            OnnxDepth(save_onnx(tmp_path / f"{name}.onnx", **options), SMALL, CPU)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a network")
    with pytest.raises(ModelFailed, match=r"x\.onnx: onnxruntime cannot load it"):
        OnnxDepth(tmp_path / "x.onnx", SMALL, CPU)


def test_a_checkpoint_in_the_older_file_format_gives_the_same_depth(models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    published = models / "depth-anything-v2-small"
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((published / name).read_bytes())
    torch.save(load_file(published / "model.safetensors"), tmp_path / "pytorch_model.bin")
    pictures = np.random.default_rng(5).integers(0, 256, (2, 98, 98, 3), dtype=np.uint8)
    starts = np.array([True, False])
    made = []
    for folder in (published, tmp_path):
        estimator = PictureModelDepth("depth-anything-v2-small", folder, SMALL, CPU)
        made.append(np.concatenate([estimator.process(pictures, starts), estimator.finish()]))
    np.testing.assert_array_equal(*made)
