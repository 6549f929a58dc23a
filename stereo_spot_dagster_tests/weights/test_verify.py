"""Finding weights on this machine, and telling whole ones from broken and wrong ones."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from stereo_spot_dagster.domain.errors import InvalidSettings, WeightsBroken, WeightsMissing
from stereo_spot_dagster.domain.models import PICTURE_MODELS
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.weights import (
    CATALOGUE,
    check_unet,
    find,
    identity,
    locate,
    require,
    require_acceptance,
    verify,
    with_needs,
)
from stereo_spot_dagster.weights.pull import pull

from .hub import Repository
from .tiny import entry, picture_model, svd, unet


@pytest.fixture
def own_folder(tmp_path, monkeypatch) -> Path:
    """The folder for the user's own copies."""
    monkeypatch.setenv("STEREO_SPOT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def test_the_models_of_the_paper_are_7_6_gigabytes():
    chosen = {needed.name: needed for name in ("depthcrafter", "stereocrafter") for needed in with_needs(find(name))}
    assert set(chosen) == {"depthcrafter", "stereocrafter", "svd"}
    assert round(sum(needed.size_bytes for needed in chosen.values()) / 1e9, 1) == 7.6


def test_every_picture_model_is_in_the_catalogue_and_all_but_one_revision_is_a_commit():
    assert set(PICTURE_MODELS) < set(CATALOGUE)
    assert [name for name, known in CATALOGUE.items() if not known.pinned] == ["stereocrafter"]


def test_an_entry_cannot_be_changed():
    with pytest.raises(ValidationError):
        find("svd").name = "other"


def test_a_name_that_is_neither_known_nor_of_the_hub_is_refused():
    with pytest.raises(InvalidSettings, match="no model is called that"):
        find("depthcraft")
    with pytest.raises(InvalidSettings, match="no model is called that"):
        find("owner/name@../../../etc")
    assert find("owner/name@v2").revision == "v2"


def test_missing_weights_say_how_to_get_them():
    with pytest.raises(WeightsMissing, match=r"models pull depthcrafter \(3\.0 GB, licence: Tencent, for research"):
        require(find("depthcrafter"))
    with pytest.raises(WeightsMissing, match=r"accept the terms at https://huggingface\.co/stabilityai/.* HF_TOKEN"):
        require(find("svd"))


def test_a_folder_of_the_user_wins_and_may_have_other_names(own_folder):
    _write(own_folder / "stereocrafter" / "unet_diffusers", unet(9))
    plain = {path.replace(".fp16", ""): content for path, content in svd().items()}
    _write(own_folder / "svd", plain)
    assert locate(find("stereocrafter")) == own_folder / "stereocrafter" / "unet_diffusers"
    assert verify(find("stereocrafter"))
    assert verify(find("svd")) == own_folder / "svd"


def test_an_incomplete_folder_is_not_used(own_folder):
    folder = _write(own_folder / "depthcrafter", unet(8))
    assert locate(find("depthcrafter")) == folder
    (folder / "config.json").unlink()
    assert locate(find("depthcrafter")) is None


def test_other_weights_in_the_same_folder_are_told_apart(own_folder):
    known = find("depth-anything-v2-small")
    first = identity(known, _write(own_folder / known.name, picture_model()))
    second = identity(known, _write(own_folder / known.name, picture_model(seed=1)))
    assert first != second
    assert first.startswith("folder:")


def test_a_swapped_unet_is_named(own_folder):
    folder = _write(own_folder / "stereocrafter", unet(8))
    words = r"this is a depth UNet \(8 input channels\), stereocrafter needs 9: .*safetensors"
    with pytest.raises(WeightsBroken, match=words):
        verify(find("stereocrafter"))
    with pytest.raises(WeightsBroken, match=words):
        check_unet(find("stereocrafter"), folder)
    check_unet(find("depthcrafter"), folder)


def test_a_config_that_contradicts_the_weights_is_said(own_folder):
    _write(own_folder / "stereocrafter", unet(9) | {"config.json": b'{"in_channels": 8}'})
    with pytest.raises(WeightsBroken, match="says 8 input channels, the weights beside it have 9"):
        verify(find("stereocrafter"))


@pytest.mark.parametrize("kept", [0, 5, 40, 400, -1])
def test_a_file_that_is_cut_off_is_found(own_folder, kept):
    files = unet(9)
    name = "diffusion_pytorch_model.safetensors"
    _write(own_folder / "stereocrafter", files | {name: files[name][:kept]})
    with pytest.raises(WeightsBroken, match=rf"{name} is (cut off|not a safetensors file)"):
        verify(find("stereocrafter"))


def test_weights_of_another_kind_of_model_are_found(own_folder):
    encoder = {"model.safetensors": svd()["image_encoder/model.fp16.safetensors"]}
    _write(own_folder / "depth-anything-v2-small", picture_model() | encoder)
    with pytest.raises(WeightsBroken, match=r"has no tensors called backbone\.\*, neck\.\*, head\.\*"):
        verify(find("depth-anything-v2-small"))


def test_a_checkpoint_that_is_not_a_zip_file_is_found(own_folder):
    folder = _write(own_folder / "midas-dpt-hybrid", picture_model())
    with pytest.raises(WeightsBroken, match=r"pytorch_model\.bin is cut off"):
        verify(find("midas-dpt-hybrid"))
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
        archive.writestr("data.pkl", b"")
    assert verify(find("midas-dpt-hybrid"))


def test_a_changed_byte_is_found_by_the_full_check(start_hub):
    small = entry("depth-anything-v2-small", revision="main")
    start_hub({small.repo: Repository(picture_model())})
    folder = pull(small)
    verify(small, full=True)
    blob = (folder / "model.safetensors").resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    verify(small)
    with pytest.raises(WeightsBroken, match="does not have the checksum that it has on the hub"):
        verify(small, full=True)


def test_a_download_of_another_size_than_the_published_one_is_found(start_hub):
    published = find("depth-anything-v2-small")
    start_hub({published.repo: Repository(picture_model(), commit=published.revision)})
    pull(published)
    with pytest.raises(WeightsBroken, match="bytes and should have 99173660"):
        verify(published)


def test_published_sizes_are_not_expected_of_another_revision(start_hub):
    published = find("depth-anything-v2-small")
    start_hub({published.repo: Repository(picture_model())})
    folder = pull(published, revision="main")
    assert verify(published, full=True) == folder


@pytest.mark.parametrize("name", ["depthcrafter", "stereocrafter", "svd", "depth-anything-v2-large"])
def test_a_licence_without_commercial_use_has_to_be_accepted(name):
    with pytest.raises(InvalidSettings, match=r"allows no commercial use \(read it: https://.*--accept-noncommercial"):
        require_acceptance(find(name), ConversionSettings())
    require_acceptance(find(name), ConversionSettings(accept_noncommercial=True))


@pytest.mark.parametrize("name", ["depth-anything-v2-small", "midas-dpt-hybrid", "owner/name"])
def test_free_licences_need_no_acceptance(name):
    require_acceptance(find(name), ConversionSettings())


def test_nothing_heavy_is_imported_to_look_for_weights():
    code = (
        "import sys, stereo_spot_dagster.weights as w; w.locate(w.find('svd'));"
        "print([m for m in ('torch', 'transformers', 'diffusers', 'huggingface_hub', 'dagster') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
